//! The dot products, from vectors to pairs.

use super::{ROWS, Rows, Shape, copy};
use crate::gemm::microkernel::{Left, Right, RowTiles, Tiles, accumulate, for_each_column_tile, for_each_row_tile};
use crate::isa::Kernel;
use crate::scratch::Scratch;
use crate::simd::Simd;

pub(super) struct Dot<'a> {
    pub shape: Shape,
    pub batch: usize,
    pub dense: &'a [f32],
    pub pooled: &'a [f32],
    pub out: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for Dot<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let width = shape.features.next_multiple_of(S::LANES);
        let [transposed] = self.scratch.rooms([shape.dim * width]);
        let (out_dim, copied) = (shape.out_dim(), shape.lead * shape.dim);
        for b in 0..self.batch {
            let rows = Rows::of_sample(shape, self.dense, self.pooled, b);
            transpose(simd, shape, rows, transposed, width);
            let out = self.out[b * out_dim..][..out_dim].as_mut_ptr();
            // SAFETY: out has room for a copy of the first row, if that is wanted, before the pairs.
            unsafe { copy(simd, rows.first, out, copied) }
            for first in (0..shape.features).step_by(S::LANES) {
                let rows = (shape.features - first).min(S::LANES).next_multiple_of(ROWS);
                let pairs = out.wrapping_add(copied);
                let tiles = Triangle { shape, transposed, width, pairs, first };
                // SAFETY: transposed has at least first + rows columns, and pairs the whole triangle.
                unsafe { for_each_row_tile(simd, rows, &tiles) }
            }
        }
    }
}

/// `Tᵀ`, D rows of `width`, a multiple of LANES; columns from F on are 0.
#[inline(always)]
fn transpose<S: Simd>(simd: S, shape: Shape, from: Rows, to: &mut [f32], width: usize) {
    let to = to[..shape.dim * width].as_mut_ptr();
    for i in (0..shape.features).step_by(S::LANES) {
        let rows = S::LANES.min(shape.features - i);
        for d in (0..shape.dim).step_by(S::LANES) {
            let cols = S::LANES.min(shape.dim - d);
            // SAFETY: row i + r < F of the sample has D values, of which these are the cols from d on.
            let row = |r: usize| unsafe { simd.load_partial(from.row(i + r).wrapping_add(d), cols) };
            simd.transpose(rows, cols, row, |c, column| {
                // SAFETY: d + c < D, and i + LANES ≤ width.
                unsafe { simd.store(to.add((d + c) * width + i), column) }
            });
        }
    }
}

/// The lower triangle of `T · Tᵀ` of one sample, from row `first` on.
struct Triangle<'a> {
    shape: Shape,
    transposed: &'a [f32],
    width: usize,
    pairs: *mut f32,
    first: usize,
}

impl<S: Simd> RowTiles<S> for Triangle<'_> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        let i = self.first + i;
        if i < self.shape.features {
            let last = (i + MR).min(self.shape.features) - 1;
            // SAFETY: columns i .. i + MR of Tᵀ exist, as the caller vouches, and the vectors of
            // these columns, as Tᵀ is padded to whole vectors.
            unsafe { for_each_column_tile::<S, MR>(simd, i, 0..self.shape.row_len(last), self) }
        }
    }
}

impl<S: Simd> Tiles<S> for Triangle<'_> {
    /// Each row is cut off where it ends, so the tile's own `tail` says nothing new.
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, j: usize, _: usize) {
        // SAFETY: the caller vouches for the rows and columns. A row of the triangle is written up
        // to its length only, and only if it is not padding.
        unsafe {
            let a = Left { at: self.transposed.as_ptr().add(i), row: 1, step: self.width };
            let b = Right { at: self.transposed.as_ptr().add(j), step: self.width };
            let acc = accumulate::<S, MR, NV>(simd, [[simd.zero(); NV]; MR], self.shape.dim, a, b);
            let to = self.pairs.wrapping_add(self.shape.row_start(i) + j);
            let len = self.shape.row_len(i);
            for (r, sums) in acc.into_iter().enumerate().take(self.shape.features - i) {
                let to = to.wrapping_add(self.shape.rows_from(i, r));
                for (v, sum) in sums.into_iter().enumerate() {
                    let lanes = (len + r).saturating_sub(j + v * S::LANES).min(S::LANES);
                    simd.store_partial(to.wrapping_add(v * S::LANES), sum, lanes);
                }
            }
        }
    }
}
