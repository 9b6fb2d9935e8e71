//! The gradients of the dot products, from pairs to vectors.

use super::{Rows, Shape, copy};
use crate::gemm::microkernel::{Left, Right, RowTiles, Tiles, accumulate, for_each_column_tile, for_each_row_tile};
use crate::isa::Kernel;
use crate::scratch::Scratch;
use crate::simd::Simd;

pub(super) struct DotBackward<'a> {
    pub shape: Shape,
    pub batch: usize,
    pub dense: &'a [f32],
    pub pooled: &'a [f32],
    pub grad_out: &'a [f32],
    pub grad_dense: &'a mut [f32],
    pub grad_pooled: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for DotBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let width = shape.features.next_multiple_of(S::LANES);
        let stride = shape.dim.next_multiple_of(S::LANES);
        // Rows of whole vectors are read where they are.
        let copied_rows = if stride == shape.dim { 0 } else { shape.features };
        let [g, t] = self.scratch.rooms([shape.features * width, copied_rows * stride]);
        t.fill(0.0);
        let (out_dim, tables) = (shape.out_dim(), shape.features - shape.lead);
        for b in 0..self.batch {
            let grad_out = &self.grad_out[b * out_dim..][..out_dim];
            let (copied, pairs) = grad_out.split_at(shape.lead * shape.dim);
            symmetric(simd, shape, pairs, g, width);
            let mut rows = Rows::of_sample(shape, self.dense, self.pooled, b);
            if copied_rows > 0 {
                for (i, to) in t.chunks_exact_mut(stride).enumerate() {
                    // SAFETY: row i < F has D values, and to is longer.
                    unsafe { copy(simd, rows.row(i), to.as_mut_ptr(), shape.dim) }
                }
                rows = Rows { first: t.as_ptr(), rest: t.as_ptr(), stride };
            }
            let tiles = Gradient {
                shape,
                g,
                width,
                rows,
                copied,
                dense: self.grad_dense[b * copied.len()..][..copied.len()].as_mut_ptr(),
                pooled: self.grad_pooled[b * tables * shape.dim..][..tables * shape.dim].as_mut_ptr(),
            };
            // SAFETY: g has F rows of at least padded_rows, there are F rows of T, padded to whole
            // vectors, and the gradients have F rows of D.
            unsafe { for_each_row_tile(simd, shape.padded_rows(), &tiles) }
        }
    }
}

/// The gradients of the pairs as a symmetric F × F matrix, rows `width` (a multiple of LANES) apart:
/// `G = L + Lᵀ`, where `L` is the triangle. That doubles the diagonal, as it should be: `t_i·t_i` is a
/// square. Block by block: one below the diagonal goes where it is and, transposed, to its mirror
/// image; one on the diagonal is the sum of both.
#[inline(always)]
fn symmetric<S: Simd>(simd: S, shape: Shape, pairs: &[f32], g: &mut [f32], width: usize) {
    let f = shape.features;
    let (pairs, g) = (pairs[..shape.row_start(f)].as_ptr(), g[..f * width].as_mut_ptr());
    for i in (0..f).step_by(S::LANES) {
        let rows = S::LANES.min(f - i);
        let lower = |r: usize, j: usize, lanes: usize| {
            let from = pairs.wrapping_add(shape.row_start(i) + shape.rows_from(i, r) + j);
            // SAFETY: the lanes from j on end where row i + r of the triangle does, or before.
            unsafe { if lanes == S::LANES { simd.load(from) } else { simd.load_partial(from, lanes) } }
        };
        for j in (0..i).step_by(S::LANES) {
            for r in 0..rows {
                // SAFETY: row i + r < F, and j + LANES ≤ i < width.
                unsafe { simd.store(g.wrapping_add((i + r) * width + j), lower(r, j, S::LANES)) }
            }
            simd.transpose(
                rows,
                S::LANES,
                |r| lower(r, j, S::LANES),
                |c, upper| {
                    // SAFETY: row j + c < i, and i + LANES ≤ width.
                    unsafe { simd.store(g.wrapping_add((j + c) * width + i), upper) }
                },
            );
        }
        let diagonal = |r: usize| lower(r, i, r + shape.diagonal);
        simd.transpose(rows, rows, diagonal, |c, upper| {
            // SAFETY: row i + c < F, and i + LANES ≤ width.
            unsafe { simd.store(g.wrapping_add((i + c) * width + i), simd.add(upper, diagonal(c))) }
        });
    }
}

/// `G · T` of one sample.
struct Gradient<'a> {
    shape: Shape,
    /// Symmetric, so that its columns can be read as rows: neighbours in memory.
    g: &'a [f32],
    width: usize,
    rows: Rows,
    /// The gradient of the copied dense vector.
    copied: &'a [f32],
    dense: *mut f32,
    pooled: *mut f32,
}

impl<S: Simd> RowTiles<S> for Gradient<'_> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: columns i .. i + MR of G exist, as the caller vouches, and the vectors of T's
        // columns, as T is padded to whole vectors.
        unsafe { for_each_column_tile::<S, MR>(simd, i, 0..self.shape.dim, self) }
    }
}

impl<S: Simd> Tiles<S> for Gradient<'_> {
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, d: usize, tail: usize) {
        let Shape { dim, features, lead, .. } = self.shape;
        let Rows { first, rest, stride } = self.rows;
        // SAFETY: the caller vouches for the rows and columns. Rows are written up to D only, and
        // only if they are not padding; the first goes to the dense gradient if there is one.
        unsafe {
            let a = |p: usize| Left { at: self.g.as_ptr().wrapping_add(p * self.width + i), row: 1, step: self.width };
            let b = |at: *const f32| Right { at: at.wrapping_add(d), step: stride };
            let acc = accumulate::<S, MR, NV>(simd, [[simd.zero(); NV]; MR], 1, a(0), b(first), |_, _| ());
            let acc = accumulate::<S, MR, NV>(simd, acc, features - 1, a(1), b(rest.wrapping_add(stride)), |_, _| ());
            for (row, sums) in (i..features).zip(acc) {
                for (v, sum) in sums.into_iter().enumerate() {
                    let column = d + v * S::LANES;
                    let lanes = if v == NV - 1 { tail } else { S::LANES };
                    if row < lead {
                        let copied = simd.load_partial(self.copied.as_ptr().add(column), lanes);
                        simd.store_partial(self.dense.add(column), simd.add(sum, copied), lanes);
                    } else {
                        simd.store_partial(self.pooled.add((row - lead) * dim + column), sum, lanes);
                    }
                }
            }
        }
    }
}
