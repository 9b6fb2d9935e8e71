//! `C = A · B` in plain Rust, step by step from the three lines of the definition to five loops. All matrices are
//! `n × n`, row-major, and `n` is a multiple of [`MULTIPLE`]. The chapter `dlrm::guide::ch07_gemm` explains each step.

/// Rows of the register tile.
pub const MR: usize = 4;

/// Columns of the register tile: with [`MR`] rows they fill most of the registers that the compiler may use, 16 of 4
/// numbers, of 8 with AVX, or 32 of 16 with AVX-512.
pub const NR: usize = if cfg!(target_feature = "avx512f") {
    64
} else if cfg!(target_feature = "avx") {
    16
} else {
    8
};

/// Steps of the sum taken at a time: a panel of B, `KC × NR`, then stays in the L1 cache.
const KC: usize = 256;

/// Rows of A packed at a time: `MC × KC` numbers, 128 KiB, stay in L2.
const MC: usize = 128;

/// Columns of B packed at a time: `KC × NC` numbers, 1 MiB, stay in L3.
const NC: usize = 1024;

/// What `n` must be a multiple of, so that no step needs code for edges.
pub const MULTIPLE: usize = 64;

/// 1. The definition: a row of A times a column of B, for each element of C.
pub fn naive(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    for i in 0..n {
        for j in 0..n {
            let mut sum = 0.0;
            for p in 0..n {
                sum += a[i * n + p] * b[p * n + j];
            }
            c[i * n + j] = sum;
        }
    }
}

/// 2. The same products in another order: the innermost loop runs along rows of B and C.
pub fn loop_order(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    c.fill(0.0);
    for (a, c) in a.chunks_exact(n).zip(c.chunks_exact_mut(n)) {
        for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
            c.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
        }
    }
}

/// `MR × NR` elements of C.
type Tile = [[f32; NR]; MR];

/// 3. `MR × NR` elements of C stay in registers for the whole sum.
pub fn register_tile(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    for i in (0..n).step_by(MR) {
        for j in (0..n).step_by(NR) {
            let rows: [&[f32]; MR] = std::array::from_fn(|r| &a[(i + r) * n..][..n]);
            let mut tile = [[0.0; NR]; MR];
            for (p, b) in b.chunks_exact(n).enumerate() {
                add_products(&mut tile, &rows.map(|row| row[p]), b[j..].first_chunk().expect("NR columns"));
            }
            put(&tile, c, n, [i, j]);
        }
    }
}

/// 4. The same tile, but A and B were copied before into the order in which it reads them.
pub fn packed_panels(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    let (mut tiles, mut panels) = (Vec::new(), Vec::new());
    pack_a(a, n, [0, n], [0, n], &mut tiles);
    pack_b(b, n, [0, n], [0, n], &mut panels);
    for (panel, b) in panels.chunks_exact(n * NR).enumerate() {
        for (row, a) in tiles.chunks_exact(n * MR).enumerate() {
            let tile = multiply([[0.0; NR]; MR], a, b);
            put(&tile, c, n, [row * MR, panel * NR]);
        }
    }
}

/// 5. The same, block by block, so that what is read again is still in a cache: the five loops.
pub fn five_loops(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    c.fill(0.0);
    let (mut tiles, mut panels) = (Vec::new(), Vec::new());
    for jc in (0..n).step_by(NC) {
        for pc in (0..n).step_by(KC) {
            let steps = [pc, n.min(pc + KC)];
            pack_b(b, n, steps, [jc, n.min(jc + NC)], &mut panels);
            for ic in (0..n).step_by(MC) {
                pack_a(a, n, [ic, n.min(ic + MC)], steps, &mut tiles);
                let depth = steps[1] - pc;
                for (panel, b) in panels.chunks_exact(depth * NR).enumerate() {
                    for (row, a) in tiles.chunks_exact(depth * MR).enumerate() {
                        let at = [ic + row * MR, jc + panel * NR];
                        let tile = multiply(get(c, n, at), a, b);
                        put(&tile, c, n, at);
                    }
                }
            }
        }
    }
}

/// Adds the products of a packed tile of A and a packed panel of B to `tile`. A function of its own: inlined into the loops
/// around it, the compiler kept the tile in memory.
#[inline(never)]
fn multiply(mut tile: Tile, a: &[f32], b: &[f32]) -> Tile {
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        add_products(&mut tile, a, b);
    }
    tile
}

/// One step of the sum. The loops have constant bounds: the compiler unrolls them and keeps the tile in registers.
#[inline(always)]
fn add_products(tile: &mut Tile, a: &[f32; MR], b: &[f32; NR]) {
    for (row, a) in tile.iter_mut().zip(a) {
        for (sum, b) in row.iter_mut().zip(b) {
            *sum += a * b;
        }
    }
}

/// The tile of C at row `i` and column `j`.
fn get(c: &[f32], n: usize, [i, j]: [usize; 2]) -> Tile {
    std::array::from_fn(|r| *c[(i + r) * n + j..].first_chunk().expect("NR columns"))
}

/// Stores a tile there.
fn put(tile: &Tile, c: &mut [f32], n: usize, [i, j]: [usize; 2]) {
    for (r, row) in tile.iter().enumerate() {
        c[(i + r) * n + j..][..NR].copy_from_slice(row);
    }
}

/// Copies a block of A: tile after tile of MR rows, in it step after step, in it row after row.
fn pack_a(a: &[f32], n: usize, [first, end]: [usize; 2], [start, stop]: [usize; 2], to: &mut Vec<f32>) {
    to.clear();
    for i in (first..end).step_by(MR) {
        for p in start..stop {
            to.extend((i..i + MR).map(|i| a[i * n + p]));
        }
    }
}

/// Copies a block of B: panel after panel of NR columns, in it step after step.
fn pack_b(b: &[f32], n: usize, [start, stop]: [usize; 2], [first, end]: [usize; 2], to: &mut Vec<f32>) {
    to.clear();
    for j in (first..end).step_by(NR) {
        for p in start..stop {
            to.extend_from_slice(&b[p * n + j..][..NR]);
        }
    }
}
