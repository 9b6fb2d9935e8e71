//! The three products of a linear layer at the layers of the Kaggle and MLPerf models, one thread:
//! every instruction set, the plain loop where it ends in time, and matrixmultiply (through ndarray).
//! Elements are floating-point operations: Gelem/s is GFLOP/s.

mod common;

use common::{Buffer, Random};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use dlrm_kernels::gemm::*;
use dlrm_kernels::{Isa, Scratch, reference};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// M, N, K, and what layer it is.
const SHAPES: [(&str, [usize; 3]); 5] = [
    ("kaggle-bottom-1", [2048, 512, 13]),
    ("kaggle-bottom-2", [2048, 256, 512]),
    ("kaggle-top-1", [2048, 512, 367]),
    ("mlperf-top-2", [1024, 1024, 1024]),
    ("kaggle-top-2-batch-128", [128, 256, 512]),
];

/// The plain loop runs up to this many operations.
const REFERENCE_OPERATIONS: usize = 40_000_000;

struct Case {
    shape: [usize; 3],
    x: Buffer,
    w: Buffer,
    dy: Buffer,
}

fn matrix(values: &[f32], rows: usize, cols: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, cols), values).expect("the shape of the values")
}

fn pack(isa: Isa, len: usize, depth: usize, panel: impl Fn(usize, &mut [f32])) -> Buffer {
    let mut packed = Buffer::new(len);
    for (i, out) in packed.chunks_mut(panel_width(isa) * depth).enumerate() {
        panel(i, out);
    }
    packed
}

/// The error of a sum of `k` products of values in [-1, 1], twice over.
fn tolerance(k: usize) -> f32 {
    (k as f32) * f32::EPSILON * (k as f32).max(4.0) / 2.0
}

/// Times `run` under `name`, after its output agreed with `expected`.
fn measure(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    (expected, k): (&[f32], usize),
    mut run: impl FnMut(&mut [f32]),
) {
    let mut out = Buffer::new(expected.len());
    out.fill(f32::NAN);
    run(&mut out);
    common::check(name, &out, expected, tolerance(k));
    group.bench_function(name, |bencher| bencher.iter(|| run(&mut out)));
}

/// `out = a · b` as matrixmultiply computes it.
fn rival(a: ArrayView2<f32>, b: ArrayView2<f32>, out: &mut [f32]) {
    let mut out = ArrayViewMut2::from_shape((a.nrows(), b.ncols()), out).expect("the shape of the product");
    general_mat_mul(1.0, &a, &b, 0.0, &mut out);
}

fn forward(group: &mut BenchmarkGroup<WallTime>, case: &Case) {
    let [m, n, k] = case.shape;
    let (x, w) = (matrix(&case.x, m, k), matrix(&case.w, n, k));
    let mut expected = vec![0.0; m * n];
    rival(x, w.t(), &mut expected);
    let mut scratch = Scratch::new();
    for isa in Isa::available() {
        let packed = pack(isa, packed_len(isa, n, k), k, |i, out| pack_forward_panel(isa, &case.w, n, k, i, out));
        measure(group, isa.name(), (&expected, k), |y| {
            linear(isa, &case.x, &packed, None, Activation::None, y, m, n, k, &mut scratch);
        });
    }
    measure(group, "matrixmultiply", (&expected, k), |y| rival(x, w.t(), y));
    if 2 * m * n * k <= REFERENCE_OPERATIONS {
        measure(group, "plain-loop", (&expected, k), |y| {
            reference::linear(&case.x, &case.w, None, false, y, case.shape);
        });
    }
}

fn backward_input(group: &mut BenchmarkGroup<WallTime>, case: &Case) {
    let [m, n, k] = case.shape;
    let (dy, w) = (matrix(&case.dy, m, n), matrix(&case.w, n, k));
    let mut expected = vec![0.0; m * k];
    rival(dy, w, &mut expected);
    let mut scratch = Scratch::new();
    for isa in Isa::available() {
        let packed =
            pack(isa, packed_backward_len(isa, n, k), n, |i, out| pack_backward_panel(isa, &case.w, n, k, i, out));
        measure(group, isa.name(), (&expected, n), |dx| {
            linear_backward_input(isa, &case.dy, &packed, dx, m, n, k, Beta::Zero, &mut scratch);
        });
    }
    measure(group, "matrixmultiply", (&expected, n), |dx| rival(dy, w, dx));
}

fn backward_weight(group: &mut BenchmarkGroup<WallTime>, case: &Case) {
    let [m, n, k] = case.shape;
    let (dy, x) = (matrix(&case.dy, m, n), matrix(&case.x, m, k));
    let mut expected = vec![0.0; n * k];
    rival(dy.t(), x, &mut expected);
    let mut scratch = Scratch::new();
    for isa in Isa::available() {
        measure(group, isa.name(), (&expected, m), |dw| {
            linear_backward_weight(isa, &case.dy, &case.x, dw, None, m, n, k, 0..n, Beta::Zero, &mut scratch);
        });
    }
    measure(group, "matrixmultiply", (&expected, m), |dw| rival(dy.t(), x, dw));
}

type Form = fn(&mut BenchmarkGroup<WallTime>, &Case);

fn gemm(c: &mut Criterion) {
    let forms: [(&str, Form); 3] =
        [("linear", forward), ("backward-input", backward_input), ("backward-weight", backward_weight)];
    for (layer, shape) in SHAPES {
        let [m, n, k] = shape;
        let mut random = Random(1);
        let case = Case { shape, x: random.values(m * k), w: random.values(n * k), dy: random.values(m * n) };
        for (form, run) in forms {
            let mut group = c.benchmark_group(format!("gemm/{form}/{layer}-{m}x{n}x{k}"));
            group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
            run(&mut group, &case);
            group.finish();
        }
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = gemm }
criterion_main!(benches);
