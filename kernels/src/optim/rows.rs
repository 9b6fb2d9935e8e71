//! Updates of the rows of a table, from gradients that are not summed yet: backward and update in
//! one pass over the rows that were looked up.
//!
//! ```text
//! for r in rows that were looked up (ascending, each once)
//!     g = Σ coefficients · grad_out of its bags              see embedding_bag::gradient
//!     rule(table[r], state[r], g)
//! ```
//!
//! The sum comes first even for SGD, which could do without: non-linear rules need it, and so each
//! row is read and written once, however often it was looked up. Bound: memory. A row of D
//! values moves `8 · D` bytes (with Adagrad's state 16 · D, with the row-wise one value 8 more, in
//! a cache line of its own) for `2 · D` operations or little more.

use super::{Adagrad, Adam, AdamStep, Rule, Sgd, update};
use crate::columns::prefetch_row;
use crate::embedding_bag::RowGradient;
use crate::embedding_bag::gradient::{EachRow, for_each_row};
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::{Simd, dot16};

/// [`sgd`](super::sgd) on the rows of a gradient.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table.
pub fn sgd_rows(isa: Isa, table: &mut [f32], grad: RowGradient, lr: f32, scratch: &mut Scratch) {
    grad.check("sgd_rows", "table", table.len(), grad.dim);
    isa.run(Rows { rule: Sgd { lr }, table, grad, state: [], scratch });
}

/// [`adagrad`](super::adagrad) on the rows of a gradient; `state` has the table's shape.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table or the state.
pub fn adagrad_rows(
    isa: Isa,
    table: &mut [f32],
    state: &mut [f32],
    grad: RowGradient,
    lr: f32,
    eps: f32,
    scratch: &mut Scratch,
) {
    grad.check("adagrad_rows", "table", table.len(), grad.dim);
    grad.check("adagrad_rows", "state", state.len(), grad.dim);
    isa.run(Rows { rule: Adagrad { lr, eps }, table, grad, state: [state], scratch });
}

/// `h += mean_j g_j²; w -= lr / (√h + eps) · g`, with one value of `state` (h) a row.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table or the state.
pub fn rowwise_adagrad_rows(
    isa: Isa,
    table: &mut [f32],
    state: &mut [f32],
    grad: RowGradient,
    lr: f32,
    eps: f32,
    scratch: &mut Scratch,
) {
    grad.check("rowwise_adagrad_rows", "table", table.len(), grad.dim);
    grad.check("rowwise_adagrad_rows", "state", state.len(), 1);
    isa.run(RowwiseAdagradRows { table, state, grad, lr, eps, scratch });
}

/// [`adam`](super::adam) on the rows of a gradient; `m` and `v` have the table's shape. The bias
/// corrections are those of the global step, and `eps` is added to the uncorrected root, both as in
/// `torch.optim.SparseAdam`: `w -= lr · √(1-β2^t) / (1-β1^t) · m / (√v + eps)`.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table or the state.
pub fn adam_rows(
    isa: Isa,
    table: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    grad: RowGradient,
    step: AdamStep,
    scratch: &mut Scratch,
) {
    grad.check("adam_rows", "table", table.len(), grad.dim);
    grad.check("adam_rows", "m", m.len(), grad.dim);
    grad.check("adam_rows", "v", v.len(), grad.dim);
    let rule = Adam { eps: step.eps, ..Adam::new(step) };
    isa.run(Rows { rule, table, grad, state: [m, v], scratch });
}

struct Rows<'a, R, const N: usize> {
    rule: R,
    table: &'a mut [f32],
    grad: RowGradient<'a>,
    state: [&'a mut [f32]; N],
    scratch: &'a mut Scratch,
}

impl<R: Rule<N>, const N: usize> Kernel for Rows<'_, R, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (dim, table) = (self.grad.dim, self.table.as_mut_ptr());
        let mut each = Elementwise { rule: self.rule, dim, table, state: self.state.map(|s| s.as_mut_ptr()) };
        // SAFETY: the public functions checked the gradient against the table and the state.
        unsafe { for_each_row(simd, self.grad, self.scratch, &mut each) }
    }
}

/// A rule for single values, with `N` values of state for each.
struct Elementwise<R, const N: usize> {
    rule: R,
    dim: usize,
    table: *mut f32,
    state: [*mut f32; N],
}

impl<S: Simd, R: Rule<N>, const N: usize> EachRow<S> for Elementwise<R, N> {
    #[inline(always)]
    fn prefetch(&self, simd: S, row: usize) {
        prefetch_row(simd, self.table, row, self.dim, self.dim);
        for state in self.state {
            prefetch_row(simd, state, row, self.dim, self.dim);
        }
    }

    #[inline(always)]
    unsafe fn row(&mut self, simd: S, _: usize, row: usize, g: *const f32) {
        let at = row * self.dim;
        // SAFETY: the caller vouches for the row, in the table and in the state, and for g.
        unsafe { update(simd, self.rule, self.dim, self.table.add(at), g, self.state.map(|s| s.add(at))) }
    }
}

struct RowwiseAdagradRows<'a> {
    table: &'a mut [f32],
    state: &'a mut [f32],
    grad: RowGradient<'a>,
    lr: f32,
    eps: f32,
    scratch: &'a mut Scratch,
}

impl Kernel for RowwiseAdagradRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (dim, table) = (self.grad.dim, self.table.as_mut_ptr());
        let mut each = RowWise { dim, table, state: self.state, lr: self.lr, eps: self.eps };
        // SAFETY: rowwise_adagrad_rows checked the gradient against the table and the state.
        unsafe { for_each_row(simd, self.grad, self.scratch, &mut each) }
    }
}

/// Adagrad with one value of state a row.
struct RowWise<'a> {
    dim: usize,
    table: *mut f32,
    state: &'a mut [f32],
    lr: f32,
    eps: f32,
}

impl<S: Simd> EachRow<S> for RowWise<'_> {
    #[inline(always)]
    fn prefetch(&self, simd: S, row: usize) {
        prefetch_row(simd, self.table, row, self.dim, self.dim);
        prefetch_row(simd, self.state.as_ptr(), row, 1, 1);
    }

    #[inline(always)]
    unsafe fn row(&mut self, simd: S, _: usize, row: usize, g: *const f32) {
        // SAFETY: the caller vouches for dim values at g, and for the row in the table.
        unsafe {
            let values = std::slice::from_raw_parts(g, self.dim);
            let h = &mut self.state[row];
            *h += dot16(simd, values, values) / self.dim as f32;
            let rule = Sgd { lr: self.lr / (h.sqrt() + self.eps) };
            update(simd, rule, self.dim, self.table.add(row * self.dim), g, []);
        }
    }
}
