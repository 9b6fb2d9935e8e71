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

use super::{Adagrad, Adam, AdamStep, Rule, Sgd};
use crate::columns::{Columns, prefetch_row};
use crate::embedding_bag::RowGradient;
use crate::embedding_bag::gradient::{EachRow, for_each_row};
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// [`sgd`](super::sgd) on the rows of a gradient.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table.
pub fn sgd_rows(isa: Isa, table: &mut [f32], grad: RowGradient, lr: f32) {
    grad.check("sgd_rows", "table", table.len(), grad.dim);
    isa.run(Rows { rule: Sgd { lr }, table, grad, state: [] });
}

/// [`adagrad`](super::adagrad) on the rows of a gradient; `state` has the table's shape.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table or the state.
pub fn adagrad_rows(isa: Isa, table: &mut [f32], state: &mut [f32], grad: RowGradient, lr: f32, eps: f32) {
    grad.check("adagrad_rows", "table", table.len(), grad.dim);
    grad.check("adagrad_rows", "state", state.len(), grad.dim);
    isa.run(Rows { rule: Adagrad { lr, eps }, table, grad, state: [state] });
}

/// `h += mean_j g_j²; w -= lr / (√h + eps) · g`, with one value of `state` (h) a row.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table or the state.
pub fn rowwise_adagrad_rows(isa: Isa, table: &mut [f32], state: &mut [f32], grad: RowGradient, lr: f32, eps: f32) {
    grad.check("rowwise_adagrad_rows", "table", table.len(), grad.dim);
    grad.check("rowwise_adagrad_rows", "state", state.len(), 1);
    isa.run(RowwiseAdagradRows { table, state, grad, lr, eps });
}

/// [`adam`](super::adam) on the rows of a gradient; `m` and `v` have the table's shape. The bias
/// corrections are those of the global step, and `eps` is added to the uncorrected root, both as in
/// `torch.optim.SparseAdam`: `w -= lr · √(1-β2^t) / (1-β1^t) · m / (√v + eps)`.
///
/// # Panics
/// If the gradient does not hold together, or leaves the table or the state.
pub fn adam_rows(isa: Isa, table: &mut [f32], m: &mut [f32], v: &mut [f32], grad: RowGradient, step: AdamStep) {
    grad.check("adam_rows", "table", table.len(), grad.dim);
    grad.check("adam_rows", "m", m.len(), grad.dim);
    grad.check("adam_rows", "v", v.len(), grad.dim);
    let rule = Adam { eps: step.eps, ..Adam::new(step) };
    isa.run(Rows { rule, table, grad, state: [m, v] });
}

struct Rows<'a, R, const N: usize> {
    rule: R,
    table: &'a mut [f32],
    grad: RowGradient<'a>,
    state: [&'a mut [f32]; N],
}

impl<R: Rule<N>, const N: usize> Kernel for Rows<'_, R, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (table, state) = (self.table.as_mut_ptr(), self.state.map(|s| s.as_mut_ptr()));
        // SAFETY: the public functions checked the gradient against the table and the state.
        unsafe { for_each_row(simd, self.grad, &mut Elementwise { rule: self.rule, table, state }) }
    }
}

/// A rule for single values, with `N` values of state for each.
struct Elementwise<R, const N: usize> {
    rule: R,
    table: *mut f32,
    state: [*mut f32; N],
}

impl<S: Simd, R: Rule<N>, const N: usize> EachRow<S> for Elementwise<R, N> {
    #[inline(always)]
    fn prefetch(&self, simd: S, row: usize, dim: usize) {
        prefetch_row(simd, self.table, row, dim, dim);
        for state in self.state {
            prefetch_row(simd, state, row, dim, dim);
        }
    }

    #[inline(always)]
    unsafe fn block<const NV: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        _: usize,
        row: usize,
        columns: Columns<NV, WHOLE>,
        g: [S::V; NV],
    ) {
        let at = row * columns.dim;
        // SAFETY: the caller vouches for the columns of the row, in the table and in the state.
        unsafe {
            let (w, state) = (self.table.add(at), self.state.map(|s| s.add(at)));
            // Vector by vector: AVX2 has not the registers for a block of eight with its states.
            for (v, g) in g.into_iter().enumerate() {
                let old = state.map(|s| columns.load(simd, v, s));
                let (value, new) = self.rule.update(simd, columns.load(simd, v, w), g, old);
                columns.put(simd, v, value, w);
                for (s, new) in state.iter().zip(new) {
                    columns.put(simd, v, new, *s);
                }
            }
        }
    }
}

struct RowwiseAdagradRows<'a> {
    table: &'a mut [f32],
    state: &'a mut [f32],
    grad: RowGradient<'a>,
    lr: f32,
    eps: f32,
}

impl Kernel for RowwiseAdagradRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let RowwiseAdagradRows { table, state, grad, lr, eps } = self;
        let row = Elementwise { rule: Sgd { lr }, table: table.as_mut_ptr(), state: [] };
        let mut each = RowWise { row, state, lr, eps };
        // SAFETY: rowwise_adagrad_rows checked the gradient against the table and the state.
        unsafe { for_each_row(simd, grad, &mut each) }
    }
}

/// Adagrad with one value of state a row.
struct RowWise<'a> {
    /// SGD, with the rate of the row that was begun.
    row: Elementwise<Sgd, 0>,
    state: &'a mut [f32],
    lr: f32,
    eps: f32,
}

impl<S: Simd> EachRow<S> for RowWise<'_> {
    #[inline(always)]
    fn prefetch(&self, simd: S, row: usize, dim: usize) {
        self.row.prefetch(simd, row, dim);
        prefetch_row(simd, self.state.as_ptr(), row, 1, 1);
    }

    #[inline(always)]
    fn wants_squares(&self) -> bool {
        true
    }

    #[inline(always)]
    fn begin(&mut self, row: usize, dim: usize, squares: f32) {
        let h = &mut self.state[row];
        *h += squares / dim as f32;
        self.row.rule.lr = self.lr / (h.sqrt() + self.eps);
    }

    #[inline(always)]
    unsafe fn block<const NV: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        r: usize,
        row: usize,
        columns: Columns<NV, WHOLE>,
        g: [S::V; NV],
    ) {
        // SAFETY: as the caller vouches.
        unsafe { self.row.block(simd, r, row, columns, g) }
    }
}
