//! The register tile: MR rows by NV vectors of one output, accumulated over the inner dimension.
//!
//! ```text
//! for p in 0..k
//!     for i in 0..MR
//!         acc[i] += a(i, p) · b(p)          b(p): NV vectors along the output's contiguous dimension
//! ```
//!
//! 1. The accumulators never leave the registers: MR · NV of them, beside NV vectors of `b` and
//!    one broadcast of `a`. MR · NV ≥ 8 hides the latency of the multiply-add (four cycles, two a
//!    cycle).
//! 2. `a` is read one scalar at a time: a broadcast costs the load that a packed scalar would need
//!    too. The two strides make rows in place and packed columns both fit.
//! 3. Rows that are left over take smaller tiles; columns that are left over are padding in `b`, and
//!    a masked last vector in the output.
//! 4. Each output element is one chain of multiply-adds over `p` from 0 up, whatever the tile
//!    sizes: how rows or columns are cut into tiles (and shared between threads) changes no bit.

use crate::simd::Simd;
use std::ops::Range;

/// The left operand: element `(i, p)` lies at `at + i · row + p · step`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub at: *const f32,
    pub row: usize,
    pub step: usize,
}

/// The right operand: the vectors of step `p` start at `at + p · step`, and are whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Right {
    pub at: *const f32,
    pub step: usize,
}

/// What else is done in each step of a sum: a copy or a prefetch there costs next to nothing, as the
/// multiply-adds wait for no memory. (No closure: it would not always be inlined, and without the instruction set
/// of its caller every operation in it is a call.) Implementations are `#[inline(always)]`.
pub(crate) trait EachStep<S: Simd> {
    /// # Safety
    /// Whatever the implementation points to must hold step `p`.
    unsafe fn step<const NV: usize>(&mut self, simd: S, p: usize, right: [S::V; NV]);
}

/// Nothing.
impl<S: Simd> EachStep<S> for () {
    #[inline(always)]
    unsafe fn step<const NV: usize>(&mut self, _: S, _: usize, _: [S::V; NV]) {}
}

/// `Σ_p a(i, p) · b(p)` over `steps` for `MR` rows and `NV` vectors, on top of `acc`, with `each` in between.
///
/// # Safety
/// All the elements of `a` and `b` for `i < MR` and `p` in `steps` must be readable, and `each` must hold
/// the steps.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    mut acc: [[S::V; NV]; MR],
    steps: Range<usize>,
    a: Left,
    b: Right,
    each: &mut impl EachStep<S>,
) -> [[S::V; NV]; MR] {
    for p in steps {
        // SAFETY: i < MR and v < NV; the caller vouches for these elements, and for the step.
        unsafe {
            let mut right = [simd.zero(); NV];
            for (v, right) in right.iter_mut().enumerate() {
                *right = simd.load(b.at.add(p * b.step + v * S::LANES));
            }
            each.step(simd, p, right);
            for (i, row) in acc.iter_mut().enumerate() {
                let left = simd.splat(*a.at.add(i * a.row + p * a.step));
                for (sum, right) in row.iter_mut().zip(right) {
                    *sum = simd.fma(left, right, *sum);
                }
            }
        }
    }
    acc
}

/// Where a tile goes: row `i` at `at + i · row`, with `tail ≤ LANES` lanes in its last vector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub at: *mut f32,
    pub row: usize,
    pub tail: usize,
}

/// [`accumulate`] from zero, for a target that will be read: its rows are asked for one at a time,
/// spread over the sum. (All at once they would fill the line buffers, and the sum would wait.)
///
/// # Safety
/// All the elements of `a` and `b` for `i < MR` and `p < k` must be readable, and `each` must hold the steps.
#[inline(always)]
pub(crate) unsafe fn accumulate_for<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    k: usize,
    a: Left,
    b: Right,
    to: Target,
    each: &mut impl EachStep<S>,
) -> [[S::V; NV]; MR] {
    let mut acc = [[simd.zero(); NV]; MR];
    let mut row = to.at;
    for first in (0..k).step_by(k.div_ceil(MR).max(1)) {
        for column in (0..NV * S::LANES).step_by(16) {
            simd.prefetch(row.wrapping_add(column));
        }
        row = row.wrapping_add(to.row);
        // SAFETY: these steps are among the k that the caller vouches for.
        acc = unsafe { accumulate(simd, acc, first..k.min(first + k.div_ceil(MR)), a, b, each) };
    }
    acc
}

/// What happens to a finished sum on its way to memory: `C = act(sum + b)`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Epilogue {
    /// The value to add in each column, if any; points at the tile's first.
    pub bias: Option<*const f32>,
    pub relu: bool,
}

/// Writes a tile, each vector passed through `epilogue` first; with `ADD`, on top of what is there.
///
/// There is no branch for a vector: without a bias zeros are added, and without ReLU nothing is below
/// the floor of -∞. With K = 13 the branches took as long as a quarter of the sums.
///
/// # Safety
/// The tile's elements must be writable, with `ADD` readable too, and the bias readable.
#[inline(always)]
pub(crate) unsafe fn write<S: Simd, const MR: usize, const NV: usize, const ADD: bool>(
    simd: S,
    acc: [[S::V; NV]; MR],
    to: Target,
    epilogue: Epilogue,
) {
    let floor = simd.splat(if epilogue.relu { 0.0 } else { f32::NEG_INFINITY });
    let mut biases = [simd.zero(); NV];
    if let Some(bias) = epilogue.bias {
        for (v, b) in biases.iter_mut().enumerate() {
            let lanes = if v == NV - 1 { to.tail } else { S::LANES };
            // SAFETY: the caller vouches for a value in each column of the tile.
            *b = unsafe { simd.load_partial(bias.add(v * S::LANES), lanes) };
        }
    }
    for (i, row) in acc.into_iter().enumerate() {
        for (v, mut sum) in row.into_iter().enumerate() {
            let lanes = if v == NV - 1 { to.tail } else { S::LANES };
            // SAFETY: i < MR, v < NV, and the last vector is cut to its `tail` lanes; the caller
            // vouches for these elements.
            unsafe {
                let at = to.at.add(i * to.row + v * S::LANES);
                if ADD {
                    let old = if lanes == S::LANES { simd.load(at) } else { simd.load_partial(at, lanes) };
                    sum = simd.add(old, sum);
                }
                let value = simd.at_least(floor, simd.add(sum, biases[v]));
                if lanes == S::LANES { simd.store(at, value) } else { simd.store_partial(at, value, lanes) }
            }
        }
    }
}

/// Work on `MR` rows from row `i` on. Implementations are `#[inline(always)]`.
pub(crate) trait RowTiles<S: Simd> {
    /// # Safety
    /// Rows `i .. i + MR` must exist.
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize);
}

/// Work on a tile of `MR` rows by `NV` vectors. Implementations are `#[inline(always)]`.
pub(crate) trait Tiles<S: Simd> {
    /// The tile at row `i` and column `j`, whose last vector has `tail` columns.
    ///
    /// # Safety
    /// Rows `i .. i + MR` and those columns must exist.
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, j: usize, tail: usize);
}

/// Cuts `columns` into tiles of NR, the last as narrow as it can be.
///
/// # Safety
/// Rows `i .. i + MR` and `columns` of `work` must exist.
#[inline(always)]
pub(crate) unsafe fn for_each_column_tile<S: Simd, const MR: usize>(
    simd: S,
    i: usize,
    columns: Range<usize>,
    work: &impl Tiles<S>,
) {
    let nr = S::LANES * S::TILE_VECTORS;
    let mut j = columns.start;
    while j < columns.end {
        let width = nr.min(columns.end - j);
        // SAFETY: the caller vouches for the rows, and the tile ends where the columns do.
        unsafe {
            if S::TILE_VECTORS == 2 && width > S::LANES {
                work.tile::<MR, 2>(simd, i, j, width - S::LANES);
            } else {
                work.tile::<MR, 1>(simd, i, j, width);
            }
        }
        j += nr;
    }
}

/// Rows of the next tile when `left` are left: the most that the registers hold (but 16 = 8 + 8,
/// which is quicker than 14 + 2, and 8 = 4 + 4 than 6 + 2).
#[inline(always)]
pub(crate) fn tile_rows<S: Simd>(left: usize) -> usize {
    let sizes: &[usize] = match S::TILE_ROWS {
        14 if left == 16 => &[8],
        14 => &[14, 8, 4, 2, 1],
        6 if left == 8 => &[4],
        6 => &[6, 4, 2, 1],
        _ => &[4, 2, 1],
    };
    sizes.iter().copied().find(|&rows| rows <= left).unwrap_or(left)
}

/// Cuts rows `0..m` into tiles of [`tile_rows`].
///
/// # Safety
/// Rows `0..m` of `work` must exist.
#[inline(always)]
pub(crate) unsafe fn for_each_row_tile<S: Simd>(simd: S, m: usize, work: &impl RowTiles<S>) {
    let mut i = 0;
    while i < m {
        let rows = tile_rows::<S>(m - i);
        // SAFETY: tile_rows takes no more rows than are left. The arms that a set never takes are
        // gone at compile time.
        unsafe {
            match rows {
                14 if S::TILE_ROWS == 14 => work.rows::<14>(simd, i),
                8 if S::TILE_ROWS == 14 => work.rows::<8>(simd, i),
                6 if S::TILE_ROWS == 6 => work.rows::<6>(simd, i),
                4 => work.rows::<4>(simd, i),
                2 => work.rows::<2>(simd, i),
                _ => work.rows::<1>(simd, i),
            }
        }
        i += rows;
    }
}
