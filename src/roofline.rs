//! What this machine can do at most, measured, and the least time that leaves for a piece of work.
//!
//! The roofline model (Williams, Waterman and Patterson 2009): work has an amount of arithmetic
//! and an amount of traffic, the machine a peak for each, and no program is faster than the
//! slower of the two. A DLRM has a third kind of limit, rows of tables in random order, whose
//! rate depends on how long a row is.

mod cost;
mod gpu;
mod measure;
pub mod ranks;

pub use cost::{Cost, Rows};
pub use gpu::{Gpu, Tile};
pub use measure::Memory;

use serde::Serialize;

/// The peaks of a number of threads on one instruction set: what the paper says of its machine (section 5, figure 4), measured
/// on this one.
///
/// Rates of memory are of useful bytes: those asked for, whatever else a cache line or a page
/// brings along.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Roofline {
    /// Instruction set, as in [`Isa::name`](dlrm_kernels::Isa::name).
    pub isa: &'static str,
    /// Threads at work together.
    pub threads: usize,
    /// Multiply-adds of `f32`, billions of operations a second; one multiply-add is two.
    pub f32_gflops: f64,
    /// Dot products of bf16, billions of operations a second, if the processor has them.
    pub bf16_gflops: Option<f64>,
    /// Reading front to back, GB (10⁹ bytes) a second.
    pub read_gbs: f64,
    /// Writing front to back past the caches, GB a second.
    pub write_gbs: f64,
    /// Rows in random order, shortest first.
    pub rows: [RowRate; 4],
    /// The last level of cache, in bytes: arrays below that may never come from memory.
    pub cache_bytes: u64,
}

/// Rates of rows of one length, in random order out of a table much larger than the caches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RowRate {
    /// The length of a row, in bytes.
    pub bytes: usize,
    /// Rows read, GB a second.
    pub read_gbs: f64,
    /// Rows changed in place, GB a second; a row read and written counts once.
    pub update_gbs: f64,
}

impl Roofline {
    /// GB a second of rows of `row_bytes` bytes read in random order: between two measured lengths
    /// on the line between their rates; a row below the shortest takes as long as that one; above
    /// the longest the rate is taken to stay.
    pub fn rows_read(&self, row_bytes: f64) -> f64 {
        self.row_rate(row_bytes, |r| r.read_gbs)
    }

    /// As [`rows_read`](Self::rows_read), for rows changed in place.
    pub fn rows_update(&self, row_bytes: f64) -> f64 {
        self.row_rate(row_bytes, |r| r.update_gbs)
    }

    /// What one of `parts` equal parts of the threads can do while the others do the same.
    pub fn share(&self, parts: usize) -> Self {
        let part = |rate: f64| rate / parts as f64;
        Roofline {
            threads: self.threads / parts,
            f32_gflops: part(self.f32_gflops),
            bf16_gflops: self.bf16_gflops.map(part),
            read_gbs: part(self.read_gbs),
            write_gbs: part(self.write_gbs),
            rows: self.rows.map(|r| RowRate { read_gbs: part(r.read_gbs), update_gbs: part(r.update_gbs), ..r }),
            cache_bytes: self.cache_bytes / parts as u64,
            ..*self
        }
    }

    fn row_rate(&self, row_bytes: f64, rate: impl Fn(&RowRate) -> f64) -> f64 {
        let [shortest, .., longest] = &self.rows;
        if row_bytes <= shortest.bytes as f64 {
            return rate(shortest) * row_bytes / shortest.bytes as f64;
        }
        let between = self.rows.windows(2).find(|pair| row_bytes <= pair[1].bytes as f64);
        between.map_or(rate(longest), |pair| {
            let [low, high] = [0, 1].map(|i| pair[i].bytes as f64);
            rate(&pair[0]) + (rate(&pair[1]) - rate(&pair[0])) * (row_bytes - low) / (high - low)
        })
    }

    /// The least time for one call of an operation, in milliseconds: the longer of its arithmetic
    /// and its traffic, as the two go side by side. What it streams counts only if that is more
    /// than the last level of cache, which may hold it otherwise.
    ///
    /// Rows are taken to come from memory, so an operation on small tables can do better.
    pub fn bound_ms(&self, cost: &Cost) -> f64 {
        let streamed = if cost.streamed > self.cache_bytes { cost.streamed as f64 / self.read_gbs / 1e6 } else { 0.0 };
        self.arithmetic_ms(cost).max(streamed + self.rows_ms(cost))
    }

    /// The limit of a whole step, in milliseconds: its arithmetic and its rows one after the other,
    /// and all that it streams out of a cache. A kernel that hid the rows behind the arithmetic
    /// would break it.
    pub fn step_ms(&self, cost: &Cost) -> f64 {
        self.arithmetic_ms(cost) + self.rows_ms(cost)
    }

    /// As [`step_ms`](Self::step_ms) if all arithmetic were dot products of bf16.
    pub fn step_bf16_ms(&self, cost: &Cost) -> Option<f64> {
        self.bf16_gflops.map(|gflops| cost.flops as f64 / gflops / 1e6 + self.rows_ms(cost))
    }

    fn arithmetic_ms(&self, cost: &Cost) -> f64 {
        cost.flops as f64 / self.f32_gflops / 1e6
    }

    fn rows_ms(&self, cost: &Cost) -> f64 {
        let ms = |rows: Rows, rate: f64| if rows.count == 0 { 0.0 } else { rows.bytes as f64 / rate / 1e6 };
        let (read, updated) = (cost.rows_read, cost.rows_updated);
        ms(read, self.rows_read(read.row_bytes())) + ms(updated, self.rows_update(updated.row_bytes()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::nn::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS};

    /// A machine of round figures.
    pub(crate) fn machine() -> Roofline {
        let row = |bytes, read_gbs, update_gbs| RowRate { bytes, read_gbs, update_gbs };
        Roofline {
            isa: "scalar",
            threads: 2,
            f32_gflops: 500.0,
            bf16_gflops: Some(1000.0),
            read_gbs: 40.0,
            write_gbs: 40.0,
            rows: [row(64, 20.0, 10.0), row(128, 40.0, 20.0), row(256, 50.0, 30.0), row(512, 50.0, 25.0)],
            cache_bytes: 1 << 20,
        }
    }

    #[test]
    fn rates_lie_between_their_neighbours() {
        let m = machine();
        for (bytes, read, update) in [
            (4.0, 1.25, 0.625),
            (64.0, 20.0, 10.0),
            (96.0, 30.0, 15.0),
            (128.0, 40.0, 20.0),
            (192.0, 45.0, 25.0),
            (384.0, 50.0, 27.5),
            (512.0, 50.0, 25.0),
            (4096.0, 50.0, 25.0),
        ] {
            assert_eq!((m.rows_read(bytes), m.rows_update(bytes)), (read, update), "{bytes}");
        }
    }

    #[test]
    fn an_operation_takes_the_longer_of_its_parts_and_a_step_their_sum() {
        let rows = |count| Rows { count, bytes: 128 * count };
        let cost = |flops, streamed, read, updated| Cost {
            flops,
            streamed,
            rows_read: rows(read),
            rows_updated: rows(updated),
        };
        // 1 ms each: arithmetic, streaming, rows read, rows updated.
        let (flops, streamed, read, updated) = (500_000_000, 40_000_000, 312_500, 156_250);
        let m = machine();
        for (cost, bound, step) in [
            (cost(flops, 0, 0, 0), 1.0, 1.0),
            (cost(flops, streamed, read, updated), 3.0, 3.0),
            (cost(4 * flops, streamed, read, updated), 4.0, 6.0),
            (cost(0, 1 << 20, 0, 0), 0.0, 0.0),
            (Cost::default(), 0.0, 0.0),
        ] {
            assert!((m.bound_ms(&cost) - bound).abs() < 1e-9, "{cost:?}: {}", m.bound_ms(&cost));
            assert!((m.step_ms(&cost) - step).abs() < 1e-9, "{cost:?}: {}", m.step_ms(&cost));
        }
        assert_eq!(m.step_bf16_ms(&cost(flops, 0, 0, updated)), Some(1.5));
        assert_eq!(Roofline { bf16_gflops: None, ..m }.step_bf16_ms(&Cost::default()), None);
    }

    #[test]
    fn the_kaggle_model_s_step() {
        let config = DlrmConfig::criteo_kaggle(KAGGLE_NUM_EMBEDDINGS.to_vec());
        let cost = Cost::of_step(&config, 2048, 1);
        // Weights of both MLPs, and 351 dot products of 16: two operations each, three times.
        assert_eq!(cost.flops, 3 * 2 * 2048 * ((155_984 - 848) + (320_001 - 769) + 351 * 16));
        assert_eq!(cost.rows_read, Rows { count: 26 * 2048, bytes: 26 * 2048 * 64 });
        assert_eq!(cost.rows_updated, cost.rows_read);
        let forward = Cost::of_forward(&config, 2048, 1);
        assert_eq!((3 * forward.flops, forward.rows_updated), (cost.flops, Rows::default()));
        assert!((machine().step_ms(&cost) - (11.797 + 0.170 + 0.341)).abs() < 2e-3);
    }
}
