//! How many instructions each kernel takes, counted under Valgrind: the same number every time, on a busy
//! machine too, so that a change of one per cent shows. Time is another matter: see the package `dlrm`.
//!
//! Valgrind's processor has AVX2 and not AVX-512, whatever it runs on, so the sets are named.

#![allow(missing_docs)] // what the macros make has none

use dlrm_kernels::embedding_bag::*;
use dlrm_kernels::gemm::*;
use dlrm_kernels::interaction::*;
use dlrm_kernels::optim::sgd_rows;
use dlrm_kernels::{Isa, Scratch, elementwise};
use gungraun::prelude::*;
use gungraun::{Callgrind, main};

/// A layer of the Kaggle model's top MLP, at a batch of 128.
const M: usize = 128;
const N: usize = 256;
const K: usize = 512;

/// A table, and the bags that are looked up.
const ROWS: usize = 10_000;
const DIM: usize = 64;
const BAGS: usize = 256;
const LOOKUPS: usize = 10;

/// The interaction of the Kaggle model.
const SAMPLES: usize = 32;
const TABLES: usize = 26;
const VECTOR: usize = 16;

/// A kernel with its operands.
type Run = Box<dyn FnMut()>;

/// `run` after it ran once, since its scratch has grown then.
fn warm(mut run: impl FnMut() + 'static) -> Run {
    run();
    Box::new(run)
}

fn isa(name: &str) -> Isa {
    Isa::available().find(|isa| isa.name() == name).unwrap_or_else(|| panic!("this processor has no {name}"))
}

/// `n` values in [-1, 1) without a pattern.
fn values(n: usize) -> Vec<f32> {
    numbers(n).map(|x| (x >> 8) as f32 / (1u32 << 23) as f32 - 1.0).collect()
}

fn numbers(n: usize) -> impl Iterator<Item = u32> {
    (0..n as u64).map(|i| {
        ((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
    })
}

fn forward_panels(isa: Isa, w: &[f32], packed: &mut [f32]) {
    for (i, panel) in packed.chunks_mut(panel_width(isa) * K).enumerate() {
        pack_forward_panel(isa, w, N, K, i, panel);
    }
}

fn pack(set: &str) -> Run {
    let (isa, w) = (isa(set), values(N * K));
    let mut packed = vec![0.0; packed_len(isa, N, K)];
    warm(move || forward_panels(isa, &w, &mut packed))
}

fn forward(set: &str) -> Run {
    let (isa, x, w) = (isa(set), values(M * K), values(N * K));
    let (mut packed, mut y, mut scratch) = (vec![0.0; packed_len(isa, N, K)], vec![0.0; M * N], Scratch::new());
    forward_panels(isa, &w, &mut packed);
    warm(move || linear(isa, &x, &packed, None, Activation::Relu, &mut y, M, N, K, &mut scratch))
}

fn backward_input(set: &str) -> Run {
    let (isa, dy, w) = (isa(set), values(M * N), values(N * K));
    let mut packed = vec![0.0; packed_backward_len(isa, N, K)];
    for (i, panel) in packed.chunks_mut(panel_width(isa) * N).enumerate() {
        pack_backward_panel(isa, &w, N, K, i, panel);
    }
    let (mut dx, mut scratch) = (vec![0.0; M * K], Scratch::new());
    warm(move || linear_backward_input(isa, &dy, &packed, &mut dx, M, N, K, Beta::Zero, &mut scratch))
}

fn backward_weight(set: &str) -> Run {
    let (isa, dy, x) = (isa(set), values(M * N), values(M * K));
    let (mut dw, mut db, mut scratch) = (vec![0.0; N * K], vec![0.0; N], Scratch::new());
    warm(move || {
        let db = Some((&mut db[..], Beta::Zero));
        linear_backward_weight(isa, &dy, &x, &mut dw, db, M, N, K, 0..N, Beta::Zero, &mut scratch);
    })
}

fn relu(set: &str) -> Run {
    let (isa, y, mut dy) = (isa(set), values(M * N), values(M * N));
    warm(move || elementwise::relu_backward(isa, &y, &mut dy))
}

/// Row numbers, and where bags start.
fn lists() -> [Vec<u32>; 2] {
    [numbers(BAGS * LOOKUPS).map(|x| x % ROWS as u32).collect(), (0..=BAGS).map(|b| (b * LOOKUPS) as u32).collect()]
}

fn lookup(set: &str) -> Run {
    let (isa, table, [indices, offsets]) = (isa(set), values(ROWS * DIM), lists());
    let mut out = vec![0.0; BAGS * DIM];
    warm(move || {
        let bags = Bags { indices: &indices, offsets: &offsets, weights: None };
        embedding_bag(isa, &table, DIM, bags, Pooling::Sum, &mut out, DIM);
    })
}

fn sort(set: &str) -> Run {
    let isa = isa(set);
    let ([indices, offsets], mut segments, mut scratch) = (lists(), RowSegments::default(), Scratch::new());
    warm(move || {
        let bags = Bags { indices: &indices, offsets: &offsets, weights: None };
        coalesce(isa, bags, Pooling::Sum, &mut segments, &mut scratch);
    })
}

fn update(set: &str) -> Run {
    let (isa, mut table, grad_out) = (isa(set), values(ROWS * DIM), values(BAGS * DIM));
    let ([indices, offsets], mut segments) = (lists(), RowSegments::default());
    coalesce(
        isa,
        Bags { indices: &indices, offsets: &offsets, weights: None },
        Pooling::Sum,
        &mut segments,
        &mut Scratch::new(),
    );
    warm(move || sgd_rows(isa, &mut table, RowGradient::new(&segments, &grad_out, DIM, DIM), 1e-3))
}

fn dots(set: &str) -> Run {
    let (isa, dense, pooled) = (isa(set), values(SAMPLES * VECTOR), values(SAMPLES * TABLES * VECTOR));
    let mut out = vec![0.0; SAMPLES * interaction_dot_dim(VECTOR, TABLES, true, false)];
    let mut scratch = Scratch::new();
    warm(move || interaction_dot(isa, Some(&dense), &pooled, TABLES, VECTOR, false, &mut out, &mut scratch))
}

fn dots_backward(set: &str) -> Run {
    let (isa, dense, pooled) = (isa(set), values(SAMPLES * VECTOR), values(SAMPLES * TABLES * VECTOR));
    let grad_out = values(SAMPLES * interaction_dot_dim(VECTOR, TABLES, true, false));
    let (mut of_dense, mut of_pooled, mut scratch) = (dense.clone(), pooled.clone(), Scratch::new());
    warm(move || {
        let of_dense = Some(&mut of_dense[..]);
        interaction_dot_backward(
            isa,
            Some(&dense),
            &pooled,
            &grad_out,
            TABLES,
            VECTOR,
            false,
            of_dense,
            &mut of_pooled,
            &mut scratch,
        );
    })
}

#[library_benchmark]
#[benches::pack(args = ["avx2", "scalar"], setup = pack)]
#[benches::linear(args = ["avx2", "scalar"], setup = forward)]
#[benches::linear_backward_input(args = ["avx2", "scalar"], setup = backward_input)]
#[benches::linear_backward_weight(args = ["avx2", "scalar"], setup = backward_weight)]
#[benches::relu_backward(args = ["avx2", "scalar"], setup = relu)]
#[benches::embedding_bag(args = ["avx2", "scalar"], setup = lookup)]
#[benches::coalesce(args = ["avx2", "scalar"], setup = sort)]
#[benches::sgd_rows(args = ["avx2", "scalar"], setup = update)]
#[benches::interaction_dot(args = ["avx2", "scalar"], setup = dots)]
#[benches::interaction_dot_backward(args = ["avx2", "scalar"], setup = dots_backward)]
fn count(mut run: Run) -> Run {
    run();
    run // to be dropped after the count
}

library_benchmark_group!(name = kernels, benchmarks = count);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = kernels
);
