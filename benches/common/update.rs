//! Updates of the rows of a table, each from the sum of its gradients: every instruction set and the plain
//! loop, which also groups the lookups; ours find them grouped.

use super::lookups::{BATCH, Ids, Lookups, TABLE};
use super::{check, values};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use dlrm::Stream;
use dlrm::buffer::Buffer;
use dlrm_kernels::embedding_bag::{Pooling, RowGradient, RowSegments, coalesce};
use dlrm_kernels::optim::*;
use dlrm_kernels::{Isa, Scratch, reference};

const LR: f32 = 1e-3;
const EPS: f32 = 1e-8;
const ADAM: AdamStep = AdamStep { lr: LR, beta1: 0.9, beta2: 0.999, eps: EPS, step: 10 };

/// What roundings in another order may change of a weight or state of order 1.
pub const TOLERANCE: f32 = 1e-6;

#[derive(Clone, Copy)]
pub enum Rule {
    Sgd,
    Adagrad,
    RowwiseAdagrad,
    Adam,
}

impl Rule {
    pub fn name(self) -> &'static str {
        match self {
            Rule::Sgd => "sgd_rows",
            Rule::Adagrad => "adagrad_rows",
            Rule::RowwiseAdagrad => "rowwise_adagrad_rows",
            Rule::Adam => "adam_rows",
        }
    }

    /// Values of either state that go with a row of `dim`.
    pub fn state(self, dim: usize) -> [usize; 2] {
        match self {
            Rule::Sgd => [0, 0],
            Rule::Adagrad => [dim, 0],
            Rule::RowwiseAdagrad => [1, 0],
            Rule::Adam => [dim, dim],
        }
    }

    fn run(self, isa: Isa, w: &mut [f32], [s, t]: [&mut [f32]; 2], grad: RowGradient) {
        match self {
            Rule::Sgd => sgd_rows(isa, w, grad, LR),
            Rule::Adagrad => adagrad_rows(isa, w, s, grad, LR, EPS),
            Rule::RowwiseAdagrad => rowwise_adagrad_rows(isa, w, s, grad, LR, EPS),
            Rule::Adam => adam_rows(isa, w, s, t, grad, ADAM),
        }
    }

    fn plain(self, w: &mut [f32], [s, t]: [&mut [f32]; 2], g: &[f32]) {
        match self {
            Rule::Sgd => reference::sgd(w, g, LR),
            Rule::Adagrad => reference::adagrad(w, g, s, LR, EPS),
            Rule::RowwiseAdagrad => reference::rowwise_adagrad(w, g, &mut s[0], LR, EPS),
            Rule::Adam => reference::sparse_adam(w, g, s, t, ADAM),
        }
    }
}

/// All but the table, which scenarios share: it takes longer to make than to measure.
struct Case {
    rule: Rule,
    dim: usize,
    state: [Buffer; 2],
    grad_out: Buffer,
    lists: Lookups,
    /// The lookups, grouped by row.
    segments: Vec<RowSegments>,
    turn: usize,
}

impl Case {
    fn new(rule: Rule, (dim, lookups, ids): (usize, usize, Ids)) -> Case {
        let state = rule.state(dim).map(|len| {
            let mut state = Buffer::zeros(TABLE / dim * len);
            state.as_mut_slice().fill(1.0);
            state
        });
        let lists = Lookups::new(ids, dim, lookups);
        let mut segments = vec![RowSegments::default(); lists.count()];
        for (i, segments) in segments.iter_mut().enumerate() {
            coalesce(Isa::best(), lists.list(i), Pooling::Sum, segments, &mut Scratch::new());
        }
        let grad_out = values(BATCH * dim, &mut Stream::native(3));
        Case { rule, dim, state, grad_out, lists, segments, turn: 0 }
    }

    /// Updates the rows of the list whose turn it is, with the kernel of `isa` or in the plain loop.
    fn update(&mut self, isa: Option<Isa>, table: &mut [f32]) {
        let Case { rule, dim, state, grad_out, lists, segments, turn } = self;
        let (dim, grad_out, mut state) = (*dim, grad_out.as_slice(), state.each_mut().map(Buffer::as_mut_slice));
        if let Some(isa) = isa {
            rule.run(isa, table, state, RowGradient::new(&segments[*turn], grad_out, dim, dim));
        } else {
            let (rows, grads) = reference::embedding_bag_backward(lists.list(*turn), Pooling::Sum, grad_out, dim, dim);
            for (&row, g) in rows.iter().zip(grads.chunks_exact(dim)) {
                let [s, t] = &mut state;
                let [s_len, t_len] = rule.state(dim);
                let state = [of_row(s, s_len, row), of_row(t, t_len, row)];
                rule.plain(of_row(table, dim, row), state, g);
            }
        }
        *turn = (*turn + 1) % segments.len();
    }

    /// Updates one list in the plain loop and, from the same values, as `isa` does it.
    fn check(&mut self, isa: Isa, table: &mut [f32]) {
        let (turn, before) = (self.turn, self.rows(table));
        self.update(None, table);
        self.turn = turn;
        let expected = self.rows(table);
        self.set_rows(table, &before);
        self.update(Some(isa), table);
        self.turn = turn;
        let largest = expected.iter().fold(1.0f32, |largest, e| largest.max(e.abs()));
        check(self.rule.name(), &self.rows(table), &expected, largest * TOLERANCE);
    }

    /// Weights and states of the list whose turn it is.
    fn rows(&mut self, table: &mut [f32]) -> Vec<f32> {
        let mut rows = Vec::new();
        self.for_each_row(table, |row| rows.extend_from_slice(row));
        rows
    }

    fn set_rows(&mut self, table: &mut [f32], mut rows: &[f32]) {
        self.for_each_row(table, |row| {
            let (now, later) = rows.split_at(row.len());
            row.copy_from_slice(now);
            rows = later;
        });
    }

    fn for_each_row(&mut self, table: &mut [f32], mut f: impl FnMut(&mut [f32])) {
        let [s, t] = self.state.each_mut().map(Buffer::as_mut_slice);
        let [s_len, t_len] = self.rule.state(self.dim);
        for &row in self.segments[self.turn].rows() {
            f(of_row(table, self.dim, row));
            f(of_row(s, s_len, row));
            f(of_row(t, t_len, row));
        }
    }
}

/// The `len` values of `row`.
fn of_row(values: &mut [f32], len: usize, row: u32) -> &mut [f32] {
    &mut values[row as usize * len..][..len]
}

/// Times `rule` on `table`, which is made if it is not there yet, for rows of one D, a number of lookups a
/// bag and a kind of ids.
pub fn scenario(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    rule: Rule,
    table: &mut Option<Buffer>,
    shape: (usize, usize, Ids),
) {
    let mut case = None;
    for isa in Isa::available().map(Some).chain([None]) {
        let mut unchecked = isa;
        group.bench_function(BenchmarkId::new(isa.map_or("plain-loop", Isa::name), name), |bencher| {
            let table = table.get_or_insert_with(|| values(TABLE, &mut Stream::native(1))).as_mut_slice();
            let case = case.get_or_insert_with(|| Case::new(rule, shape));
            if let Some(isa) = unchecked.take() {
                case.check(isa, table);
            }
            bencher.iter(|| case.update(isa, table));
        });
    }
}
