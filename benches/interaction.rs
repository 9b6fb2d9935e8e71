//! Pairwise dots, forward and backward, one thread: every instruction set, and the plain loops.
//! Elements are samples.

mod common;

use common::{Buffer, Random, check};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dlrm_kernels::interaction::*;
use dlrm_kernels::{Isa, Scratch, reference};

/// Name, and B, tables, D.
const SCENARIOS: [(&str, [usize; 3]); 3] =
    [("kaggle", [2048, 26, 16]), ("mlperf", [512, 26, 128]), ("bigbasin", [2048, 8, 64])];

fn interaction(c: &mut Criterion) {
    for (name, shape) in SCENARIOS {
        let [batch, tables, dim] = shape;
        let mut random = Random(1);
        let (dense, pooled) = (random.values(batch * dim), random.values(batch * tables * dim));
        let out_dim = interaction_dot_dim(dim, tables, true, false);
        let grad_out = random.values(batch * out_dim);
        let mut scratch = Scratch::new();

        let expected = reference::interaction_dot(Some(&dense), &pooled, shape, false);
        let mut out = Buffer::new(batch * out_dim);
        let mut group = c.benchmark_group(format!("interaction/forward/{name}"));
        group.throughput(Throughput::Elements(batch as u64));
        for isa in Isa::available() {
            let mut run = || interaction_dot(isa, Some(&dense), &pooled, tables, dim, false, &mut out, &mut scratch);
            run();
            group.bench_function(isa.name(), |bencher| bencher.iter(&mut run));
            // Sums of D products of values in [-1, 1].
            check(name, &out, &expected, dim as f32 * 1e-6);
        }
        group.bench_function("plain-loop", |bencher| {
            bencher.iter(|| reference::interaction_dot(Some(&dense), &pooled, shape, false));
        });
        group.finish();

        let (expected_dense, expected_pooled) =
            reference::interaction_dot_backward(Some(&dense), &pooled, &grad_out, shape, false);
        let (mut grad_dense, mut grad_pooled) = (Buffer::new(dense.len()), Buffer::new(pooled.len()));
        let mut group = c.benchmark_group(format!("interaction/backward/{name}"));
        group.throughput(Throughput::Elements(batch as u64));
        for isa in Isa::available() {
            let mut run = || {
                let (grad_dense, grad_pooled) = (Some(&mut grad_dense[..]), &mut grad_pooled);
                let dense = Some(&dense[..]);
                interaction_dot_backward(
                    isa,
                    dense,
                    &pooled,
                    &grad_out,
                    tables,
                    dim,
                    false,
                    grad_dense,
                    grad_pooled,
                    &mut scratch,
                );
            };
            run();
            group.bench_function(isa.name(), |bencher| bencher.iter(&mut run));
            // Sums of F products of values in [-1, 1].
            check(name, &grad_dense, &expected_dense, tables as f32 * 1e-6);
            check(name, &grad_pooled, &expected_pooled, tables as f32 * 1e-6);
        }
        group.bench_function("plain-loop", |bencher| {
            bencher.iter(|| reference::interaction_dot_backward(Some(&dense), &pooled, &grad_out, shape, false));
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = interaction }
criterion_main!(benches);
