//! Optimizer steps: all parameters at once, each cut by rows.

use super::Cpu;
use super::row_grads::CpuTableGrads;
use crate::backend::{DenseGrads, DenseParameter, State, Table, TableGrads, UpdateRule, UpdateStep};
use crate::tensor::Tensor;
use dlrm_kernels::embedding_bag::RowGradient;
use dlrm_kernels::{Isa, gemm, optim};
use rayon::prelude::*;

/// Elements of a dense parameter a piece.
const DENSE_PIECE: usize = 1 << 15;

/// Rows and lookups of a table a piece.
const ROWS_PIECE: usize = 1 << 12;

pub(super) fn dense<'a>(
    cpu: &Cpu,
    step: UpdateStep<'_>,
    parameters: &mut [DenseParameter],
    grads: &'a DenseGrads<'a>,
    states: &mut [State],
) {
    if step.is_off() {
        return;
    }
    let size: usize = parameters.iter().map(|p| p.value.len()).sum();
    let one = |(i, (parameter, state)): (usize, (&mut DenseParameter, &mut State)), piece: usize| {
        if let Some(grad) = grads(i) {
            one_dense(cpu.isa, step, parameter, grad, state, piece);
        }
    };
    if cpu.threads == 1 || 8 * size < super::MIN_PARALLEL_WORK {
        return parameters.iter_mut().zip(states).enumerate().for_each(|item| one(item, usize::MAX));
    }
    // One region of threads for all: within it, whoever has nothing to do helps with a larger one.
    cpu.pool.install(|| {
        let all = parameters.par_iter_mut().zip(states).enumerate().with_max_len(1);
        all.for_each(|item| one(item, DENSE_PIECE));
    });
}

/// Updates one parameter and packs it anew, in pieces of about `piece` elements.
fn one_dense(
    isa: Isa,
    step: UpdateStep<'_>,
    parameter: &mut DenseParameter,
    grad: &Tensor,
    state: &mut State,
    piece: usize,
) {
    let DenseParameter { value, packed, .. } = parameter;
    assert_eq!(value.shape(), grad.shape(), "optimizer: parameter and gradient");
    let (n, k) = (value.rows(), value.cols());
    let (is_weight, width) = (value.shape().len() == 2, gemm::panel_width(isa));
    let slices = DenseSlices {
        k,
        w: value.as_mut_slice(),
        g: grad.as_slice(),
        first: state.first.as_mut_slice(),
        second: state.second.as_mut_slice(),
        forward: if is_weight { packed.forward.as_mut_slice() } else { &mut [] },
    };
    slices.halves(isa, step, piece);
    if !is_weight {
        return;
    }
    let (w, panels) = (value.as_slice(), packed.backward.as_mut_slice());
    let pack = |(i, panel): (usize, &mut [f32])| gemm::pack_backward_panel(isa, w, n, k, i, panel);
    if n * k <= piece {
        return panels.chunks_mut(n * width).enumerate().for_each(pack);
    }
    panels.par_chunks_mut(n * width).enumerate().for_each(pack);
}

/// Some rows of a parameter, and what belongs to them.
struct DenseSlices<'a> {
    /// Elements of a row.
    k: usize,
    w: &'a mut [f32],
    g: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    /// The forward panels of these rows; none for a bias.
    forward: &'a mut [f32],
}

impl DenseSlices<'_> {
    /// Halves the rows, between panels, until the pieces are small, and gives each half to whoever is
    /// free.
    fn halves(self, isa: Isa, step: UpdateStep<'_>, piece: usize) {
        let panel = self.k * if self.forward.is_empty() { 1 } else { gemm::panel_width(isa) };
        let mid = self.w.len() / 2 / panel * panel;
        if self.w.len() <= piece || mid == 0 {
            return self.apply(isa, step);
        }
        let (w, g) = (self.w.split_at_mut(mid), self.g.split_at(mid));
        let (first, second, forward) = (split(self.first, mid), split(self.second, mid), split(self.forward, mid));
        let low = DenseSlices { k: self.k, w: w.0, g: g.0, first: first.0, second: second.0, forward: forward.0 };
        let high = DenseSlices { k: self.k, w: w.1, g: g.1, first: first.1, second: second.1, forward: forward.1 };
        rayon::join(|| low.halves(isa, step, piece), || high.halves(isa, step, piece));
    }

    /// Updates the rows, and packs them while they are in the cache.
    fn apply(self, isa: Isa, step: UpdateStep<'_>) {
        let DenseSlices { k, w, g, first, second, forward } = self;
        match step.rule {
            UpdateRule::Sgd => optim::sgd(isa, w, g, step.lr),
            UpdateRule::Adagrad { eps } | UpdateRule::RowWiseAdagrad { eps } => {
                optim::adagrad(isa, w, g, first, step.lr, eps);
            }
            UpdateRule::Adam { beta1, beta2, eps } => {
                optim::adam(isa, w, g, first, second, step.adam(beta1, beta2, eps));
            }
        }
        if !forward.is_empty() {
            let panels = forward.chunks_mut(k * gemm::panel_width(isa)).enumerate();
            panels.for_each(|(i, panel)| gemm::pack_forward_panel(isa, w, w.len() / k, k, i, panel));
        }
    }
}

/// Splits what may be empty.
fn split(state: &mut [f32], mid: usize) -> (&mut [f32], &mut [f32]) {
    let mid = mid.min(state.len());
    state.split_at_mut(mid)
}

pub(super) fn tables(
    cpu: &Cpu,
    step: UpdateStep<'_>,
    tables: &mut [Table],
    grads: &dyn TableGrads,
    states: &mut [State],
) {
    if step.is_off() {
        return;
    }
    let grads = CpuTableGrads::of(grads);
    let touched: usize = (0..grads.rows.len()).filter_map(|t| grads.gradient(t)).map(|g| g.len()).sum();
    if cpu.threads == 1 || super::LOOKUP_WORK * touched < super::MIN_PARALLEL_WORK {
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
    fn halves(self, isa: Isa, step: UpdateStep<'_>) {
        if self.grad.len() <= ROWS_PIECE || self.grad.rows().len() == 1 {
            return self.apply(isa, step);
        }
        let [low, high] = self.grad.halves();
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

    fn apply(self, isa: Isa, step: UpdateStep<'_>) {
        let Rows { grad, table, first, second, .. } = self;
        match step.rule {
            UpdateRule::Sgd => optim::sgd_rows(isa, table, grad, step.lr),
            UpdateRule::Adagrad { eps } => optim::adagrad_rows(isa, table, first, grad, step.lr, eps),
            UpdateRule::RowWiseAdagrad { eps } => {
                optim::rowwise_adagrad_rows(isa, table, first, grad, step.lr, eps);
            }
            UpdateRule::Adam { beta1, beta2, eps } => {
                optim::adam_rows(isa, table, first, second, grad, step.adam(beta1, beta2, eps));
            }
        }
    }
}
