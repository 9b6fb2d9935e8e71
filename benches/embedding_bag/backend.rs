//! Collections of tables on two threads: the forward pass, and a training step of nothing else, with SGD.

use crate::common::lookups::{BATCH, NAMED};
use crate::common::{check, values};
use criterion::{BenchmarkId, Criterion, Throughput};
use dlrm::backend::{Backend, Cpu, Pooling};
use dlrm::buffer::Buffer;
use dlrm::nn::EmbeddingBagCollection;
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::{Gradients, JaggedTensor, Parameters, Stream, Tape, Tensor};
use dlrm_kernels::embedding_bag::Bags;
use dlrm_kernels::reference;
use std::sync::Arc;

const LR: f32 = 0.01;

#[derive(Clone, Copy)]
struct Scenario {
    tables: usize,
    rows: usize,
    dim: usize,
    lookups: usize,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { tables: 26, rows: 1_000_000, dim: 16, lookups: 1 },
    Scenario { tables: 8, rows: 1_000_000, dim: 64, lookups: 1 },
    Scenario { tables: 8, rows: 1_000_000, dim: 64, lookups: 100 },
    Scenario { tables: 26, rows: 250_000, dim: 128, lookups: 1 },
];

struct Case {
    scenario: Scenario,
    params: Parameters,
    collection: EmbeddingBagCollection,
    batches: Vec<Vec<JaggedTensor>>,
    turn: usize,
    /// B × T × D.
    pooled: Tensor,
    /// The gradient of `pooled`.
    seed: Buffer,
}

impl Case {
    fn new(scenario: Scenario, cpu: &Arc<Cpu>) -> Case {
        let Scenario { tables, rows, dim, lookups } = scenario;
        let (mut params, mut stream) = (Parameters::new(cpu.clone()), Stream::native(1));
        let sizes = vec![rows; tables];
        let collection = EmbeddingBagCollection::new(&mut params, &sizes, dim, Pooling::Sum, None, &mut stream);
        let seed = values(BATCH * tables * dim, &mut stream);
        let list = |_| {
            let ids = (0..BATCH * lookups).map(|_| (stream.uniform() * rows as f64) as u32).collect();
            let offsets = (0..=BATCH).map(|b| (b * lookups) as u32).collect();
            JaggedTensor::new(ids, offsets, None).expect("the list is well formed")
        };
        let mut lists: Vec<JaggedTensor> = (0..tables * scenario.batches()).map(list).collect();
        let batches = (0..scenario.batches()).map(|_| lists.split_off(lists.len() - tables)).collect();
        let pooled = Tensor::zeros(&[BATCH, tables, dim]);
        let mut case = Case { scenario, params, collection, batches, turn: 0, pooled, seed };
        case.check(cpu);
        case
    }

    fn forward(&mut self, cpu: &Cpu) {
        self.turn = (self.turn + 1) % self.batches.len();
        cpu.embedding_bags(self.params.tables(), Pooling::Sum, &self.batches[self.turn], &mut self.pooled);
    }

    /// A forward pass, compared with the plain loop.
    fn check(&mut self, cpu: &Cpu) {
        self.forward(cpu);
        let Scenario { tables, dim, .. } = self.scenario;
        let mut expected = vec![0.0; self.pooled.len()];
        for (t, table) in self.params.tables().iter().enumerate() {
            let (bags, out) = (view(&self.batches[self.turn][t]), &mut expected[t * dim..]);
            reference::embedding_bag(table.values(), dim, bags, Pooling::Sum, out, tables * dim);
        }
        check("forward", self.pooled.as_slice(), &expected, 0.0);
    }

    fn step(&mut self, step: &mut Step) {
        self.turn = (self.turn + 1) % self.batches.len();
        step.tape.clear();
        step.grads.clear();
        let pooled = self.collection.forward(&mut step.tape, &self.params, &self.batches[self.turn]);
        step.tape.backward_from(pooled, self.seed.as_slice(), &self.params, &mut step.grads);
        step.optimizer.step(&mut self.params, &step.grads, LR);
    }
}

/// What a training step keeps to the next.
struct Step {
    tape: Tape,
    grads: Gradients,
    optimizer: Optimizer,
}

impl Step {
    /// After one step, whose changes of the first table were compared with the plain loop's.
    fn new(case: &mut Case) -> Step {
        let tape = Tape::new(case.params.backend().clone());
        let (grads, optimizer) = (Gradients::new(&case.params), Optimizer::new(UpdateRule::Sgd, &case.params));
        let mut step = Step { tape, grads, optimizer };

        let Scenario { tables, dim, .. } = case.scenario;
        let (list, seed) = (&case.batches[(case.turn + 1) % case.batches.len()][0], case.seed.as_slice());
        let (rows, grads) = reference::embedding_bag_backward(view(list), Pooling::Sum, seed, tables * dim, dim);
        let now = |case: &Case| -> Vec<f32> {
            rows.iter().flat_map(|&row| case.params.tables()[0].row(row as usize)).copied().collect()
        };
        let mut expected = now(case);
        reference::sgd(&mut expected, &grads, LR);
        case.step(&mut step);
        check("step", &now(case), &expected, 0.0);
        step
    }
}

impl Scenario {
    fn name(self) -> String {
        format!("{}xD{}x{}", self.tables, self.dim, self.lookups)
    }

    /// Values of the rows that a batch names.
    fn values(self) -> usize {
        BATCH * self.tables * self.lookups * self.dim
    }

    fn batches(self) -> usize {
        (NAMED / self.values()).max(2)
    }
}

fn view(list: &JaggedTensor) -> Bags<'_> {
    Bags { indices: list.values(), offsets: list.offsets(), weights: list.weights() }
}

pub fn backend(c: &mut Criterion) {
    let cpu = Arc::new(Cpu::new(2));
    let mut group = c.benchmark_group("embedding_bag/backend");
    for scenario in SCENARIOS {
        group.throughput(Throughput::Bytes((scenario.values() * size_of::<f32>()) as u64));
        let (mut case, mut step) = (None, None);
        group.bench_function(BenchmarkId::new("forward-2t", scenario.name()), |bencher| {
            let case = case.get_or_insert_with(|| Case::new(scenario, &cpu));
            cpu.scope(&mut || bencher.iter(|| case.forward(&cpu)));
        });
        group.bench_function(BenchmarkId::new("sgd-step-2t", scenario.name()), |bencher| {
            let case = case.get_or_insert_with(|| Case::new(scenario, &cpu));
            let step = step.get_or_insert_with(|| Step::new(case));
            cpu.scope(&mut || bencher.iter(|| case.step(step)));
        });
    }
    group.finish();
}
