//! Optimizer steps: dense parameters cut by elements, tables by rows.

use super::Cpu;
use crate::backend::{RowGrads, State, Table, UpdateRule};
use crate::tensor::Tensor;
use dlrm_kernels::{Isa, optim};
use rayon::prelude::*;

/// Elements of a dense parameter a piece.
const DENSE_PIECE: usize = 1 << 15;

/// Touched rows of a table a piece.
const ROWS_PIECE: usize = 1 << 11;

/// What to do, to every parameter.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub rule: UpdateRule,
    pub lr: f32,
    pub t: u64,
}

impl Step {
    fn adam(self, beta1: f32, beta2: f32, eps: f32) -> optim::AdamStep {
        optim::AdamStep { lr: self.lr, beta1, beta2, eps, step: self.t }
    }
}

pub(super) fn dense(cpu: &Cpu, step: Step, value: &mut Tensor, grad: &Tensor, state: &mut State) {
    assert_eq!(value.shape(), grad.shape(), "optimizer: parameter and gradient");
    let (w, g) = (value.as_mut_slice(), grad.as_slice());
    let (first, second) = (state.first.as_mut_slice(), state.second.as_mut_slice());
    if cpu.threads == 1 || w.len() <= DENSE_PIECE {
        return dense_piece(cpu.isa, step, w, g, first, second);
    }
    cpu.pool.install(|| dense_halves(cpu.isa, step, w, g, first, second));
}

/// Halves a parameter until the pieces are small, and gives each half to whoever is free.
fn dense_halves(isa: Isa, step: Step, w: &mut [f32], g: &[f32], first: &mut [f32], second: &mut [f32]) {
    if w.len() <= DENSE_PIECE {
        return dense_piece(isa, step, w, g, first, second);
    }
    let mid = w.len() / 2;
    let (w, g) = (w.split_at_mut(mid), g.split_at(mid));
    let (first, second) = (split(first, mid), split(second, mid));
    rayon::join(
        || dense_halves(isa, step, w.0, g.0, first.0, second.0),
        || dense_halves(isa, step, w.1, g.1, first.1, second.1),
    );
}

/// Splits a state vector, which may be empty.
fn split(state: &mut [f32], mid: usize) -> (&mut [f32], &mut [f32]) {
    let mid = mid.min(state.len());
    state.split_at_mut(mid)
}

fn dense_piece(isa: Isa, step: Step, w: &mut [f32], g: &[f32], first: &mut [f32], second: &mut [f32]) {
    match step.rule {
        UpdateRule::Sgd => optim::sgd(isa, w, g, step.lr),
        UpdateRule::Adagrad { eps } | UpdateRule::RowWiseAdagrad { eps } => {
            optim::adagrad(isa, w, g, first, step.lr, eps);
        }
        UpdateRule::Adam { beta1, beta2, eps } => optim::adam(isa, w, g, first, second, step.adam(beta1, beta2, eps)),
    }
}

pub(super) fn tables(cpu: &Cpu, step: Step, tables: &mut [Table], grads: &[RowGrads], states: &mut [State]) {
    let rows: usize = grads.iter().map(|g| g.values().len()).sum();
    if cpu.threads == 1 || 4 * rows < super::MIN_PARALLEL_WORK {
        let all = tables.iter_mut().zip(grads).zip(states);
        return all.for_each(|((table, grads), state)| Rows::new(table, grads, state).apply(cpu.isa, step));
    }
    cpu.pool.install(|| {
        let all = tables.par_iter_mut().zip(grads).zip(states).with_max_len(1);
        all.for_each(|((table, grads), state)| Rows::new(table, grads, state).halves(cpu.isa, step));
    });
}

/// Touched rows of one table, with the part of the table they lie in, from row `base` on.
struct Rows<'a> {
    base: usize,
    dim: usize,
    table: &'a mut [f32],
    rows: &'a [u32],
    grads: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    /// Numbers of `first` and `second` a row.
    state_dims: [usize; 2],
}

impl<'a> Rows<'a> {
    fn new(table: &'a mut Table, grads: &'a RowGrads, state: &'a mut State) -> Self {
        let (dim, n) = (table.embedding_dim(), table.num_embeddings());
        Rows {
            base: 0,
            dim,
            table: table.values_mut(),
            rows: grads.rows(),
            grads: grads.values(),
            state_dims: [state.first.len() / n, state.second.len() / n],
            first: state.first.as_mut_slice(),
            second: state.second.as_mut_slice(),
        }
    }

    /// Halves the rows until there are few, and gives each half to whoever is free: rising rows
    /// cut the table in two as well.
    fn halves(self, isa: Isa, step: Step) {
        if self.rows.len() <= ROWS_PIECE {
            return self.apply(isa, step);
        }
        let mid = self.rows.len() / 2;
        let (low_rows, high_rows) = self.rows.split_at(mid);
        let (low_grads, high_grads) = self.grads.split_at(mid * self.dim);
        let cut = high_rows[0] as usize - self.base;
        let (low_table, high_table) = self.table.split_at_mut(cut * self.dim);
        let (low_first, high_first) = self.first.split_at_mut(cut * self.state_dims[0]);
        let (low_second, high_second) = self.second.split_at_mut(cut * self.state_dims[1]);
        let (dim, state_dims) = (self.dim, self.state_dims);
        let low = Rows {
            base: self.base,
            dim,
            table: low_table,
            rows: low_rows,
            grads: low_grads,
            first: low_first,
            second: low_second,
            state_dims,
        };
        let high = Rows {
            base: self.base + cut,
            dim,
            table: high_table,
            rows: high_rows,
            grads: high_grads,
            first: high_first,
            second: high_second,
            state_dims,
        };
        rayon::join(|| low.halves(isa, step), || high.halves(isa, step));
    }

    fn apply(self, isa: Isa, step: Step) {
        let Rows { base, dim, table, rows, grads, first, second, .. } = self;
        let grad = optim::RowGradient { rows, values: grads, dim, base_row: base };
        match step.rule {
            UpdateRule::Sgd => optim::sgd_rows(isa, table, grad, step.lr),
            UpdateRule::Adagrad { eps } => {
                optim::adagrad_rows(isa, table, first, grad, step.lr, eps);
            }
            UpdateRule::RowWiseAdagrad { eps } => {
                optim::rowwise_adagrad_rows(isa, table, first, grad, step.lr, eps);
            }
            UpdateRule::Adam { beta1, beta2, eps } => {
                optim::adam_rows(isa, table, first, second, grad, step.adam(beta1, beta2, eps));
            }
        }
    }
}
