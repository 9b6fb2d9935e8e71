//! What an ordinary GPU can do at most, so that a step on one can be counted where there is none to measure.

use super::{Roofline, RowRate};

/// Multiply-adds and memory of a GPU at the middle of the market, in round figures. It is an assumption, not a machine:
/// figures of a real one take their place where they are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// Multiply-adds of `f32`, billions of operations a second; one multiply-add is two.
    pub f32_gflops: f64,
    /// Its memory, front to back, GB (10⁹ bytes) a second.
    pub memory_gbs: f64,
    /// Its last level of cache, GB a second.
    pub cache_gbs: f64,
    /// Workgroup memory of all its processors together, GB a second. What threads of a subgroup read at one address
    /// counts once.
    pub workgroup_gbs: f64,
    /// The last level of cache, in bytes.
    pub cache_bytes: u64,
    /// The least that comes from memory at a time, in bytes.
    pub sector_bytes: usize,
    /// The way from and to this machine, GB a second.
    pub bus_gbs: f64,
}

impl Gpu {
    /// 20 TFLOP/s and 500 GB/s: 40 operations for a byte of memory, 10 for one of the cache, 2 for one of workgroup memory.
    pub const ORDINARY: Gpu = Gpu {
        f32_gflops: 20_000.0,
        memory_gbs: 500.0,
        cache_gbs: 2_000.0,
        workgroup_gbs: 10_000.0,
        cache_bytes: 4 << 20,
        sector_bytes: 32,
        bus_gbs: 12.0,
    };

    /// Its peaks as the limits of a step. A row of a table is whole sectors, and one that is changed is moved twice.
    pub fn roofline(&self) -> Roofline {
        let row = |bytes: usize| {
            let useful = bytes as f64 / bytes.next_multiple_of(self.sector_bytes) as f64;
            RowRate { bytes, read_gbs: self.memory_gbs * useful, update_gbs: self.memory_gbs * useful / 2.0 }
        };
        Roofline {
            isa: "GPU",
            threads: 1,
            f32_gflops: self.f32_gflops,
            bf16_gflops: None,
            read_gbs: self.memory_gbs,
            write_gbs: self.memory_gbs,
            rows: [64, 128, 256, 512].map(row),
            cache_bytes: self.cache_bytes,
        }
    }
}

/// A tile of a matrix product, as one of the shaders `linear_*` computes it: `side × side` numbers a workgroup, of which a
/// thread has `own × own` in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Numbers along each side of a workgroup's tile.
    pub side: usize,
    /// Numbers along each side of a thread's part.
    pub own: usize,
    /// Threads of a subgroup that read the same address side by side: those along one side of the workgroup.
    pub together: usize,
}

impl Tile {
    /// The tile of the shader of that text, which has `const TILE = …` and the threads of both sides.
    ///
    /// # Panics
    /// If it has not.
    pub fn of(source: &str) -> Tile {
        let number = |before: &str| -> usize {
            let (_, rest) = source.split_once(before).unwrap_or_else(|| panic!("Tile: no `{before}` in the shader"));
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("Tile: `{before}` and no number"))
        };
        let (side, threads) = (number("const TILE = "), number("@workgroup_size("));
        Tile { side, own: side / threads, together: threads }
    }

    /// Operations for a byte of the two operands that comes from memory or cache into workgroup memory: with `n` numbers
    /// a side, `2 n²` for `2 n` numbers.
    pub fn flops_a_byte(&self) -> f64 {
        (2 * self.side * self.side) as f64 / (size_of::<f32>() * 2 * self.side) as f64
    }

    /// Operations for a byte that comes from workgroup memory into the registers of a subgroup of 32 threads, where
    /// threads along a row read one address of one operand, and along a column one of the other.
    pub fn flops_a_workgroup_byte(&self) -> f64 {
        const SUBGROUP: usize = 32;
        let (columns, rows) = (self.together.min(SUBGROUP), SUBGROUP.div_ceil(self.together));
        (SUBGROUP * 2 * self.own * self.own) as f64 / (size_of::<f32>() * self.own * (columns + rows)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS};
    use crate::roofline::Cost;
    use dlrm_kernels::wgsl;

    /// Where a tile has fewer operations for a byte than the GPU wants, that level of memory is what it waits for.
    #[test]
    fn tiles_of_the_products_suffice_for_an_ordinary_gpu() {
        let gpu = Gpu::ORDINARY;
        for shader in [wgsl::LINEAR_FORWARD, wgsl::LINEAR_BACKWARD_INPUT, wgsl::LINEAR_BACKWARD_WEIGHT] {
            let tile = Tile::of(shader.source);
            assert_eq!((tile.side, tile.own), (64, 4), "{}", shader.name);
            // Neighbours read the same rows: from the cache, which the operands of a layer fit in.
            let [cache, workgroup] = [gpu.cache_gbs, gpu.workgroup_gbs].map(|gbs| gpu.f32_gflops / gbs);
            assert!(tile.flops_a_byte() >= cache, "{}: {} < {cache}", shader.name, tile.flops_a_byte());
            let flops = tile.flops_a_workgroup_byte();
            assert!(flops >= workgroup, "{}: {flops} < {workgroup}", shader.name);
        }
        // A plain thread a number: 2 operations for 8 bytes of the cache.
        let plain = Tile { side: 1, own: 1, together: 1 };
        assert_eq!(plain.flops_a_byte(), 0.25);
    }

    #[test]
    fn a_step_of_the_kaggle_model() {
        let config = DlrmConfig::criteo_kaggle(KAGGLE_NUM_EMBEDDINGS.to_vec());
        let machine = Gpu::ORDINARY.roofline();
        let cost = Cost::of_step(&config, 2048, 1);
        // 5.9 GFLOP at 20 TFLOP/s; 53,248 rows of 64 bytes read, and changed at half the rate.
        let milliseconds = machine.step_ms(&cost);
        assert!((milliseconds - (0.295 + 0.0068 + 0.0136)).abs() < 1e-3, "{milliseconds}");
    }
}
