//! Ranks to rows: a permutation of a table that takes no memory.

use crate::random::Stream;

/// Rounds of mixing; two leave a pattern that the eye can see.
const ROUNDS: usize = 3;

/// A permutation of `0..rows`.
#[derive(Debug, Clone)]
pub(super) struct Scramble {
    rows: u64,
    /// Bits of the largest row.
    bits: u32,
    /// What is added and what is multiplied with in each round.
    rounds: [(u64, u64); ROUNDS],
}

impl Scramble {
    /// The permutation that `stream` draws.
    pub fn new(rows: usize, stream: &mut Stream) -> Self {
        let mut word = || stream.parallel_key().expect("a native stream");
        let rows = rows as u64;
        let rounds = std::array::from_fn(|_| (word(), word() | 1));
        Scramble { rows, bits: u64::BITS - (rows - 1).leading_zeros(), rounds }
    }

    /// The row of `rank`.
    ///
    /// Mixing permutes all numbers of so many bits, less than twice as many as there are rows. One
    /// that lands outside the table is mixed again until it is back: its cycle leads back at
    /// last, since the rank it set out from lies in the table.
    pub fn row(&self, rank: u32) -> u32 {
        let mut x = u64::from(rank);
        loop {
            x = self.mix(x);
            if x < self.rows {
                return x as u32;
            }
        }
    }

    /// A bijection of `bits`-bit numbers: each step can be undone.
    fn mix(&self, x: u64) -> u64 {
        let (mask, half) = ((1 << self.bits) - 1, (self.bits / 2).max(1));
        self.rounds.iter().fold(x, |x, &(add, odd)| {
            let x = x.wrapping_add(add).wrapping_mul(odd) & mask;
            x ^ x >> half
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_rank() {
        for rows in [1, 2, 3, 4, 5, 63, 64, 65, 1000, 4099] {
            for seed in 0..5 {
                let scramble = Scramble::new(rows, &mut Stream::native(seed));
                let mut found: Vec<u32> = (0..rows as u32).map(|rank| scramble.row(rank)).collect();
                found.sort_unstable();
                assert!(found.into_iter().eq(0..rows as u32), "{rows} rows, seed {seed}");
            }
        }
        let largest = Scramble::new(1 << 32, &mut Stream::native(1));
        assert_ne!(largest.row(0), largest.row(u32::MAX));
    }

    /// Neighbours among ranks are anywhere in the table: their mean distance is that of two
    /// random rows, a third of the table, and falls and rises take turns as with random rows.
    #[test]
    fn neighbours_are_torn_apart() {
        const ROWS: usize = 100_000;
        for seed in 0..5 {
            let scramble = Scramble::new(ROWS, &mut Stream::native(seed));
            let rows: Vec<f64> = (0..2000).map(|rank| f64::from(scramble.row(rank)) / ROWS as f64).collect();
            let mean = rows.windows(2).map(|w| (w[0] - w[1]).abs()).sum::<f64>() / (rows.len() - 1) as f64;
            // A turn (the middle of three is largest or least) has the probability 2/3.
            let turns = rows.windows(3).filter(|w| (w[0] < w[1]) != (w[1] < w[2])).count() as f64 / 1998.0;
            // Five standard errors and more: 0.24 / √2000 and √(16/90 / 2000).
            assert!((mean - 1.0 / 3.0).abs() < 0.03 && (turns - 2.0 / 3.0).abs() < 0.05, "{seed}: {mean} {turns}");
        }
    }
}
