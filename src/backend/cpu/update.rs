//! Optimizer steps: dense parameters cut by elements, tables by rows.

use super::{Cpu, with_scratch};
use crate::backend::{State, Table, TableGrads, UpdateRule};
use crate::tensor::Tensor;
use dlrm_kernels::embedding_bag::RowGradient;
use dlrm_kernels::{Isa, optim};
use rayon::prelude::*;

/// Elements of a dense parameter a piece.
const DENSE_PIECE: usize = 1 << 15;

/// Rows and lookups of a table a piece.
const ROWS_PIECE: usize = 1 << 12;

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

pub(super) fn tables(cpu: &Cpu, step: Step, tables: &mut [Table], grads: &TableGrads, states: &mut [State]) {
    let touched: usize = (0..grads.len()).filter_map(|t| grads.gradient(t)).map(|g| g.len() * g.dim).sum();
    if cpu.threads == 1 || 4 * touched < super::MIN_PARALLEL_WORK {
        let all = tables.iter_mut().zip(states).enumerate();
        return all
            .filter_map(|(t, (table, state))| Rows::new(table, grads.gradient(t)?, state))
            .for_each(|rows| rows.apply(cpu.isa, step));
    }
    cpu.pool.install(|| {
        let all = tables.par_iter_mut().zip(states).enumerate().with_max_len(1);
        all.filter_map(|(t, (table, state))| Rows::new(table, grads.gradient(t)?, state))
            .for_each(|rows| rows.halves(cpu.isa, step));
    });
}

/// The gradient of some rows of one table, with the part of the table and of the state they lie in.
struct Rows<'a> {
    grad: RowGradient<'a>,
    table: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    /// Numbers of `first` and `second` a row.
    state_dims: [usize; 2],
}

impl<'a> Rows<'a> {
    fn new(table: &'a mut Table, grad: RowGradient<'a>, state: &'a mut State) -> Option<Self> {
        let n = table.num_embeddings();
        (!grad.is_empty()).then(|| Rows {
            grad,
            table: table.values_mut(),
            state_dims: [state.first.len() / n, state.second.len() / n],
            first: state.first.as_mut_slice(),
            second: state.second.as_mut_slice(),
        })
    }

    /// Halves the rows until there are few, and gives each half to whoever is free: rising rows
    /// cut the table in two as well.
    fn halves(self, isa: Isa, step: Step) {
        let [low, high] = self.grad.halves();
        if self.grad.len() <= ROWS_PIECE || low.is_empty() {
            return self.apply(isa, step);
        }
        let base = high.rows()[0] as usize;
        let cut = base - self.grad.base_row;
        let [d0, d1] = self.state_dims;
        let (table, first, second) = (
            self.table.split_at_mut(cut * self.grad.dim),
            self.first.split_at_mut(cut * d0),
            self.second.split_at_mut(cut * d1),
        );
        let high = RowGradient { base_row: base, ..high };
        let state_dims = self.state_dims;
        let low = Rows { grad: low, table: table.0, first: first.0, second: second.0, state_dims };
        let high = Rows { grad: high, table: table.1, first: first.1, second: second.1, state_dims };
        rayon::join(|| low.halves(isa, step), || high.halves(isa, step));
    }

    fn apply(self, isa: Isa, step: Step) {
        let Rows { grad, table, first, second, .. } = self;
        with_scratch(|scratch| match step.rule {
            UpdateRule::Sgd => optim::sgd_rows(isa, table, grad, step.lr, scratch),
            UpdateRule::Adagrad { eps } => optim::adagrad_rows(isa, table, first, grad, step.lr, eps, scratch),
            UpdateRule::RowWiseAdagrad { eps } => {
                optim::rowwise_adagrad_rows(isa, table, first, grad, step.lr, eps, scratch);
            }
            UpdateRule::Adam { beta1, beta2, eps } => {
                optim::adam_rows(isa, table, first, second, grad, step.adam(beta1, beta2, eps), scratch);
            }
        });
    }
}
