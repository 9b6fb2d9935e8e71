//! Optimizer updates, one thread: of the Kaggle model's top MLP, which stays in the caches, and of a batch
//! of 2048 rows out of 512 MiB. Every instruction set and the plain loop.
//!
//! Bytes are those of weights and states, read and written; for the MLP also those of the gradient, which
//! is only read. Of rows the gradients are few and stay in a cache.

mod common;

use common::lookups::{BATCH, Ids};
use common::update::{Rule, TOLERANCE, scenario};
use common::{check, values};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::Stream;
use dlrm::buffer::Buffer;
use dlrm_kernels::optim::*;
use dlrm_kernels::{Isa, reference};

const LR: f32 = 1e-6;
const EPS: f32 = 1e-8;
const ADAM: AdamStep = AdamStep { lr: LR, beta1: 0.9, beta2: 0.999, eps: EPS, step: 10 };

/// Weights and biases of 367-512-256-1.
const TOP_MLP: usize = 320_001;

/// A rule for weights, gradients and two states, by a kernel or (no instruction set) in the plain loop.
type Run = fn(Option<Isa>, &mut [f32], &[f32], &mut [f32], &mut [f32]);

/// With the values that are read or written for each weight.
const DENSE: [(&str, usize, Run); 3] = [
    ("sgd", 3, |isa, w, g, _, _| match isa {
        Some(isa) => sgd(isa, w, g, LR),
        None => reference::sgd(w, g, LR),
    }),
    ("adagrad", 5, |isa, w, g, s, _| match isa {
        Some(isa) => adagrad(isa, w, g, s, LR, EPS),
        None => reference::adagrad(w, g, s, LR, EPS),
    }),
    ("adam", 7, |isa, w, g, m, v| match isa {
        Some(isa) => adam(isa, w, g, m, v, ADAM),
        None => reference::adam(w, g, m, v, ADAM),
    }),
];

/// Weights, and two states.
fn fresh() -> [Buffer; 3] {
    let mut all = [0; 3].map(|_| values(TOP_MLP, &mut Stream::native(1)));
    all[1..].iter_mut().for_each(|state| state.as_mut_slice().fill(1.0));
    all
}

fn dense(c: &mut Criterion) {
    let mut group = c.benchmark_group("optim/kaggle-top-mlp");
    let g = values(TOP_MLP, &mut Stream::native(2));
    for (rule, moved, run) in DENSE {
        group.throughput(Throughput::Bytes((moved * TOP_MLP * size_of::<f32>()) as u64));
        let step = |isa: Option<Isa>, all: &mut [Buffer; 3]| {
            let [w, s, t] = all.each_mut().map(Buffer::as_mut_slice);
            run(isa, w, g.as_slice(), s, t);
        };
        for isa in Isa::available().map(Some).chain([None]) {
            let mut ready = None;
            group.bench_function(BenchmarkId::new(isa.map_or("plain-loop", Isa::name), rule), |bencher| {
                let all = ready.get_or_insert_with(|| {
                    let (mut all, mut expected) = (fresh(), fresh());
                    step(isa, &mut all);
                    step(None, &mut expected);
                    all.iter().zip(&expected).for_each(|(a, e)| check(rule, a.as_slice(), e.as_slice(), TOLERANCE));
                    all
                });
                bencher.iter(|| step(isa, all));
            });
        }
    }
    group.finish();
}

fn rows(c: &mut Criterion) {
    const DIM: usize = 64;
    let mut group = c.benchmark_group("optim/rows");
    let mut table = None;
    for rule in [Rule::Sgd, Rule::Adagrad, Rule::RowwiseAdagrad, Rule::Adam] {
        let row = DIM + rule.state(DIM).iter().sum::<usize>();
        group.throughput(Throughput::Bytes((BATCH * row * size_of::<f32>()) as u64));
        let name = format!("{}-D{DIM}", rule.name());
        scenario(&mut group, &name, rule, &mut table, (DIM, 1, Ids::Uniform));
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = dense, rows }
criterion_main!(benches);
