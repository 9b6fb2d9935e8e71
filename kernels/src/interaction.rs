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
//! 1. Forward lays LANES samples side by side, one a lane, so that a vector is one pair of many samples
//!    and nothing beyond the triangle is computed (`forward`).
//! 2. Backward is one sample at a time, a register tile of `G · T` with `G` the gradient as a symmetric matrix,
//!    which is never built: a tile reads its rows of the triangle left of the diagonal, and its columns below
//!    (`backward`). All of it lives in L1.
//! 3. Tiles are whole, and the last overlaps the one before (F = 27 is rows 0-13 and 13-26): no masks, and
//!    no short tile that waits for its own sums. What is computed twice has the same bits.
//! 4. `T` is read where it is, unless D is no multiple of a vector.
//!
//! Bound, at F = 27 and D = 16: the multiply-adds. A sample has 11 thousand operations forward and 22 back on
//! 3.2 and 4.9 KB, 3.5 and 4.6 a byte, but those bytes were just written by the layer before and still lie in
//! a cache. At D = 128 and a batch of 2048 they do not, 32 MB forward and 61 back: memory and
//! multiply-adds then bound alike. The transposes of forward come on top.
//!
//! Paper: section 2.1.3 and 2.2; reference: `interact_features`.

mod backward;
mod forward;

use crate::check;
use crate::isa::Isa;
use crate::scratch::Scratch;
use crate::simd::Simd;
use backward::DotBackward;
use forward::Dot;

/// Values a sample that [`interaction_dot`] makes: `D` if there is a dense vector, and
/// `F · (F - 1) / 2` pairs, or `F · (F + 1) / 2` with `itself`. More than memory can hold, if that has no size.
pub fn interaction_dot_dim(dim: usize, tables: usize, dense: bool, itself: bool) -> usize {
    let features = tables.saturating_add(usize::from(dense));
    let pairs = features.saturating_mul(features.saturating_add(1)) / 2;
    (pairs - if itself { 0 } else { features.min(pairs) }).saturating_add(if dense { dim } else { 0 })
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
    let size = tables.checked_mul(dim).unwrap_or_else(|| panic!("{op}: {tables} tables of {dim} values"));
    let batch = match dense {
        Some(dense) => dense.len() / dim,
        None => pooled.len() / size.max(1),
    };
    if let Some(dense) = dense {
        check::shape(op, "dense", dense.len(), [batch, dim]);
    }
    check::shape(op, "pooled", pooled.len(), [batch, size]);
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

    /// How far after row `i` of the triangle row `i + r` starts.
    #[inline(always)]
    fn rows_from(self, i: usize, r: usize) -> usize {
        r * self.row_len(i) + r * r.saturating_sub(1) / 2
    }

    /// How many pairs row `i` of the triangle has.
    #[inline(always)]
    fn row_len(self, i: usize) -> usize {
        i + self.diagonal
    }
}

/// One sample's `T`: the first row, and row `i` of the others at `rest + i · stride`, which may
/// start before the rows themselves do.
#[derive(Clone, Copy)]
struct Rows {
    first: *const f32,
    rest: *const f32,
    stride: usize,
}

impl Rows {
    /// Where `T` of sample `b` lies in the inputs.
    #[inline(always)]
    fn of_sample(shape: Shape, dense: &[f32], pooled: &[f32], b: usize) -> Rows {
        let Shape { dim, features, lead, .. } = shape;
        let pooled = pooled[b * (features - lead) * dim..][..(features - lead) * dim].as_ptr();
        let first = if lead == 1 { dense[b * dim..][..dim].as_ptr() } else { pooled };
        Rows { first, rest: pooled.wrapping_sub(lead * dim), stride: dim }
    }

    #[inline(always)]
    fn row(self, i: usize) -> *const f32 {
        if i == 0 { self.first } else { self.rest.wrapping_add(i * self.stride) }
    }
}

/// `n` floats from here to there.
///
/// # Safety
/// They must be readable and writable.
#[inline(always)]
unsafe fn copy<S: Simd>(simd: S, from: *const f32, to: *mut f32, n: usize) {
    for d in (0..n).step_by(S::LANES) {
        let lanes = S::LANES.min(n - d);
        // SAFETY: d + lanes ≤ n.
        unsafe { simd.store_partial(to.add(d), simd.load_partial(from.add(d), lanes), lanes) }
    }
}
