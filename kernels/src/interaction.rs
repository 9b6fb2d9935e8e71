//! Feature interaction: how the bottom MLP's vector and the pooled embeddings become the top
//! MLP's input.
//!
//! `T = [dense; pooled_0; …; pooled_{tables-1}]` is F × D (without a dense vector, F = tables).
//!
//! ```text
//! dot:  out = [dense, t_1·t_0, t_2·t_0, t_2·t_1, t_3·t_0, …]      strict lower triangle of T·Tᵀ, row by row
//!       with itself: [dense, t_0·t_0, t_1·t_0, t_1·t_1, …]        diagonal included
//!       grad_t_i = Σ_{j ≠ i} g_ij · t_j (+ 2 g_ii · t_i) (+ the dense part of grad_out, for dense)
//! cat:  out = [dense, pooled_0, pooled_1, …]
//! ```
//!
//! How the fast loops differ:
//!
//! 1. Both directions are the GEMM's register tile, one sample at a time: `T · Tᵀ` with `Tᵀ` built
//!    by block transposes, and `G · T` with `G` the gradient as a symmetric matrix (diagonal
//!    doubled). All of it lives in the L1 cache.
//! 2. A row tile stops at the last column that its rows need, so that little more than the
//!    triangle is computed, and rows go to the output by partial stores.
//! 3. `T`, `Tᵀ` and `G` are padded to whole vectors, and rows are rounded up to `ROWS`: no masks
//!    inside the sums, and F = 27 is 14 + 14 rows, not 14 + 8 + 4 + 1.
//! 4. The broadcast operand is read from `Tᵀ` and (as it is symmetric) from `G` by columns, so that a
//!    tile's rows are neighbours in memory and need one address.
//!
//! Paper: section 2.1.3 and 2.2; reference: `interact_features`.

use crate::check;
use crate::gemm::microkernel::{Left, Right, RowTiles, Tiles, accumulate, for_each_column_tile, for_each_row_tile};
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::Simd;

/// Rows of a sample's matrices are padded to a multiple of this.
const ROWS: usize = 4;

/// Values a sample that [`interaction_dot`] makes: `D` if there is a dense vector, and
/// `F · (F - 1) / 2` pairs, or `F · (F + 1) / 2` with `itself`.
pub fn interaction_dot_dim(dim: usize, tables: usize, dense: bool, itself: bool) -> usize {
    let features = tables + usize::from(dense);
    let pairs = features * (features + 1) / 2 - if itself { 0 } else { features };
    pairs + if dense { dim } else { 0 }
}

/// Pairwise dot products: `dense` B × D, `pooled` B × tables × D, `out` B ×
/// [`interaction_dot_dim`]. `scratch` is room for one sample, grown if needed.
///
/// # Panics
/// If a slice does not have its shape.
#[allow(clippy::too_many_arguments)] // operands, shape and scratch
pub fn interaction_dot(
    isa: Isa,
    dense: Option<&[f32]>,
    pooled: &[f32],
    tables: usize,
    dim: usize,
    itself: bool,
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    const OP: &str = "interaction_dot";
    let batch = batch(OP, dense, pooled, tables, dim);
    let shape = Shape::new(tables, dim, dense.is_some(), itself);
    check::shape(OP, "out", out.len(), [batch, shape.out_dim()]);
    isa.run(Dot { shape, batch, dense: dense.unwrap_or(&[]), pooled, out, scratch });
}

/// The gradients of [`interaction_dot`], which are overwritten: `grad_dense` B × D (there if
/// `dense` is; with the gradient of the copied dense part), `grad_pooled` B × tables × D, from
/// `grad_out` B × [`interaction_dot_dim`].
///
/// # Panics
/// If a slice does not have its shape, or only one of `dense` and `grad_dense` is there.
#[allow(clippy::too_many_arguments)] // operands, gradients, shape and scratch
pub fn interaction_dot_backward(
    isa: Isa,
    dense: Option<&[f32]>,
    pooled: &[f32],
    grad_out: &[f32],
    tables: usize,
    dim: usize,
    itself: bool,
    grad_dense: Option<&mut [f32]>,
    grad_pooled: &mut [f32],
    scratch: &mut Scratch,
) {
    const OP: &str = "interaction_dot_backward";
    let batch = batch(OP, dense, pooled, tables, dim);
    let shape = Shape::new(tables, dim, dense.is_some(), itself);
    check::shape(OP, "grad_out", grad_out.len(), [batch, shape.out_dim()]);
    check::shape(OP, "grad_pooled", grad_pooled.len(), [batch, tables * dim]);
    let grad_dense = grad_dense.unwrap_or(&mut []);
    check::shape(OP, "grad_dense", grad_dense.len(), [batch, dim * shape.lead]);
    let dense = dense.unwrap_or(&[]);
    isa.run(DotBackward { shape, batch, dense, pooled, grad_out, grad_dense, grad_pooled, scratch });
}

/// Concatenation: row `b` of `out` (B × F · D) is `[dense_b, pooled_b]`.
///
/// # Panics
/// If a slice does not have its shape.
pub fn interaction_cat(dense: Option<&[f32]>, pooled: &[f32], tables: usize, dim: usize, out: &mut [f32]) {
    const OP: &str = "interaction_cat";
    let batch = batch(OP, dense, pooled, tables, dim);
    let (head, tail) = (dense.map_or(0, |_| dim), tables * dim);
    check::shape(OP, "out", out.len(), [batch, head + tail]);
    for b in 0..batch {
        let (to_dense, to_pooled) = out[b * (head + tail)..][..head + tail].split_at_mut(head);
        to_dense.copy_from_slice(&dense.unwrap_or(&[])[b * head..][..head]);
        to_pooled.copy_from_slice(&pooled[b * tail..][..tail]);
    }
}

/// The gradients of [`interaction_cat`], which are overwritten.
///
/// # Panics
/// If a slice does not have its shape.
pub fn interaction_cat_backward(
    grad_out: &[f32],
    tables: usize,
    dim: usize,
    grad_dense: Option<&mut [f32]>,
    grad_pooled: &mut [f32],
) {
    const OP: &str = "interaction_cat_backward";
    let batch = batch(OP, grad_dense.as_deref(), grad_pooled, tables, dim);
    let (head, tail) = (grad_dense.as_ref().map_or(0, |_| dim), tables * dim);
    check::shape(OP, "grad_out", grad_out.len(), [batch, head + tail]);
    let grad_dense = grad_dense.unwrap_or(&mut []);
    for b in 0..batch {
        let (from_dense, from_pooled) = grad_out[b * (head + tail)..][..head + tail].split_at(head);
        grad_dense[b * head..][..head].copy_from_slice(from_dense);
        grad_pooled[b * tail..][..tail].copy_from_slice(from_pooled);
    }
}

/// B, as the inputs have it; panics if they disagree.
#[track_caller]
fn batch(op: &str, dense: Option<&[f32]>, pooled: &[f32], tables: usize, dim: usize) -> usize {
    assert!(dim > 0, "{op}: vectors of 0 values");
    let batch = match dense {
        Some(dense) => dense.len() / dim,
        None => pooled.len() / (tables * dim).max(1),
    };
    if let Some(dense) = dense {
        check::shape(op, "dense", dense.len(), [batch, dim]);
    }
    check::shape(op, "pooled", pooled.len(), [batch, tables * dim]);
    batch
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    /// D.
    dim: usize,
    /// F.
    features: usize,
    /// 1 if the first feature is the dense vector.
    lead: usize,
    /// 1 if the diagonal belongs to the output.
    diagonal: usize,
}

impl Shape {
    fn new(tables: usize, dim: usize, dense: bool, itself: bool) -> Shape {
        Shape { dim, features: tables + usize::from(dense), lead: usize::from(dense), diagonal: usize::from(itself) }
    }

    fn out_dim(self) -> usize {
        interaction_dot_dim(self.dim, self.features - self.lead, self.lead == 1, self.diagonal == 1)
    }

    /// Where row `i` of the triangle starts among the pairs.
    #[inline(always)]
    fn row_start(self, i: usize) -> usize {
        i * (i + 1) / 2 - if self.diagonal == 1 { 0 } else { i }
    }

    /// How many pairs row `i` of the triangle has.
    #[inline(always)]
    fn row_len(self, i: usize) -> usize {
        i + self.diagonal
    }

    fn padded_rows(self) -> usize {
        self.features.next_multiple_of(ROWS)
    }
}

/// One sample's `T`, F rows, `stride` apart; what lies between them stays 0.
#[inline(always)]
fn gather(shape: Shape, dense: &[f32], pooled: &[f32], b: usize, t: &mut [f32], stride: usize) {
    let Shape { dim, features, lead, .. } = shape;
    let pooled = &pooled[b * (features - lead) * dim..][..(features - lead) * dim];
    let (to_dense, to_pooled) = t.split_at_mut(lead * stride);
    if lead == 1 {
        to_dense[..dim].copy_from_slice(&dense[b * dim..][..dim]);
    }
    if stride == dim {
        to_pooled[..pooled.len()].copy_from_slice(pooled);
        return;
    }
    for (to, from) in to_pooled.chunks_exact_mut(stride).zip(pooled.chunks_exact(dim)) {
        to[..dim].copy_from_slice(from);
    }
}

struct Dot<'a> {
    shape: Shape,
    batch: usize,
    dense: &'a [f32],
    pooled: &'a [f32],
    out: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Dot<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let stride = shape.dim.next_multiple_of(S::LANES);
        let width = shape.features.next_multiple_of(S::LANES);
        let [t, transposed] = rooms(self.scratch, [shape.features * stride, shape.dim * width]);
        let out_dim = shape.out_dim();
        for b in 0..self.batch {
            gather(shape, self.dense, self.pooled, b, t, stride);
            transpose(simd, shape, t, stride, transposed, width);
            let out = &mut self.out[b * out_dim..][..out_dim];
            let (copied, pairs) = out.split_at_mut(shape.lead * shape.dim);
            copied.copy_from_slice(&t[..copied.len()]);
            let tiles = Triangle { shape, transposed, width, pairs: pairs.as_mut_ptr() };
            // SAFETY: transposed has at least padded_rows columns, and pairs the whole triangle.
            unsafe { for_each_row_tile(simd, shape.padded_rows(), &tiles) }
        }
    }
}

/// Zeroed pieces of `scratch`.
fn rooms<const N: usize>(scratch: &mut Scratch, lens: [usize; N]) -> [&mut [f32]; N] {
    let mut rooms = scratch.rooms(lens);
    rooms.iter_mut().for_each(|room| room.fill(0.0));
    rooms
}

/// `Tᵀ`, D rows of `width`.
#[inline(always)]
fn transpose<S: Simd>(simd: S, shape: Shape, t: &[f32], stride: usize, to: &mut [f32], width: usize) {
    for i in (0..shape.features).step_by(S::LANES) {
        for d in (0..shape.dim).step_by(S::LANES) {
            let block = [S::LANES.min(shape.features - i), S::LANES.min(shape.dim - d)];
            transpose_block(simd, &t[i * stride + d..], stride, block, &mut to[d * width + i..], width);
        }
    }
}

/// The transpose of a block of at most LANES × LANES, in whole vectors.
#[inline(always)]
fn transpose_block<S: Simd>(
    simd: S,
    from: &[f32],
    from_stride: usize,
    [rows, cols]: [usize; 2],
    to: &mut [f32],
    to_stride: usize,
) {
    assert!(rows <= S::LANES && cols <= S::LANES && rows > 0 && cols > 0);
    assert!(from.len() >= (rows - 1) * from_stride + cols && to.len() >= (cols - 1) * to_stride + S::LANES);
    // SAFETY: both blocks lie in their slices, as asserted.
    unsafe { simd.transpose(from.as_ptr(), from_stride, rows, cols, to.as_mut_ptr(), to_stride) }
}

/// The lower triangle of `T · Tᵀ` of one sample.
struct Triangle<'a> {
    shape: Shape,
    transposed: &'a [f32],
    width: usize,
    pairs: *mut f32,
}

impl<S: Simd> RowTiles<S> for Triangle<'_> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        let last = (i + MR).min(self.shape.features) - 1;
        let columns = self.shape.row_len(last);
        // SAFETY: columns i .. i + MR of Tᵀ exist, as the caller vouches, and the vectors of these
        // columns, as Tᵀ is padded to whole vectors.
        unsafe { for_each_column_tile::<S, MR>(simd, i, 0..columns, self) }
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
            for (row, sums) in (i..self.shape.features).zip(acc) {
                let to = self.pairs.add(self.shape.row_start(row));
                for (v, sum) in sums.into_iter().enumerate() {
                    let column = j + v * S::LANES;
                    let lanes = self.shape.row_len(row).saturating_sub(column).min(S::LANES);
                    simd.store_partial(to.wrapping_add(column), sum, lanes);
                }
            }
        }
    }
}

struct DotBackward<'a> {
    shape: Shape,
    batch: usize,
    dense: &'a [f32],
    pooled: &'a [f32],
    grad_out: &'a [f32],
    grad_dense: &'a mut [f32],
    grad_pooled: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for DotBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let stride = shape.dim.next_multiple_of(S::LANES);
        let width = shape.features.next_multiple_of(S::LANES);
        let square = shape.features * width;
        let [t, lower, g] = rooms(self.scratch, [shape.features * stride, square, square]);
        let (out_dim, tables) = (shape.out_dim(), shape.features - shape.lead);
        for b in 0..self.batch {
            let grad_out = &self.grad_out[b * out_dim..][..out_dim];
            let (copied, pairs) = grad_out.split_at(shape.lead * shape.dim);
            gather(shape, self.dense, self.pooled, b, t, stride);
            symmetric(simd, shape, pairs, lower, g, width);
            let tiles = Gradient {
                shape,
                g,
                width,
                t,
                stride,
                copied,
                dense: self.grad_dense[b * copied.len()..][..copied.len()].as_mut_ptr(),
                pooled: self.grad_pooled[b * tables * shape.dim..][..tables * shape.dim].as_mut_ptr(),
            };
            // SAFETY: g has F rows of at least padded_rows, t has F rows, and the gradients F rows of D.
            unsafe { for_each_row_tile(simd, shape.padded_rows(), &tiles) }
        }
    }
}

/// The gradients of the pairs as a symmetric F × F matrix, rows `width` apart: `G = L + Lᵀ`, where
/// `L` (`lower`) is the triangle. That doubles the diagonal, as it should be: `t_i·t_i` is a square.
#[inline(always)]
fn symmetric<S: Simd>(simd: S, shape: Shape, pairs: &[f32], lower: &mut [f32], g: &mut [f32], width: usize) {
    let f = shape.features;
    for i in 0..f {
        let row = &pairs[shape.row_start(i)..][..shape.row_len(i)];
        for (v, to) in lower[i * width..][..width].chunks_exact_mut(S::LANES).enumerate() {
            let lanes = row.len().saturating_sub(v * S::LANES).min(S::LANES);
            // SAFETY: the lanes end where row ends, and to is a whole vector.
            unsafe { simd.store(to.as_mut_ptr(), simd.load_partial(row.as_ptr().wrapping_add(v * S::LANES), lanes)) }
        }
    }
    for i in (0..f).step_by(S::LANES) {
        for j in (0..=i).step_by(S::LANES) {
            let block = [S::LANES.min(f - i), S::LANES.min(f - j)];
            transpose_block(simd, &lower[i * width + j..], width, block, &mut g[j * width + i..], width);
        }
    }
    // To the left of the diagonal's block, g still holds the sum of the sample before.
    for i in 0..f {
        let left = i - i % S::LANES;
        let (row, lower) = (&mut g[i * width..][..width], &lower[i * width..][..width]);
        for (v, (to, low)) in row.chunks_exact_mut(S::LANES).zip(lower.chunks_exact(S::LANES)).enumerate() {
            // SAFETY: to and low are whole vectors.
            unsafe {
                let low = simd.load(low.as_ptr());
                let sum = if v * S::LANES < left { low } else { simd.add(simd.load(to.as_ptr()), low) };
                simd.store(to.as_mut_ptr(), sum);
            }
        }
    }
}

/// `G · T` of one sample.
struct Gradient<'a> {
    shape: Shape,
    /// Symmetric, so that its columns can be read as rows: neighbours in memory.
    g: &'a [f32],
    width: usize,
    t: &'a [f32],
    stride: usize,
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
        // SAFETY: the caller vouches for the rows and columns. Rows are written up to D only, and
        // only if they are not padding; the first goes to the dense gradient if there is one.
        unsafe {
            let a = Left { at: self.g.as_ptr().add(i), row: 1, step: self.width };
            let b = Right { at: self.t.as_ptr().add(d), step: self.stride };
            let acc = accumulate::<S, MR, NV>(simd, [[simd.zero(); NV]; MR], features, a, b);
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
