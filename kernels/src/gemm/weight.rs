//! The gradients of a layer's own parameters, which sum over the samples: `dW = dYᵀ · X`, and the
//! column sums of `dY` for the bias.
//!
//! ```text
//! for pc in blocks of MC samples                      X and dY of a block stay in L2
//!     for ic in groups of GROUP rows of dW            pack dY: [row tile][sample][MR]
//!         for j in panels of NR columns               pack X:  [sample][NR], which stays in L1
//!             for i in row tiles of the group
//!                 dW tile += packed dYᵀ · packed X
//! ```
//!
//! Both operands lie the right way for the register tile, and the first version read them in place.
//! But rows that are a power of two apart (K = 1024) share one set of the L1 cache and each has a
//! page of its own: that ran at two thirds of the speed. Packed, every shape runs alike; the copies are a few per
//! cent of the work, and both fit on the stack.

use super::Beta;
use super::microkernel::{
    Accumulate, Left, Right, RowTiles, Target, Tiles, accumulate_for, for_each_column_tile, for_each_row_tile, write,
};
use crate::check;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Samples that are summed in registers before they are added to `dW`.
const MC: usize = 256;

/// Rows of `dW` (columns of `dY`) that share a packed panel of `X`. Layers have powers of two.
const GROUP: usize = 128;

/// What a whole vector may write beyond the last packed row.
const SLACK: usize = 16;

/// Rows of `dY` between a prefetch and its use.
const ROWS_AHEAD: usize = 16;

/// The widest panel of any instruction set.
const MAX_NR: usize = 32;

/// Rows `rows` of `dW = dYᵀ · X` (added to `dw_rows` if `beta` is one), summed over all `m`:
/// `dy` M × N, `x` M × K, `dw_rows` `rows.len()` × K.
///
/// # Panics
/// If a slice does not have its shape, or `rows` ends after `n`.
#[allow(clippy::too_many_arguments)] // the operands and the shape of a BLAS call
pub fn linear_backward_weight(
    isa: Isa,
    dy: &[f32],
    x: &[f32],
    dw_rows: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    rows: Range<usize>,
    beta: Beta,
) {
    const OP: &str = "linear_backward_weight";
    check::shape(OP, "dy", dy.len(), [m, n]);
    check::shape(OP, "x", x.len(), [m, k]);
    check::shape(OP, "dw_rows", dw_rows.len(), [rows.len(), k]);
    assert!(rows.is_empty() || rows.end <= n, "{OP}: rows {rows:?} of {n}");
    if m == 0 && beta == Beta::Zero {
        dw_rows.fill(0.0);
    }
    isa.run(WeightGradient { dy, x, dw: dw_rows, m, n, k, rows, beta });
}

/// `out[j] = Σ_m dY[m][cols.start + j]` (added to `out` if `beta` is one), m ascending, with the
/// same bits on every instruction set: the gradient of a bias. `dy` is M × N.
///
/// # Panics
/// If a slice does not have its shape, or `cols` ends after `n`.
pub fn column_sums(isa: Isa, dy: &[f32], m: usize, n: usize, cols: Range<usize>, out: &mut [f32], beta: Beta) {
    const OP: &str = "column_sums";
    check::shape(OP, "dy", dy.len(), [m, n]);
    check::shape(OP, "out", out.len(), [1, cols.len()]);
    assert!(cols.is_empty() || cols.end <= n, "{OP}: columns {cols:?} of {n}");
    isa.run(ColumnSums { dy, m, n, first: cols.start, out, beta });
}

struct WeightGradient<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    dw: &'a mut [f32],
    m: usize,
    n: usize,
    k: usize,
    rows: Range<usize>,
    beta: Beta,
}

/// Packed operands, on the stack.
#[repr(align(64))]
struct Room<const N: usize>([MaybeUninit<f32>; N]);

impl Kernel for WeightGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let nr = S::LANES * S::TILE_VECTORS;
        assert!(nr <= MAX_NR);
        let mut left = Room([MaybeUninit::uninit(); MC * GROUP + SLACK]);
        let mut right = Room([MaybeUninit::uninit(); MC * MAX_NR]);
        let (left, right) = (left.0.as_mut_ptr().cast::<f32>(), right.0.as_mut_ptr().cast::<f32>());
        // Loop 4: blocks of samples.
        for pc in (0..self.m).step_by(MC) {
            let samples = MC.min(self.m - pc);
            // Loop 3: groups of rows of dW.
            for ic in (0..self.rows.len()).step_by(GROUP) {
                let rows = GROUP.min(self.rows.len() - ic);
                let dy = self.dy[pc * self.n + self.rows.start + ic..].as_ptr();
                let pack = PackLeft { dy, n: self.n, samples, to: left };
                // SAFETY: dY has samples rows from pc on and rows columns from rows.start + ic on;
                // left has room for MC × GROUP values and the slack.
                unsafe { for_each_row_tile(simd, rows, &pack) }
                // Loop 2: panels of X.
                for j in (0..self.k).step_by(nr) {
                    let width = nr.min(self.k - j);
                    let tiles = WeightTiles {
                        left,
                        right,
                        dw: self.dw[ic * self.k + j..].as_mut_ptr(),
                        samples,
                        k: self.k,
                        width,
                        finish: Accumulate(pc > 0 || self.beta == Beta::One),
                    };
                    // Loop 1: row tiles.
                    // SAFETY: X has samples rows from pc on and width columns from j on, and
                    // right room for MC × NR; dW has rows rows from ic on.
                    unsafe {
                        pack_right(simd, self.x[pc * self.k + j..].as_ptr(), self.k, samples, width, right);
                        for_each_row_tile(simd, rows, &tiles);
                    }
                }
            }
        }
    }
}

/// Copies columns of `dY`, tile by tile: the tile that starts at column `i` lies at
/// `to + i · samples`, sample after sample. Whole vectors are stored, each over the end of the one
/// before, so that the room must go on for [`SLACK`] values.
struct PackLeft {
    dy: *const f32,
    n: usize,
    samples: usize,
    to: *mut f32,
}

impl<S: Simd> RowTiles<S> for PackLeft {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        debug_assert!(MR <= S::LANES && S::LANES <= SLACK);
        for p in 0..self.samples {
            // SAFETY: the caller vouches for columns i .. i + MR of `samples` rows, and for the room.
            unsafe {
                let row = self.dy.add(p * self.n + i);
                simd.prefetch(row.wrapping_add(ROWS_AHEAD * self.n));
                simd.store(self.to.add(i * self.samples + p * MR), simd.load_partial(row, MR));
            }
        }
    }
}

/// Copies `width ≤ NR` columns of `X` into whole vectors, padded with zeros.
///
/// # Safety
/// `samples` rows of `width`, `k` apart, must be readable at `x`, and `samples × NR` writable at `to`.
#[inline(always)]
unsafe fn pack_right<S: Simd>(simd: S, x: *const f32, k: usize, samples: usize, width: usize, to: *mut f32) {
    for p in 0..samples {
        for v in 0..S::TILE_VECTORS {
            let lanes = width.saturating_sub(v * S::LANES).min(S::LANES);
            // SAFETY: the caller vouches for both sides; lanes beyond width are not read.
            unsafe {
                let from = x.wrapping_add(p * k + v * S::LANES);
                let vector = if lanes == S::LANES { simd.load(from) } else { simd.load_partial(from, lanes) };
                simd.store(to.add((p * S::TILE_VECTORS + v) * S::LANES), vector);
            }
        }
    }
}

/// One panel's columns of a group of rows of `dW`.
struct WeightTiles {
    left: *const f32,
    right: *const f32,
    dw: *mut f32,
    samples: usize,
    k: usize,
    width: usize,
    finish: Accumulate,
}

impl<S: Simd> RowTiles<S> for WeightTiles {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: the caller vouches for rows i .. i + MR; the panel has this width.
        unsafe { for_each_column_tile::<S, MR>(simd, i, 0..self.width, self) }
    }
}

impl<S: Simd> Tiles<S> for WeightTiles {
    /// The panel is one tile wide: `j` is 0.
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, _: usize, tail: usize) {
        // SAFETY: the caller vouches for the rows; they are packed at i · samples.
        unsafe {
            let a = Left { at: self.left.add(i * self.samples), row: 1, step: MR };
            let b = Right { at: self.right, step: S::LANES * S::TILE_VECTORS };
            let to = Target { at: self.dw.add(i * self.k), row: self.k, tail };
            write(simd, accumulate_for::<S, MR, NV>(simd, self.samples, a, b, to), to, self.finish);
        }
    }
}

struct ColumnSums<'a> {
    dy: &'a [f32],
    m: usize,
    n: usize,
    first: usize,
    out: &'a mut [f32],
    beta: Beta,
}

impl Kernel for ColumnSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut out = self.out;
        let mut column = self.first;
        while !out.is_empty() {
            let wide = 4 * S::LANES;
            let take = if out.len() >= wide { wide } else { S::LANES.min(out.len()) };
            let (now, rest) = out.split_at_mut(take);
            // SAFETY: columns column .. column + take lie in dy (M × N), as the caller asserted.
            unsafe {
                let dy = self.dy.as_ptr().add(column.min(self.dy.len()));
                if take == wide {
                    sum_columns::<S, 4>(simd, dy, self.m, self.n, now, self.beta);
                } else {
                    sum_columns::<S, 1>(simd, dy, self.m, self.n, now, self.beta);
                }
            }
            column += take;
            out = rest;
        }
    }
}

/// # Safety
/// `out.len()` columns (at most NV vectors, only the last one partial) of `m` rows must be
/// readable from `dy` on, rows `n` apart.
#[inline(always)]
unsafe fn sum_columns<S: Simd, const NV: usize>(
    simd: S,
    dy: *const f32,
    m: usize,
    n: usize,
    out: &mut [f32],
    beta: Beta,
) {
    let tail = out.len() - (NV - 1) * S::LANES;
    let lanes = |v: usize| if v == NV - 1 { tail } else { S::LANES };
    let mut sums = [simd.zero(); NV];
    for i in 0..m {
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: row i < m, and the last vector reads its `tail` lanes only.
            *sum = simd.add(*sum, unsafe { simd.load_partial(dy.add(i * n + v * S::LANES), lanes(v)) });
        }
    }
    let to = Target { at: out.as_mut_ptr(), row: 0, tail };
    // SAFETY: the vectors cover exactly out.
    unsafe { write(simd, [sums], to, Accumulate(beta == Beta::One)) }
}
