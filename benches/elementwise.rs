//! Losses and activations of a batch of 2048 logits and of a 2048 × 512 layer, one thread. ReLU's
//! backward on every instruction set; logistic functions and losses are the same plain code on all.

mod common;

use common::{Random, check};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dlrm_kernels::{Isa, elementwise};

const B: usize = 2048;

fn losses(c: &mut Criterion) {
    let mut random = Random(1);
    let logits = random.values(B);
    let labels: Vec<f32> = (0..B).map(|_| f32::from(random.next().is_multiple_of(4))).collect();
    let mut out = vec![0.0; B];

    // σ is its own check: dx of the loss at scale 1 is σ(x) − y.
    let mut probabilities = vec![0.0; B];
    elementwise::sigmoid(&logits, &mut probabilities);
    elementwise::bce_with_logits_backward(&logits, &labels, None, 1.0, &mut out);
    let expected: Vec<f32> = probabilities.iter().zip(&labels).map(|(p, y)| p - y).collect();
    check("bce_with_logits_backward", &out, &expected, 0.0);
    let plain: f64 =
        probabilities.iter().zip(&labels).map(|(&p, &y)| if y > 0.0 { -p.ln() } else { -(1.0 - p).ln() } as f64).sum();
    check("bce_with_logits", &[elementwise::bce_with_logits(&logits, &labels, None) as f32], &[plain as f32], 1e-2);

    let mut group = c.benchmark_group("elementwise/logits");
    group.throughput(Throughput::Elements(B as u64));
    group.bench_function("sigmoid", |b| b.iter(|| elementwise::sigmoid(&logits, &mut out)));
    group.bench_function("bce", |b| b.iter(|| elementwise::bce_with_logits(&logits, &labels, None)));
    group.bench_function("bce-backward", |b| {
        b.iter(|| elementwise::bce_with_logits_backward(&logits, &labels, None, 1.0, &mut out));
    });
    group.bench_function("mse", |b| b.iter(|| elementwise::mse_with_logits(&logits, &labels)));
    group.finish();
}

fn relu(c: &mut Criterion) {
    let n = B * 512;
    let mut random = Random(2);
    let (y, dy) = (random.values(n), random.values(n));
    let expected: Vec<f32> = y.iter().zip(dy.iter()).map(|(&y, &dy)| if y > 0.0 { dy } else { 0.0 }).collect();
    let mut group = c.benchmark_group("elementwise/2048x512");
    group.throughput(Throughput::Bytes(3 * 4 * n as u64));
    for isa in Isa::available() {
        let mut found = dy.to_vec();
        elementwise::relu_backward(isa, &y, &mut found);
        check("relu_backward", &found, &expected, 0.0);
        group.bench_function(format!("relu-backward/{}", isa.name()), |b| {
            b.iter(|| elementwise::relu_backward(isa, &y, &mut found));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = losses, relu }
criterion_main!(benches);
