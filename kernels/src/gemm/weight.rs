//! The gradients of a layer's own parameters, which sum over the samples: `dW = dYᵀ · X`, and
//! `db = Σ_m dY[m]`.
//!
//! ```text
//! for pc in blocks of MC samples
//!     for ic in groups of GROUP rows of dW            packed dY: [row tile][sample][MR], in L2
//!         for j in panels of NR columns               packed X:  [sample][NR], which stays in L1
//!             for i in row tiles of the group
//!                 dW tile += dYᵀ · X                  j = 0 copies dY on the way (and sums db), i = 0 X
//! ```
//!
//! 1. Both operands lie the right way for the register tile. But rows that are a power of two apart
//!    (K = 1024) share one set of the L1 cache and each has a page of its own: in place all tiles ran at
//!    two thirds of the speed. Packed, every shape runs alike.
//! 2. The copies are not passes of their own: a tile that is the first to read a panel of X, or a strip
//!    of dY, stores what it read. The multiply-adds of a step take 28 cycles (AVX-512 of Zen 4), in which
//!    two loads and three stores find room; as passes the copies took 3 to 8 % of the time.
//! 3. What those tiles read comes from L3 or memory, and is asked for [`ROWS_AHEAD`] rows before, into L2.
//! 4. Where a row of `dW` is shorter than a tile is high (K < MR: the 13 dense features of Criteo), it
//!    is the copy of dY that is not repaid. Then `dWᵀ = Xᵀ · dY` is computed, with the
//!    few columns of X packed and dY as the right operand, in place; and X gets a column of ones, whose
//!    products are `db`.
//!
//! 2 · M · N · K FLOP for 4 · (M · N + M · K + 2 · N · K · M / MC) bytes: bound by the multiply-adds from N and K of
//! some tens on.
//!
//! The bias sums take the samples in order, one chain a column, so that they have the same bits on every
//! instruction set; in the fourth case a chain ends after a block of samples, and the chains are added.

mod narrow;
mod wide;

use super::Beta;
use crate::check;
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::Simd;
use std::ops::Range;

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

/// Copies `width ≤ NR` columns of `X` into whole vectors, padded with zeros.
///
/// # Safety
/// `samples` rows of `width`, `k` apart, must be readable at `x`, and `samples × NR` writable at `to`.
#[inline(always)]
unsafe fn pack_right<S: Simd>(simd: S, x: *const f32, k: usize, samples: usize, width: usize, to: *mut f32) {
    for p in 0..samples {
        simd.prefetch_far(x.wrapping_add((p + ROWS_AHEAD) * k + width - 1));
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
