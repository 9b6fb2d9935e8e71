//! Pairwise dots of the standard models' interactions, forward and backward: every instruction set and the
//! plain loop on one thread, and the backend on two. The batch is 2048.
//!
//! Elements are floating-point operations: Gelem/s is GFLOP/s. They are those of the pairs, 2 · D each, and
//! twice as many on the way back.

mod common;

use common::{check, values};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::backend::{Backend, Beta, Cpu, Interaction};
use dlrm::{Stream, Tensor};
use dlrm_kernels::interaction::*;
use dlrm_kernels::{Isa, Scratch, reference};

const BATCH: usize = 2048;

/// F (with the dense vector) and D: Kaggle, MLPerf, Big Basin.
const SCENARIOS: [[usize; 2]; 3] = [[27, 16], [27, 128], [9, 64]];

type Run = fn(&mut Case, &By);

/// With the operations for each product of two values.
const DIRECTIONS: [(&str, usize, Run); 2] = [("forward", 2, Case::forward), ("backward", 4, Case::backward)];

/// Who computes.
enum By {
    Kernel(Isa),
    Backend(Cpu),
    PlainLoop,
}

impl By {
    fn all() -> Vec<By> {
        Isa::available().map(By::Kernel).chain([By::Backend(Cpu::new(2)), By::PlainLoop]).collect()
    }

    fn name(&self) -> String {
        match self {
            By::Kernel(isa) => isa.name().into(),
            By::Backend(cpu) => format!("{}-2t", cpu.isa().name()),
            By::PlainLoop => "plain-loop".into(),
        }
    }

    /// Runs `work` where this finds its threads awake.
    fn scope(&self, work: &mut (dyn FnMut() + Send)) {
        match self {
            By::Backend(cpu) => cpu.scope(work),
            _ => work(),
        }
    }
}

struct Case {
    tables: usize,
    dim: usize,
    dense: Tensor,
    pooled: Tensor,
    grad_out: Tensor,
    out: Tensor,
    grad_dense: Tensor,
    grad_pooled: Tensor,
    scratch: Scratch,
}

impl Case {
    fn new([features, dim]: [usize; 2]) -> Case {
        let (tables, mut stream) = (features - 1, Stream::native(1));
        let width = interaction_dot_dim(dim, tables, true, false);
        let mut random = |shape: &[usize]| {
            let values = values(shape.iter().product(), &mut stream);
            Tensor::from_slice(shape, values.as_slice())
        };
        Case {
            tables,
            dim,
            dense: random(&[BATCH, dim]),
            pooled: random(&[BATCH, tables, dim]),
            grad_out: random(&[BATCH, width]),
            out: Tensor::zeros(&[BATCH, width]),
            grad_dense: Tensor::zeros(&[BATCH, dim]),
            grad_pooled: Tensor::zeros(&[BATCH, tables, dim]),
            scratch: Scratch::new(),
        }
    }

    fn forward(&mut self, by: &By) {
        let Case { tables, dim, dense, pooled, out, scratch, .. } = self;
        match by {
            By::Kernel(isa) => {
                let (dense, out) = (Some(dense.as_slice()), out.as_mut_slice());
                interaction_dot(*isa, dense, pooled.as_slice(), *tables, *dim, false, out, scratch);
            }
            By::Backend(cpu) => cpu.interaction(Interaction::Dot, Some(dense), pooled, out),
            By::PlainLoop => out.copy_from_slice(&plain_forward(dense, pooled)),
        }
    }

    fn backward(&mut self, by: &By) {
        let Case { tables, dim, dense, pooled, grad_out, grad_dense, grad_pooled, scratch, .. } = self;
        match by {
            By::Kernel(isa) => interaction_dot_backward(
                *isa,
                Some(dense.as_slice()),
                pooled.as_slice(),
                grad_out.as_slice(),
                *tables,
                *dim,
                false,
                Some(grad_dense.as_mut_slice()),
                grad_pooled.as_mut_slice(),
                scratch,
            ),
            By::Backend(cpu) => {
                let grads = [grad_dense, grad_pooled].map(|grad| Some((grad, Beta::Zero)));
                cpu.interaction_backward(Interaction::Dot, Some(dense), pooled, grad_out, grads);
            }
            By::PlainLoop => {
                let (of_dense, of_pooled) = plain_backward(dense, pooled, grad_out);
                grad_dense.copy_from_slice(&of_dense);
                grad_pooled.copy_from_slice(&of_pooled);
            }
        }
    }

    /// Compares the last results of both directions with the plain loop's.
    fn check(&self, name: &str) {
        // Sums of D and of F products of values in [-1, 1].
        check(name, self.out.as_slice(), &plain_forward(&self.dense, &self.pooled), self.dim as f32 * 1e-6);
        let (dense, pooled) = plain_backward(&self.dense, &self.pooled, &self.grad_out);
        check(name, self.grad_dense.as_slice(), &dense, self.tables as f32 * 1e-6);
        check(name, self.grad_pooled.as_slice(), &pooled, self.tables as f32 * 1e-6);
    }
}

fn plain_forward(dense: &Tensor, pooled: &Tensor) -> Vec<f32> {
    reference::interaction_dot(Some(dense.as_slice()), pooled.as_slice(), shape(pooled), false)
}

fn plain_backward(dense: &Tensor, pooled: &Tensor, grad_out: &Tensor) -> (Vec<f32>, Vec<f32>) {
    let (dense, grad_out) = (Some(dense.as_slice()), grad_out.as_slice());
    reference::interaction_dot_backward(dense, pooled.as_slice(), grad_out, shape(pooled), false)
}

/// B, tables, D.
fn shape(pooled: &Tensor) -> [usize; 3] {
    *pooled.shape().first_chunk().expect("pooled vectors are B × T × D")
}

fn interaction(c: &mut Criterion) {
    for (direction, flops, run) in DIRECTIONS {
        let mut group = c.benchmark_group(format!("interaction/{direction}"));
        for [features, dim] in SCENARIOS {
            let pairs = features * (features - 1) / 2;
            group.throughput(Throughput::Elements((flops * BATCH * pairs * dim) as u64));
            let mut case = None;
            for by in By::all() {
                let mut checked = false;
                group.bench_function(BenchmarkId::new(by.name(), format!("F{features}xD{dim}")), |bencher| {
                    let case = case.get_or_insert_with(|| Case::new([features, dim]));
                    if !std::mem::replace(&mut checked, true) {
                        case.forward(&by);
                        case.backward(&by);
                        case.check(&by.name());
                    }
                    by.scope(&mut || bencher.iter(|| run(case, &by)));
                });
            }
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = interaction }
criterion_main!(benches);
