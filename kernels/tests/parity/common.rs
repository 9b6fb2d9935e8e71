//! What the kernel tests share: reproducible values, comparisons with their tolerance in the
//! type, and buffers that notice a write beyond their end.

use dlrm_kernels::Isa;

/// A small generator (splitmix64), so that cases are the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Uniform in [-1, 1).
    pub fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }
}

/// Same bits (any NaN equals any NaN).
#[track_caller]
pub fn assert_bits(what: &str, isa: Isa, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what} on {}: length", isa.name());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            f.to_bits() == e.to_bits() || f.is_nan() && e.is_nan() || (*f == 0.0 && *e == 0.0),
            "{what} on {}: [{i}] is {f:e}, expected {e:e}",
            isa.name()
        );
    }
}

/// At most `tolerance` apart, each value.
#[track_caller]
pub fn assert_close(what: &str, isa: Isa, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what} on {}: length", isa.name());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= tolerance,
            "{what} on {}: [{i}] is {f:e}, expected {e:e} within {tolerance:e}",
            isa.name()
        );
    }
}

/// The rounding error of a sum of `k` products of values in [-1, 1]: the classical bound k · ε on
/// Σ |a·b|, which is about k / 4, for each of the two sides of a comparison.
pub fn sum_tolerance(k: usize) -> f32 {
    let k = k.max(1) as f32;
    2.0 * k * f32::EPSILON * (k / 4.0).max(1.0)
}

/// A buffer between canaries: `values` is NaN at first, so that whoever reads it shows, and
/// [`check`](Guarded::check) fails if something beyond either end was written.
pub struct Guarded {
    all: Vec<f32>,
}

const CANARY: f32 = 12345.678;
const GUARD: usize = 64;

impl Guarded {
    pub fn new(len: usize) -> Self {
        let mut all = vec![CANARY; len + 2 * GUARD];
        all[GUARD..GUARD + len].fill(f32::NAN);
        Guarded { all }
    }

    pub fn filled(values: &[f32]) -> Self {
        let mut guarded = Guarded::new(values.len());
        guarded.copy_from_slice(values);
        guarded
    }

    #[track_caller]
    pub fn check(&self, what: &str, isa: Isa) {
        let end = self.all.len() - GUARD;
        let intact = self.all[..GUARD].iter().chain(&self.all[end..]).all(|&x| x == CANARY);
        assert!(intact, "{what} on {}: wrote beyond its output", isa.name());
    }
}

impl std::ops::Deref for Guarded {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.all[GUARD..self.all.len() - GUARD]
    }
}

impl std::ops::DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [f32] {
        let end = self.all.len() - GUARD;
        &mut self.all[GUARD..end]
    }
}
