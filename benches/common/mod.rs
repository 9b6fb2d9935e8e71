//! What the benches share: reproducible values, and how long to measure.

use criterion::Criterion;
use std::time::Duration;

/// Enough to compare instruction sets, short enough to run them all in a few minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(10)
        .configure_from_args()
}

/// A small generator (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub fn values(&mut self, n: usize) -> Buffer {
        let mut buffer = Buffer::new(n);
        buffer.fill_with(|| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0);
        buffer
    }
}

/// Values that start at a cache line, as the library's buffers do.
pub struct Buffer {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    pub fn new(len: usize) -> Buffer {
        let values = vec![0.0f32; len + 16];
        let start = values.as_ptr().align_offset(64).min(16);
        Buffer { values, start, len }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..self.start + self.len]
    }
}

/// Every value of `found` within `tolerance` of `expected`.
#[track_caller]
pub fn check(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what}: [{i}] is {f}, expected {e}");
    }
}
