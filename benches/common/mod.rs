//! What the benches share: how long to measure, operands, and the comparison of answers.

// Each bench uses its own part of this.
#![allow(dead_code)]

pub mod lookups;
pub mod update;

use criterion::Criterion;
use dlrm::Stream;
use dlrm::buffer::Buffer;
use std::time::Duration;

/// Enough to compare implementations, short enough to run the whole suite in a few minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(10)
        .nresamples(10_000)
        .configure_from_args()
}

/// `n` values in [-1, 1), in memory as the library's own: page-aligned, on huge pages from 2 MiB on.
pub fn values(n: usize, stream: &mut Stream) -> Buffer {
    let mut buffer = Buffer::zeros(n);
    stream.fill_uniform(buffer.as_mut_slice(), -1.0, 1.0);
    buffer
}

/// Every value of `found` within `tolerance` of `expected`.
#[track_caller]
pub fn check(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what}: [{i}] is {f}, expected {e}");
    }
}
