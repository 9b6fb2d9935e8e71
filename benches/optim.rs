//! Optimizer updates of the rows of one batch (Kaggle: in the cache after the first time; Big Basin:
//! larger than it) and of the Kaggle model's bottom MLP, one thread: every instruction set. Bytes are
//! those of the weights that change.

mod common;

use common::{Buffer, Random, check};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use dlrm_kernels::embedding_bag::{RowGradient, RowSegments};
use dlrm_kernels::optim::*;
use dlrm_kernels::{Isa, Scratch, reference};

const LR: f32 = 1e-6;
const EPS: f32 = 1e-8;

fn adam_step(step: u64) -> AdamStep {
    AdamStep { lr: LR, beta1: 0.9, beta2: 0.999, eps: EPS, step }
}

fn row_updates(c: &mut Criterion) {
    for (name, rows, dim, count) in [("kaggle", 1_000_000, 16, 2048), ("bigbasin", 250_000, 64, 50_000)] {
        let mut random = Random(1);
        let mut table = random.values(rows * dim);
        let mut touched: Vec<u32> = (0..count).map(|_| (random.next() % rows as u64) as u32).collect();
        touched.sort_unstable();
        touched.dedup();
        let values = random.values(touched.len() * dim);
        let mut segments = RowSegments::default();
        segments.set_one_each(touched.iter().copied());
        let grad = RowGradient::new(&segments, &values, dim, dim);
        let scratch = &mut Scratch::new();
        let (mut squares, mut row_squares) = (Buffer::new(rows * dim), Buffer::new(rows));
        let (mut m, mut v) = (Buffer::new(rows * dim), Buffer::new(rows * dim));
        let mut group = c.benchmark_group(format!("optim/rows/{name}"));
        group.throughput(Throughput::Bytes((values.len() * 4) as u64));
        for isa in Isa::available() {
            measure(&mut group, "sgd", isa, || sgd_rows(isa, &mut table, grad, LR, scratch));
            measure(&mut group, "adagrad", isa, || adagrad_rows(isa, &mut table, &mut squares, grad, LR, EPS, scratch));
            measure(&mut group, "rowwise-adagrad", isa, || {
                rowwise_adagrad_rows(isa, &mut table, &mut row_squares, grad, LR, EPS, scratch);
            });
            measure(&mut group, "adam", isa, || {
                adam_rows(isa, &mut table, &mut m, &mut v, grad, adam_step(10), scratch);
            });
        }
        group.finish();
    }
}

fn dense_updates(c: &mut Criterion) {
    let n = 155_984;
    let mut random = Random(1);
    let (mut w, g) = (random.values(n), random.values(n));
    let (mut squares, mut m, mut v) = (Buffer::new(n), Buffer::new(n), Buffer::new(n));
    let mut group = c.benchmark_group("optim/dense/kaggle-bottom");
    group.throughput(Throughput::Bytes(n as u64 * 4));
    for isa in Isa::available() {
        let (mut found, mut expected) = (w.to_vec(), w.to_vec());
        sgd(isa, &mut found, &g, LR);
        reference::sgd(&mut expected, &g, LR);
        check("sgd", &found, &expected, 0.0);
        measure(&mut group, "sgd", isa, || sgd(isa, &mut w, &g, LR));
        measure(&mut group, "adagrad", isa, || adagrad(isa, &mut w, &g, &mut squares, LR, EPS));
        measure(&mut group, "adam", isa, || adam(isa, &mut w, &g, &mut m, &mut v, adam_step(10)));
    }
    group.finish();
}

fn measure(group: &mut BenchmarkGroup<WallTime>, name: &str, isa: Isa, mut run: impl FnMut()) {
    group.bench_function(format!("{name}/{}", isa.name()), |bencher| bencher.iter(&mut run));
}

criterion_group! { name = benches; config = common::criterion(); targets = row_updates, dense_updates }
criterion_main!(benches);
