//! Pooled lookup, sorting lookups by row, and the sparse gradient, one thread, one table: every
//! instruction set and the plain loop. Bytes are those of the rows that are read.

mod common;

use common::{Buffer, Random, check};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dlrm_kernels::embedding_bag::*;
use dlrm_kernels::{Isa, Scratch, reference};

struct Scenario {
    name: &'static str,
    rows: usize,
    dim: usize,
    batch: usize,
    lookups: usize,
    /// Different batches, taken in turn, so that the rows of one do not stay in the cache.
    batches: usize,
}

/// Tables of the Kaggle, MLPerf and Big Basin models.
const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "kaggle-small", rows: 1_000, dim: 16, batch: 2048, lookups: 1, batches: 1 },
    Scenario { name: "kaggle-large", rows: 2_000_000, dim: 16, batch: 2048, lookups: 1, batches: 100 },
    Scenario { name: "mlperf", rows: 250_000, dim: 128, batch: 2048, lookups: 1, batches: 20 },
    Scenario { name: "bigbasin", rows: 500_000, dim: 64, batch: 512, lookups: 100, batches: 4 },
];

fn embedding_bag_benches(c: &mut Criterion) {
    for Scenario { name, rows, dim, batch, lookups, batches } in SCENARIOS {
        let mut random = Random(1);
        let table = random.values(rows * dim);
        let indices: Vec<u32> = (0..batches * batch * lookups).map(|_| (random.next() % rows as u64) as u32).collect();
        let offsets: Vec<u32> = (0..=batches * batch).map(|b| (b * lookups) as u32).collect();
        let all = Bags { indices: &indices, offsets: &offsets, weights: None };
        let bags = all.slice(0..batch);
        let mut turn = 0;
        let mut next = || {
            turn = (turn + 1) % batches;
            all.slice(turn * batch..(turn + 1) * batch)
        };
        let bytes = Throughput::Bytes((batch * lookups * dim * 4) as u64);

        let mut expected = vec![0.0; batch * dim];
        reference::embedding_bag(&table, dim, bags, Pooling::Sum, &mut expected, dim);
        let mut out = Buffer::new(batch * dim);
        let mut group = c.benchmark_group(format!("embedding_bag/forward/{name}"));
        group.throughput(bytes.clone());
        for isa in Isa::available() {
            embedding_bag(isa, &table, dim, bags, Pooling::Sum, &mut out, dim);
            check(name, &out, &expected, 0.0);
            group.bench_function(isa.name(), |bencher| {
                bencher.iter(|| embedding_bag(isa, &table, dim, next(), Pooling::Sum, &mut out, dim));
            });
        }
        group.bench_function("plain-loop", |bencher| {
            bencher.iter(|| reference::embedding_bag(&table, dim, next(), Pooling::Sum, &mut out, dim));
        });
        group.finish();

        let mut segments = RowSegments::default();
        coalesce(bags, Pooling::Sum, &mut segments);
        let mut group = c.benchmark_group(format!("embedding_bag/coalesce/{name}"));
        group.throughput(Throughput::Elements((batch * lookups) as u64));
        group.bench_function("radix", |bencher| bencher.iter(|| coalesce(bags, Pooling::Sum, &mut segments)));
        group.bench_function("sort_by_key", |bencher| {
            let mut order: Vec<u32> = Vec::new();
            bencher.iter(|| {
                order.clear();
                order.extend(0..(batch * lookups) as u32);
                order.sort_by_key(|&i| indices[i as usize]);
            });
        });
        group.finish();

        reference::embedding_bag(&table, dim, bags, Pooling::Sum, &mut out, dim);
        let (sorted, expected) = reference::embedding_bag_backward(bags, Pooling::Sum, &out, dim, dim);
        assert_eq!(segments.rows(), sorted, "{name}");
        let grad_out = out;
        let mut values = Buffer::new(expected.len());
        let mut group = c.benchmark_group(format!("embedding_bag/backward/{name}"));
        group.throughput(bytes);
        let mut scratch = Scratch::new();
        for isa in Isa::available() {
            let grad = RowGradient::new(&segments, &grad_out, dim, dim);
            let mut run = || embedding_bag_backward(isa, grad, &mut values, &mut scratch);
            run();
            group.bench_function(isa.name(), |bencher| bencher.iter(&mut run));
            check(name, &values, &expected, 0.0);
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = embedding_bag_benches }
criterion_main!(benches);
