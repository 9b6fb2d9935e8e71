//! The gradients of a layer's own parameters, which sum over the samples: `dW = dYᵀ · X`, and
//! `db = Σ_m dY[m]`.
//!
//! ```text
//! for pc in blocks of MC samples
//!     for ic in groups of GROUP rows of dW            pack dY: [row tile][sample][MR], in L2; sum db
//!         for j in panels of NR columns               pack X:  [sample][NR], which stays in L1
//!             for i in row tiles of the group
//!                 dW tile += packed dYᵀ · packed X
//! ```
//!
//! 1. Both operands lie the right way for the register tile. But rows that are a power of two apart
//!    (K = 1024) share one set of the L1 cache and each has a page of its own: in place that ran at
//!    two thirds of the speed. Packed, every shape runs alike.
//! 2. A copied panel of X serves a whole group of rows of `dW`: in groups of 128 the copies took a tenth
//!    of the time.
//! 3. Where a row of `dW` is shorter than a tile is high (K < MR: the 13 dense features of Criteo), it
//!    is the copy of dY that is not repaid. Then `dWᵀ = Xᵀ · dY` is computed, with the
//!    few columns of X packed and dY as the right operand, in place; and X gets a column of ones, whose
//!    products are `db`.
//!
//! The bias sums take the samples in order, one chain a column, so that they have the same bits on every
//! instruction set; in the third case a chain ends after [`NARROW_MC`] samples, and the chains are added.

use super::Beta;
use super::microkernel::{
    Epilogue, Left, Right, RowTiles, Target, Tiles, accumulate, accumulate_for, for_each_column_tile,
    for_each_row_tile, write,
};
use crate::check;
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::Simd;
use std::ops::Range;

/// Samples that are summed in registers before they are added to `dW`.
const MC: usize = 256;

/// Rows of `dW` (columns of `dY`) that share a packed panel of `X`: 512 KiB of packed dY.
const GROUP: usize = 512;

/// Samples of a block where X has few columns: a packed block of them is 56 KiB.
const NARROW_MC: usize = 1024;

/// Samples whose columns of `dY` are copied together: as they are cut into tiles, their cache lines
/// are read twice, and should still be in L1 the second time (8 rows of 512 columns: 16 KiB).
const TOGETHER: usize = 8;

/// Rows between a prefetch and its use: a row takes a few cycles, the L3 cache some 150 (Zen 4:
/// 48 is 3 % faster than 16, and 96 no better). They are asked for into L2: where K is a power of two, as many
/// rows do not fit the sets of L1 that they fall into.
const ROWS_AHEAD: usize = 48;

/// Rows `rows` of `dW = dYᵀ · X` (added to `dw_rows` if `beta` is one) and, if `db_rows` is there, as
/// many values of `db = Σ_m dY[m]` (likewise, by its own beta), summed over all `m`: `dy` M × N, `x`
/// M × K, `dw_rows` `rows.len()` × K.
///
/// # Panics
/// If a slice does not have its shape, or `rows` ends after `n`.
#[allow(clippy::too_many_arguments)] // the operands and the shape of a BLAS call
pub fn linear_backward_weight(
    isa: Isa,
    dy: &[f32],
    x: &[f32],
    dw_rows: &mut [f32],
    db_rows: Option<(&mut [f32], Beta)>,
    m: usize,
    n: usize,
    k: usize,
    rows: Range<usize>,
    beta: Beta,
    scratch: &mut Scratch,
) {
    const OP: &str = "linear_backward_weight";
    check::shape(OP, "dy", dy.len(), [m, n]);
    check::shape(OP, "x", x.len(), [m, k]);
    check::shape(OP, "dw_rows", dw_rows.len(), [rows.len(), k]);
    assert!(rows.is_empty() || rows.end <= n, "{OP}: rows {rows:?} of {n}");
    let mut db = None;
    if let Some((db_rows, beta)) = db_rows {
        check::shape(OP, "db_rows", db_rows.len(), [1, rows.len()]);
        if beta == Beta::Zero {
            db_rows.fill(0.0);
        }
        db = Some(db_rows);
    }
    if m == 0 && beta == Beta::Zero {
        dw_rows.fill(0.0);
    }
    isa.run(WeightGradient { dy, x, dw: dw_rows, db, m, n, k, rows, beta, scratch });
}

struct WeightGradient<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    dw: &'a mut [f32],
    /// What the column sums are added to.
    db: Option<&'a mut [f32]>,
    m: usize,
    n: usize,
    k: usize,
    rows: Range<usize>,
    beta: Beta,
    scratch: &'a mut Scratch,
}

impl Kernel for WeightGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.k < S::TILE_ROWS { self.narrow(simd) } else { self.wide(simd) }
    }
}

impl WeightGradient<'_> {
    #[inline(always)]
    fn wide<S: Simd>(mut self, simd: S) {
        let nr = S::LANES * S::TILE_VECTORS;
        let group = GROUP.min(self.rows.len());
        let block = MC.min(self.m);
        let [left, right] = self.scratch.rooms([block * group, block * nr]);
        let (left, right) = (left.as_mut_ptr(), right.as_mut_ptr());
        // Loop 4: blocks of samples.
        for pc in (0..self.m).step_by(MC) {
            let samples = MC.min(self.m - pc);
            // Loop 3: groups of rows of dW.
            for ic in (0..self.rows.len()).step_by(GROUP) {
                let rows = GROUP.min(self.rows.len() - ic);
                let dy = self.dy[pc * self.n + self.rows.start + ic..].as_ptr();
                let db = self.db.as_mut().map(|db| db[ic..].as_mut_ptr());
                for now in (0..samples).step_by(TOGETHER).map(|p| p..samples.min(p + TOGETHER)) {
                    let pack = PackLeft { dy, n: self.n, samples, now, db, to: left };
                    // SAFETY: dY has samples rows from pc on and rows columns from rows.start + ic on,
                    // db as many; left has room for them.
                    unsafe { for_each_row_tile(simd, rows, &pack) }
                }
                // Loop 2: panels of X.
                for j in (0..self.k).step_by(nr) {
                    let width = nr.min(self.k - j);
                    let panel =
                        Panel { left, right, dw: self.dw[ic * self.k + j..].as_mut_ptr(), samples, k: self.k, width };
                    // Loop 1: row tiles.
                    // SAFETY: X has samples rows from pc on and width columns from j on, and
                    // right room for MC × NR; dW has rows rows from ic on.
                    unsafe {
                        pack_right(simd, self.x[pc * self.k + j..].as_ptr(), self.k, samples, width, right);
                        if pc > 0 || self.beta == Beta::One {
                            for_each_row_tile(simd, rows, &WeightTiles::<true>(panel));
                        } else {
                            for_each_row_tile(simd, rows, &WeightTiles::<false>(panel));
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn narrow<S: Simd>(self, simd: S) {
        let WeightGradient { dw, mut db, k, .. } = self;
        let (nr, mr) = (S::LANES * S::TILE_VECTORS, S::TILE_ROWS);
        let block = NARROW_MC.min(self.m);
        let [left, right, sums] = self.scratch.rooms([block * mr, block * nr, mr * nr]);
        // Loop 3: blocks of samples.
        for pc in (0..self.m).step_by(NARROW_MC) {
            let samples = NARROW_MC.min(self.m - pc);
            for (p, to) in left.chunks_exact_mut(mr).take(samples).enumerate() {
                to.fill(0.0);
                to[..self.k].copy_from_slice(&self.x[(pc + p) * self.k..][..self.k]);
                to[self.k] = 1.0;
            }
            // Loop 2: panels of dY.
            for j in (0..self.rows.len()).step_by(nr) {
                let width = nr.min(self.rows.len() - j);
                let dy = self.dy[pc * self.n + self.rows.start + j..].as_ptr();
                // SAFETY: dY has samples rows from pc on and width columns from j on; the rooms are
                // as large as a block, and sums as a tile.
                unsafe {
                    let mut b = Right { at: dy, step: self.n };
                    if width < nr {
                        pack_right(simd, dy, self.n, samples, width, right.as_mut_ptr());
                        b = Right { at: right.as_ptr(), step: nr };
                    }
                    narrow_tile(simd, samples, left.as_ptr(), b, sums.as_mut_ptr());
                }
                let accumulate = pc > 0 || self.beta == Beta::One;
                for c in 0..width {
                    for (i, dw) in dw[(j + c) * k..][..k].iter_mut().enumerate() {
                        let sum = sums[i * nr + c];
                        *dw = if accumulate { *dw + sum } else { sum };
                    }
                    if let Some(db) = &mut db {
                        db[j + c] += sums[k * nr + c];
                    }
                }
            }
        }
    }
}

/// `left · b`, a whole tile, into `sums`.
///
/// # Safety
/// `left` must hold `samples` × MR values, `b` as many rows of NR, and `sums` room for MR × NR.
#[inline(always)]
unsafe fn narrow_tile<S: Simd>(simd: S, samples: usize, left: *const f32, b: Right, sums: *mut f32) {
    let tile = NarrowTile { samples, left, b, sums };
    // SAFETY: TILE_ROWS rows are one row tile, and NR columns one column tile.
    unsafe { for_each_row_tile(simd, S::TILE_ROWS, &tile) }
}

struct NarrowTile {
    samples: usize,
    left: *const f32,
    b: Right,
    sums: *mut f32,
}

impl<S: Simd> RowTiles<S> for NarrowTile {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: the caller vouches for the rows and a whole tile of columns.
        unsafe { for_each_column_tile::<S, MR>(simd, i, 0..S::LANES * S::TILE_VECTORS, self) }
    }
}

impl<S: Simd> Tiles<S> for NarrowTile {
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, _: usize, _: usize, tail: usize) {
        // SAFETY: the caller vouches for both operands and the room.
        unsafe {
            let a = Left { at: self.left, row: 1, step: MR };
            let mut acc = [[simd.zero(); NV]; MR];
            let ahead = ROWS_AHEAD.min(self.samples);
            for p in 0..self.samples {
                for column in (0..NV * S::LANES).step_by(16) {
                    simd.prefetch(self.b.at.wrapping_add((p + ahead) * self.b.step + column));
                }
                let (a, b) =
                    (Left { at: a.at.add(p * MR), ..a }, Right { at: self.b.at.add(p * self.b.step), ..self.b });
                acc = accumulate(simd, acc, 1, a, b);
            }
            let to = Target { at: self.sums, row: NV * S::LANES, tail };
            write::<S, MR, NV, false>(simd, acc, to, Epilogue::default());
        }
    }
}

/// Copies columns of `dY`, tile by tile: the tile that starts at column `i` lies at
/// `to + i · samples`, sample after sample. As the samples ascend, whole vectors are stored, each over
/// the end of the one before, where they do not leave the tile. On the way the columns are summed.
struct PackLeft {
    dy: *const f32,
    n: usize,
    samples: usize,
    /// Those of the samples to copy.
    now: Range<usize>,
    /// What the sums are added to.
    db: Option<*mut f32>,
    to: *mut f32,
}

impl<S: Simd> RowTiles<S> for PackLeft {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        debug_assert!(MR <= S::LANES);
        // SAFETY: the caller vouches for columns i .. i + MR of `samples` rows and of db, and for the
        // room.
        unsafe {
            let db = self.db.map(|db| db.add(i));
            let mut sum = db.map_or(simd.zero(), |db| simd.load_partial(db, MR));
            for p in self.now.clone() {
                let row = self.dy.add(p * self.n + i);
                simd.prefetch_far(row.wrapping_add(ROWS_AHEAD * self.n));
                let values = simd.load_partial(row, MR);
                sum = simd.add(sum, values);
                let to = self.to.add(i * self.samples + p * MR);
                if (self.samples - p) * MR >= S::LANES {
                    simd.store(to, values)
                } else {
                    simd.store_partial(to, values, MR)
                }
            }
            if let Some(db) = db {
                simd.store_partial(db, sum, MR);
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
                simd.prefetch_far(from.wrapping_add(ROWS_AHEAD * k));
                let vector = if lanes == S::LANES { simd.load(from) } else { simd.load_partial(from, lanes) };
                simd.store(to.add((p * S::TILE_VECTORS + v) * S::LANES), vector);
            }
        }
    }
}

/// One panel's columns of a group of rows of `dW`.
#[derive(Clone, Copy)]
struct Panel {
    left: *const f32,
    right: *const f32,
    dw: *mut f32,
    samples: usize,
    k: usize,
    width: usize,
}

/// The row tiles of a panel, which are added to if `ADD`.
struct WeightTiles<const ADD: bool>(Panel);

impl<S: Simd, const ADD: bool> RowTiles<S> for WeightTiles<ADD> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: the caller vouches for rows i .. i + MR; the panel has this width.
        unsafe { for_each_column_tile::<S, MR>(simd, i, 0..self.0.width, self) }
    }
}

impl<S: Simd, const ADD: bool> Tiles<S> for WeightTiles<ADD> {
    /// The panel is one tile wide: `j` is 0.
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, _: usize, tail: usize) {
        let Panel { left, right, dw, samples, k, .. } = self.0;
        // SAFETY: the caller vouches for the rows; they are packed at i · samples.
        unsafe {
            let a = Left { at: left.add(i * samples), row: 1, step: MR };
            let b = Right { at: right, step: S::LANES * S::TILE_VECTORS };
            let to = Target { at: dw.add(i * k), row: k, tail };
            let acc = accumulate_for::<S, MR, NV>(simd, samples, a, b, to);
            write::<S, MR, NV, ADD>(simd, acc, to, Epilogue::default());
        }
    }
}
