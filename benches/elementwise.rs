//! Losses and activations of a batch of 2048 logits and of a 2048 × 512 layer, one thread. ReLU's
//! backward and the products of cross layers on every instruction set; logistic functions and losses are the same plain code on all.

mod common;

use common::{check, values};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::Stream;
use dlrm::buffer::Buffer;
use dlrm_kernels::{Isa, elementwise};
use std::hint::black_box;

const B: usize = 2048;

fn losses(c: &mut Criterion) {
    let mut stream = Stream::native(1);
    let logits = values(B, &mut stream);
    let logits = logits.as_slice();
    let labels: Vec<f32> = (0..B).map(|_| f32::from(stream.uniform() < 0.25)).collect();
    let mut out = vec![0.0; B];

    // σ is its own check: dx of the loss at scale 1 is σ(x) − y.
    let mut probabilities = vec![0.0; B];
    elementwise::sigmoid(logits, &mut probabilities);
    elementwise::bce_with_logits_backward(logits, &labels, None, 1.0, &mut out);
    let expected: Vec<f32> = probabilities.iter().zip(&labels).map(|(p, y)| p - y).collect();
    check("bce_with_logits_backward", &out, &expected, 0.0);
    let plain: f64 =
        probabilities.iter().zip(&labels).map(|(&p, &y)| if y > 0.0 { -p.ln() } else { -(1.0 - p).ln() } as f64).sum();
    check("bce_with_logits", &[elementwise::bce_with_logits(logits, &labels, None) as f32], &[plain as f32], 1e-2);

    let mut group = c.benchmark_group("elementwise/logits");
    group.throughput(Throughput::Elements(B as u64));
    let mut time = |name: &str, run: &mut dyn FnMut()| {
        group.bench_function(BenchmarkId::new("portable", name), |bencher| bencher.iter(&mut *run));
    };
    time("sigmoid", &mut || elementwise::sigmoid(logits, &mut out));
    time("bce", &mut || _ = black_box(elementwise::bce_with_logits(logits, &labels, None)));
    time("bce-backward", &mut || elementwise::bce_with_logits_backward(logits, &labels, None, 1.0, &mut out));
    time("mse", &mut || _ = black_box(elementwise::mse_with_logits(logits, &labels)));
    group.finish();
}

fn relu(c: &mut Criterion) {
    let n = B * 512;
    let mut stream = Stream::native(2);
    let [y, dy] = [0; 2].map(|_| values(n, &mut stream));
    let (y, dy) = (y.as_slice(), dy.as_slice());
    let expected: Vec<f32> = y.iter().zip(dy).map(|(&y, &dy)| if y > 0.0 { dy } else { 0.0 }).collect();
    let mut group = c.benchmark_group("elementwise/relu-backward");
    group.throughput(Throughput::Bytes((3 * size_of::<f32>() * n) as u64));
    for isa in Isa::available() {
        let mut found = Buffer::zeros(n);
        let found = found.as_mut_slice();
        found.copy_from_slice(dy);
        elementwise::relu_backward(isa, y, found);
        check("relu_backward", found, &expected, 0.0);
        group.bench_function(BenchmarkId::new(isa.name(), "2048x512"), |b| {
            b.iter(|| elementwise::relu_backward(isa, y, found));
        });
    }
    group.finish();
}

/// What cross layers do with a batch of 2048 vectors as long as MLPerf's.
fn products(c: &mut Criterion) {
    const N: usize = 3456;
    let mut stream = Stream::native(3);
    let [a, b] = [0; 2].map(|_| values(B * N, &mut stream));
    let (a, b) = (a.as_slice(), b.as_slice());
    let expected: Vec<f32> = a.iter().zip(b).map(|(&a, &b)| 1.0 + a * b).collect();
    let mut group = c.benchmark_group("elementwise/mul-add");
    group.throughput(Throughput::Bytes((4 * size_of::<f32>() * B * N) as u64));
    for isa in Isa::available() {
        let mut found = Buffer::zeros(B * N);
        let found = found.as_mut_slice();
        found.fill(1.0);
        elementwise::mul_add(isa, a, b, found);
        check("mul_add", found, &expected, 0.0);
        group.bench_function(BenchmarkId::new(isa.name(), "2048x3456"), |bencher| {
            bencher.iter(|| elementwise::mul_add(isa, a, b, found));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = losses, relu, products }
criterion_main!(benches);
