//! `dWᵀ = Xᵀ · dY`, for an X of fewer columns than a tile has rows.

use super::{ROWS_AHEAD, WeightGradient, pack_right};
use crate::gemm::Beta;
use crate::gemm::microkernel::{
    EachStep, Epilogue, Left, Right, RowTiles, Target, Tiles, accumulate, for_each_column_tile, for_each_row_tile,
    write,
};
use crate::simd::Simd;

/// Samples of a block: a packed block of X is 56 KiB.
const NARROW_MC: usize = 1024;

impl WeightGradient<'_> {
    #[inline(always)]
    pub(super) fn narrow<S: Simd>(self, simd: S) {
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
            let acc = [[simd.zero(); NV]; MR];
            let acc = accumulate::<S, MR, NV>(simd, acc, 0..self.samples, a, self.b, &mut Ahead { b: self.b });
            let to = Target { at: self.sums, row: NV * S::LANES, tail };
            write::<S, MR, NV, false>(simd, acc, to, Epilogue::default());
        }
    }
}

/// Asks for the right operand's rows ahead of their use.
struct Ahead {
    b: Right,
}

impl<S: Simd> EachStep<S> for Ahead {
    #[inline(always)]
    unsafe fn step<const NV: usize>(&mut self, simd: S, p: usize, _: [S::V; NV]) {
        for column in (0..NV * S::LANES).step_by(16) {
            simd.prefetch(self.b.at.wrapping_add((p + ROWS_AHEAD) * self.b.step + column));
        }
    }
}
