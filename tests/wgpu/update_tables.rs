//! Gradients of tables and what the update rules make of them: sorted and summed on the device.

use crate::embedding::{DIMS, list, lists, narrow, tables};
use crate::support::{close, cpu, gpu, open, random, sound};
use dlrm::backend::{Backend, Pooling, State, TableGrads, UpdateRule, UpdateStep, WgpuOptions};
use dlrm::buffer::Buffer;
use dlrm::gradcheck::{GradCheck, gradcheck};
use dlrm::ops::{self, RowWeights};
use dlrm::{JaggedTensor, Parameters, Tensor};
use std::sync::Arc;

pub const RULES: [UpdateRule; 4] =
    [UpdateRule::Sgd, UpdateRule::ADAGRAD, UpdateRule::ROW_WISE_ADAGRAD, UpdateRule::ADAM];

/// Tables in training, without a model around them.
pub struct Training {
    pub params: Parameters,
    pub grads: Box<dyn TableGrads>,
    pub states: Vec<State>,
    rule: UpdateRule,
    pub t: u64,
}

impl Training {
    pub fn new(backend: Arc<dyn Backend>, rows: &[usize], dim: usize, rule: UpdateRule) -> Self {
        let grads = backend.table_grads(rows.len());
        let states = rows.iter().map(|rows| {
            let [first, second] = match rule {
                UpdateRule::Sgd => [0, 0],
                UpdateRule::Adagrad { .. } => [rows * dim, 0],
                UpdateRule::RowWiseAdagrad { .. } => [*rows, 0],
                UpdateRule::Adam { .. } => [rows * dim; 2],
            };
            State { first: Buffer::zeros(first), second: Buffer::zeros(second) }
        });
        Training { states: states.collect(), params: tables(backend, rows, dim), grads, rule, t: 0 }
    }

    pub fn backward(&mut self, pooling: Pooling, bags: &[JaggedTensor], seed: u64) {
        let tables = self.params.tables();
        let mut grad = random(&[bags[0].num_bags(), bags.len(), tables[0].embedding_dim()], seed);
        let backend = self.params.backend();
        backend.embedding_bags_backward(tables, pooling, bags, &mut grad, &mut *self.grads, 0);
    }

    fn update(&mut self, unless: Option<&Tensor>) {
        self.t += 1;
        let step = UpdateStep { rule: self.rule, lr: 0.01, t: self.t, unless };
        let backend = self.params.backend().clone();
        backend.update_tables(step, self.params.tables_mut(), &*self.grads, &mut self.states);
        self.grads.clear();
    }

    pub fn step(&mut self, pooling: Pooling, bags: &[JaggedTensor], seed: u64) {
        self.backward(pooling, bags, seed);
        self.update(None);
    }

    /// All numbers of tables and states.
    pub fn numbers(&self) -> Vec<f32> {
        let tables = self.params.tables().iter().flat_map(|table| table.values());
        let states = self.states.iter().flat_map(|s| s.first.as_slice().iter().chain(s.second.as_slice()));
        tables.chain(states).copied().collect()
    }

    /// The gradients of all tables.
    pub fn gradients(&self) -> (Vec<Vec<u32>>, Vec<f32>) {
        let tables = 0..self.grads.tables();
        (tables.clone().map(|t| self.grads.rows(t)).collect(), tables.flat_map(|t| self.grads.values(t)).collect())
    }
}

#[track_caller]
fn same_gradients(what: &str, a: &Training, b: &Training, tolerance: f32) {
    let ((rows, values), (expected_rows, expected)) = (a.gradients(), b.gradients());
    assert_eq!(rows, expected_rows, "{what}");
    close(what, &values, &expected, tolerance);
}

pub fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn all_rules() {
    let Some(gpu) = gpu() else { return };
    for (dim, rows) in DIMS.into_iter().zip([&[5, 700, 1][..], &[300, 2], &[9, 400, 70], &[1], &[257, 33], &[20, 60]]) {
        for (pooling, weighted) in [(Pooling::Sum, false), (Pooling::Mean, false), (Pooling::Sum, true)] {
            for rule in RULES {
                let what = format!("{rule:?} {pooling:?} {weighted} {rows:?} x {dim}");
                let mut ours = Training::new(gpu.clone(), rows, dim, rule);
                let mut theirs = Training::new(Arc::new(cpu()), rows, dim, rule);
                for (seed, bags) in [(1, 33), (2, 70)] {
                    let bags = lists(bags, rows, weighted);
                    [&mut ours, &mut theirs].into_iter().for_each(|training| training.backward(pooling, &bags, seed));
                    // Rows of a hundred lookups, summed in another order.
                    same_gradients(&what, &ours, &theirs, 1e-5);
                    [&mut ours, &mut theirs].into_iter().for_each(|training| training.update(None));
                }
                close(&what, &ours.numbers(), &theirs.numbers(), 1e-5);
            }
        }
    }
    sound(&gpu);
}

/// A row that is looked up 5,000 times, beside others, and up to the table's last.
#[test]
fn a_row_of_many_lookups() {
    let Some(gpu) = gpu() else { return };
    let ids: Vec<u32> = (0..6000).map(|i| if i % 6 == 5 { i * 7 % 1000 } else { 3 }).collect();
    let bags = [JaggedTensor::one_per_bag(ids), list(6000, 40, false, 1)];
    for dim in [1, 16] {
        let mut ours = Training::new(gpu.clone(), &[1000, 40], dim, UpdateRule::ROW_WISE_ADAGRAD);
        let mut theirs = Training::new(Arc::new(cpu()), &[1000, 40], dim, UpdateRule::ROW_WISE_ADAGRAD);
        [&mut ours, &mut theirs].into_iter().for_each(|training| training.backward(Pooling::Sum, &bags, 3));
        same_gradients("5000 times", &ours, &theirs, 1e-5);
        [&mut ours, &mut theirs].into_iter().for_each(|training| training.update(None));
        close("5000 times", &ours.numbers(), &theirs.numbers(), 1e-5);
    }
    sound(&gpu);
}

/// At 16 KiB a buffer, 256 rows of 16 numbers: the second table is in four buffers.
#[test]
fn tables_that_are_cut_get_the_same_bits() {
    let (Some(whole), Some(cut)) = (gpu(), narrow(16 << 10)) else { return };
    let rows = [100, 700, 50, 300];
    for rule in RULES {
        let [mut a, mut b] = [whole.clone(), cut.clone()].map(|gpu| Training::new(gpu, &rows, 16, rule));
        for seed in 0..3 {
            let bags = lists(20 + seed as usize, &rows, seed == 1);
            [&mut a, &mut b].into_iter().for_each(|training| training.step(Pooling::Mean, &bags, seed));
        }
        assert!(bits(&a.numbers()) == bits(&b.numbers()), "{rule:?}");
    }
    sound(&cut);
}

#[test]
fn the_same_bits_each_run() {
    let Some(gpu) = gpu() else { return };
    let run = || {
        let mut training = Training::new(gpu.clone(), &[30, 400], 20, UpdateRule::ADAM);
        (0..3).for_each(|seed| training.step(Pooling::Sum, &lists(200, &[30, 400], true), seed));
        bits(&training.numbers())
    };
    assert!(run() == run());
}

#[test]
fn nothing_changes_unless_it_may() {
    let Some(gpu) = gpu() else { return };
    for rule in RULES {
        let mut training = Training::new(gpu.clone(), &[30, 40], 3, rule);
        training.step(Pooling::Sum, &lists(9, &[30, 40], false), 1);
        for (found, changes) in [(1.0, false), (0.0, true)] {
            let before = training.numbers();
            training.backward(Pooling::Sum, &lists(9, &[30, 40], false), 2);
            training.update(Some(&Tensor::from_slice(&[1], &[found])));
            assert_eq!(training.numbers() != before, changes, "{rule:?} {found}");
        }
    }
    sound(&gpu);
}

/// Batches of one step, before and after the sums are looked at, and what is done to sums.
#[test]
fn gradients_add_up() {
    let Some(gpu) = gpu() else { return };
    let rows = [30, 400];
    let run = |backend: Arc<dyn Backend>| {
        let mut training = Training::new(backend.clone(), &rows, 16, UpdateRule::Sgd);
        training.backward(Pooling::Sum, &lists(20, &rows, false), 1);
        training.backward(Pooling::Mean, &lists(40, &rows, true), 2);
        backend.sum_table_grads(&mut *training.grads);
        training.backward(Pooling::Sum, &lists(30, &rows, false), 3);
        backend.sum_table_grads(&mut *training.grads);
        backend.add_l2(0.1, training.params.tables(), &mut *training.grads);
        let mut squares = 0.0;
        training.grads.for_each_sum(&mut |sums| {
            backend.scale(0.5, sums);
            squares += backend.sum_of_squares(sums);
        });
        (training, squares)
    };
    let ((mut ours, a), (mut theirs, b)) = (run(gpu.clone()), run(Arc::new(cpu())));
    assert!((a - b).abs() < 1e-5 * b, "{a}, not {b}");
    same_gradients("three batches", &ours, &theirs, 1e-6);
    [&mut ours, &mut theirs].into_iter().for_each(|training| training.update(None));
    close("three batches", &ours.numbers(), &theirs.numbers(), 1e-6);
    sound(&gpu);
}

#[test]
fn gradients_that_are_not_finite_are_found() {
    let Some(gpu) = gpu() else { return };
    for (factor, expected) in [(1.0, 0.0), (f32::INFINITY, 1.0)] {
        let mut training = Training::new(gpu.clone(), &[30], 4, UpdateRule::Sgd);
        let mut grad = random(&[7, 1, 4], 1);
        grad.as_mut_slice()[13] *= factor;
        let bags = [JaggedTensor::one_per_bag(vec![1, 2, 1, 1, 2, 29, 0])];
        let tables = training.params.tables();
        gpu.embedding_bags_backward(tables, Pooling::Sum, &bags, &mut grad, &mut *training.grads, 0);
        let mut found = Tensor::zeros(&[1]);
        training.grads.check_finite(&*gpu, &mut found);
        assert_eq!(found.as_slice(), [expected]);
    }
}

#[test]
fn gradients_by_finite_differences() {
    let Some(gpu) = gpu() else { return };
    let rows = [5, 7, 2];
    for (dim, pooling) in [(1, Pooling::Sum), (3, Pooling::Mean)] {
        let mut params = tables(gpu.clone(), &rows, dim);
        gradcheck(&mut params, &[], GradCheck::default(), |tape, params, _| {
            let bags = tape.bags(&lists(6, &rows, false));
            ops::embedding_bags(tape, params, params.find_table("t0").unwrap(), pooling, bags, None)
        });
    }
    let mut params = tables(gpu.clone(), &rows, 3);
    let weights: Vec<_> = rows.iter().enumerate().map(|(t, &n)| params.add_table(format!("w{t}"), n, 1)).collect();
    for table in &mut params.tables_mut()[rows.len()..] {
        table.values_mut().iter_mut().enumerate().for_each(|(i, w)| *w = 0.5 - 0.3 * i as f32);
    }
    gradcheck(&mut params, &[], GradCheck::default(), |tape, params, _| {
        let bags = tape.bags(&lists(6, &rows, false));
        let row_weights = RowWeights { first: weights[0], learned: true };
        ops::embedding_bags(tape, params, params.find_table("t0").unwrap(), Pooling::Sum, bags, Some(row_weights))
    });
    sound(&gpu);
}

#[test]
fn a_steady_step_makes_nothing_and_reads_nothing() {
    // A device of its own, since it is counted what is done there.
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    let rows = [30, 400, 5];
    let mut training = Training::new(gpu.clone(), &rows, 16, UpdateRule::ADAGRAD);
    let mut step = |seed| {
        let bags = lists(64, &rows, false);
        let mut out = random(&[64, 3, 16], 1);
        gpu.embedding_bags(training.params.tables(), Pooling::Sum, &bags, &mut out);
        training.backward(Pooling::Sum, &bags, seed);
        training.update(None);
        gpu.submit();
        gpu.counts()
    };
    (0..3).for_each(|seed| _ = step(seed));
    let (before, after) = (step(3), step(4));
    // Tensors of the test itself are new each step: the output and the gradient, with a bind group each where a shader
    // sees them.
    assert_eq!(after.buffers - before.buffers, 2);
    assert_eq!(after.bytes_down, before.bytes_down);
    sound(&gpu);
}
