//! A permutation of any length that takes no memory.

use crate::random::mix;

/// Rounds of the network. Four are enough in theory (Luby and Rackoff 1988) if the halves are large; small
/// ranges, such as a test's, need more to look uniform.
const ROUNDS: usize = 8;

/// A permutation of `[0, n)` that a key picks.
///
/// A Feistel network on mixed digits (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains"): with
/// `a = ⌈√n⌉` and `b = ⌈n / a⌉`, a number `x < a·b` is the pair `(l, r) = (x div b, x mod b)`, and rounds
/// `i = 0..8` change one of the two by a hash of the other:
///
/// ```text
/// even i    l ← (l + F(kᵢ, r, a)) mod a
/// odd i     r ← (r + F(kᵢ, l, b)) mod b
/// F(k, v, m) = ⌊m · mix(k + v·γ) / 2⁶⁴⌋        γ = 0x9e3779b97f4a7c15, mix: SplitMix64's finaliser
/// kᵢ = mix(mix(key) + i·γ)
/// ```
///
/// Each round can be undone, so the whole is a permutation of `[0, a·b)`. It is applied until the number is
/// below `n` again (cycle walking), which leaves a permutation of `[0, n)`; since `a·b < n + a`, once is nearly
/// always enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permutation {
    n: u64,
    a: u64,
    b: u64,
    keys: [u64; ROUNDS],
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Permutation {
    /// The permutation of `[0, n)` that `key` picks.
    pub fn new(n: u64, key: u64) -> Permutation {
        let root = n.isqrt();
        let a = (root + u64::from(root * root < n)).max(1);
        let keys = std::array::from_fn(|i| mix(mix(key).wrapping_add(GAMMA.wrapping_mul(i as u64))));
        Permutation { n, a, b: n.div_ceil(a), keys }
    }

    /// Where `x` goes.
    ///
    /// # Panics
    /// If `x` is not below `n`.
    pub fn apply(&self, x: u64) -> u64 {
        assert!(x < self.n, "Permutation: {x} of {}", self.n);
        let mut y = self.walk(x);
        while y >= self.n {
            y = self.walk(y);
        }
        y
    }

    fn walk(&self, x: u64) -> u64 {
        let (mut l, mut r) = (x / self.b, x % self.b);
        for keys in self.keys.as_chunks::<2>().0 {
            l = add(l, digit(keys[0], r, self.a), self.a);
            r = add(r, digit(keys[1], l, self.b), self.b);
        }
        l * self.b + r
    }
}

/// `F(k, v, m)`: below `m`, and as good as evenly spread, since `m` is far below 2⁶⁴.
fn digit(key: u64, value: u64, m: u64) -> u64 {
    let hash = mix(key.wrapping_add(value.wrapping_mul(GAMMA)));
    ((u128::from(hash) * u128::from(m)) >> 64) as u64
}

/// `(x + y) mod m` of numbers below `m`.
fn add(x: u64, y: u64, m: u64) -> u64 {
    let sum = x + y;
    if sum < m { sum } else { sum - m }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(n: u64, key: u64) -> Vec<u64> {
        let permutation = Permutation::new(n, key);
        (0..n).map(|x| permutation.apply(x)).collect()
    }

    #[test]
    fn every_number_comes_once() {
        let sizes = (0..=300).chain([1023, 1024, 1025, 9_973, 65_536, 99_999]);
        for n in sizes {
            for key in [0, 1, u64::MAX] {
                let mut numbers = all(n, key);
                numbers.sort_unstable();
                assert!(numbers.into_iter().eq(0..n), "{n} numbers, key {key}");
            }
        }
    }

    #[test]
    fn large_ranges_stay_in_range_and_apart() {
        for n in [45_840_617, 4_373_472_329, u64::from(u32::MAX) + 1, 1 << 50] {
            let permutation = Permutation::new(n, 7);
            let mut images: Vec<u64> = (0..2000).chain(n - 2000..n).map(|x| permutation.apply(x)).collect();
            assert!(images.iter().all(|&y| y < n));
            images.sort_unstable();
            images.dedup();
            assert_eq!(images.len(), 4000);
        }
    }

    /// Pearson's statistic of counts that are expected to be equal.
    fn chi_square(counts: &[u64]) -> f64 {
        let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
        counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum()
    }

    /// The mean of chi-square over `d` degrees of freedom is `d`, its standard deviation `√2d`: six of them
    /// away is not chance. The keys are fixed, so this passes always or never.
    fn assert_uniform(counts: &[u64], what: &str) {
        let (found, d) = (chi_square(counts), counts.len() as f64 - 1.0);
        assert!((found - d).abs() < 6.0 * (2.0 * d).sqrt(), "{what}: {found} over {d} degrees of freedom");
    }

    #[test]
    fn over_keys_a_number_goes_anywhere() {
        for n in [5, 12, 64, 97] {
            for x in [0, n / 2, n - 1] {
                let mut counts = vec![0; n as usize];
                (0..200 * n).for_each(|key| counts[Permutation::new(n, key).apply(x) as usize] += 1);
                assert_uniform(&counts, &format!("where {x} of {n} goes"));
            }
        }
    }

    #[test]
    fn neighbours_part() {
        // The distance between where two neighbours go, modulo n, in 50 classes.
        let n = 100_000;
        for key in [0, 1, 2] {
            let numbers = all(n, key);
            let mut counts = vec![0; 50];
            numbers.windows(2).for_each(|pair| counts[((pair[1] + n - pair[0]) % n / (n / 50)) as usize] += 1);
            assert_uniform(&counts, &format!("distances, key {key}"));
        }
    }

    #[test]
    fn small_ranges_are_put_in_every_order() {
        let mut counts = std::collections::BTreeMap::new();
        (0..24_000).for_each(|key| *counts.entry(all(4, key)).or_insert(0) += 1);
        assert_eq!(counts.len(), 24);
        assert_uniform(&counts.into_values().collect::<Vec<_>>(), "orders of 4 numbers");
    }
}
