//! Pseudorandom draws: uniform numbers, power laws, and numbers that belong to an id for good.

use crate::random::mix;

/// What a [`hash`] is for, so that no number is used twice.
pub mod stream {
    /// Row by row.
    pub const ROW: u64 = 0;
    /// The key that scrambles a column's ids, by column.
    pub const KEY: u64 = 1;
    /// The effect of an integer column, by column.
    pub const INT: u64 = 2;
    /// What an id adds on its own, by rank; one stream a column.
    pub const ID: u64 = 100;
    /// The vector of an id, by rank; one stream a column.
    pub const VECTOR: u64 = 200;
}

/// A number that depends on all three others.
pub fn hash(seed: u64, a: u64, b: u64) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    mix(mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(a)).wrapping_add(b))
}

/// The finaliser of MurmurHash3 for 32 bits: a bijection that keeps only 0 in place.
pub fn scramble(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x85eb_ca6b);
    let x = (x ^ x >> 13).wrapping_mul(0xc2b2_ae35);
    x ^ x >> 16
}

/// Four numbers of mean 0 and variance 1, evenly spread over ±√3, from the bits of `x`.
pub fn four_uniform(x: u64) -> [f32; 4] {
    std::array::from_fn(|i| {
        let quarter = (x >> (16 * i)) as u16;
        (f32::from(quarter) + 0.5) * (2.0 * SQRT_3 / 65536.0) - SQRT_3
    })
}

const SQRT_3: f32 = 1.732_050_8;

/// Ranks `0..n`, rank `r` with probability about proportional to `(r + 1)^-s`: a bounded Pareto
/// variable rounded down, whose distribution function can be inverted.
///
/// A share of the draws may be even instead.
#[derive(Debug, Clone, Copy)]
pub struct PowerLaw {
    n: u32,
    even: f64,
    /// `1 - s`.
    exponent: f64,
    /// `(n + 1)^(1 - s) - 1`.
    reach: f64,
}

impl PowerLaw {
    /// The law of exponent `s` over `n` ranks, with a share of `even` draws.
    ///
    /// # Panics
    /// If there is no rank, 2³¹ or more, if `s` is 1, or `even` is no share below 1.
    pub fn new(n: u32, s: f64, even: f64) -> Self {
        assert!((1..1 << 31).contains(&n) && s != 1.0, "PowerLaw: {n} ranks, exponent {s}");
        assert!((0.0..1.0).contains(&even), "PowerLaw: a share of {even}");
        let exponent = 1.0 - s;
        PowerLaw { n, even, exponent, reach: (f64::from(n) + 1.0).powf(exponent) - 1.0 }
    }

    /// The rank that `u` in `[0, 1)` draws.
    pub fn rank(&self, u: f64) -> u32 {
        if u < self.even {
            return ((u / self.even * f64::from(self.n)) as u32).min(self.n - 1);
        }
        let u = (u - self.even) / (1.0 - self.even);
        let x = (1.0 + u * self.reach).powf(1.0 / self.exponent);
        (x as u32).clamp(1, self.n) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `P(rank)`: of the bounded Pareto variable, the mass between `rank + 1` and `rank + 2`.
    fn probability(law: &PowerLaw, rank: u32) -> f64 {
        let below = |x: f64| (x.powf(law.exponent) - 1.0) / law.reach;
        let by_law = below(f64::from(rank) + 2.0) - below(f64::from(rank) + 1.0);
        law.even / f64::from(law.n) + (1.0 - law.even) * by_law
    }

    #[test]
    fn ranks_have_their_probabilities() {
        const DRAWS: u32 = 100_000;
        for (n, s, even) in [(1, 1.1, 0.0), (3, 1.1, 0.5), (50, 1.5, 0.0), (10_000, 0.8, 0.0), (10_000, 1.1, 0.8)] {
            let law = PowerLaw::new(n, s, even);
            let total: f64 = (0..n).map(|r| probability(&law, r)).sum();
            assert!((total - 1.0).abs() < 1e-9, "{n} ranks: {total}");
            let mut seen = vec![0u32; n as usize];
            for i in 0..DRAWS {
                seen[law.rank((f64::from(i) + 0.5) / f64::from(DRAWS)) as usize] += 1;
            }
            // Draws at even steps hit an interval of the distribution to within one draw.
            for (rank, &times) in seen.iter().enumerate() {
                let expected = probability(&law, rank as u32) * f64::from(DRAWS);
                assert!(
                    (f64::from(times) - expected).abs() <= 1.01 + f64::from(u8::from(even > 0.0)),
                    "rank {rank} of {n}: {times}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn four_numbers_have_mean_0_and_variance_1() {
        let numbers: Vec<f64> = (0..10_000).flat_map(|i| four_uniform(hash(1, 2, i))).map(f64::from).collect();
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let variance = numbers.iter().map(|x| x * x).sum::<f64>() / n;
        // Five standard errors: of the mean 1 / √n, of the variance √(4/5) / √n.
        assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.023, "{mean} {variance}");
    }
}
