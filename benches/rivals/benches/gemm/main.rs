//! The three products of a linear layer, at layers of the Kaggle and MLPerf models: every instruction set,
//! the plain loop where it ends in time, and other crates' products; and the widest set and those crates
//! again on two threads, which are kept awake as in a training step.
//!
//! Elements are floating-point operations: Gelem/s is GFLOP/s. Our weights are packed beforehand, as a
//! training step does once for all products with them; the other crates pack in each call.

mod case;
#[path = "../../../common/mod.rs"]
mod common;
mod ours;

use case::{Case, Form};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::backend::{Backend, Cpu};
use dlrm::buffer::Buffer;
use dlrm_kernels::Isa;
use ndarray::ArrayView2;
use ours::Ours;

/// M × N × K.
const SHAPES: [[usize; 3]; 10] = [
    [2048, 512, 13],
    [2048, 256, 512],
    [2048, 64, 256],
    [2048, 512, 367],
    [2048, 512, 415],
    [2048, 1024, 479],
    [2048, 1024, 1024],
    [128, 512, 479],
    [128, 1024, 1024],
    [128, 256, 512],
];

/// The plain loop runs up to this many operations.
const PLAIN_OPERATIONS: usize = 70_000_000;

type Rival = fn(ArrayView2<f32>, ArrayView2<f32>, &mut [f32], usize);

/// With the most threads each takes.
const RIVALS: [(&str, Rival, usize); 3] = [
    ("matrixmultiply", dlrm_rivals::matrixmultiply, 1),
    ("gemm", dlrm_rivals::gemm, 2),
    ("faer", dlrm_rivals::faer, 2),
];

/// The threads of a run, and how its name ends.
const THREADS: [(usize, &str); 2] = [(1, ""), (2, "-2t")];

/// One product, measured by one implementation after the other.
struct Bench<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, WallTime>,
    form: Form,
    shape: [usize; 3],
    /// Made when the first implementation needs it, so not if all are filtered out.
    case: Option<Case>,
}

impl Bench<'_, '_> {
    /// Times what `prepare` returns as `name`, on a thread of `cpu`, after its answer was checked.
    fn time<R>(&mut self, name: &str, cpu: &Cpu, prepare: impl Fn(&Case) -> R)
    where
        R: FnMut(&Case, &mut [f32]) + Send,
    {
        let Bench { group, form, shape, case } = self;
        let [m, n, k] = *shape;
        let mut ready = None;
        group.bench_function(BenchmarkId::new(name, format!("{m}x{n}x{k}")), |bencher| {
            let case = &*case.get_or_insert_with(|| Case::new(*form, *shape));
            let (run, out) = ready.get_or_insert_with(|| {
                let (mut run, mut out) = (prepare(case), Buffer::zeros(case.expected.len()));
                out.as_mut_slice().fill(f32::NAN);
                cpu.scope(&mut || run(case, out.as_mut_slice()));
                common::check(name, out.as_slice(), &case.expected, case.tolerance());
                (run, out)
            });
            cpu.scope(&mut || bencher.iter(|| run(case, out.as_mut_slice())));
        });
    }
}

fn products(group: &mut BenchmarkGroup<WallTime>, cpus: &[Cpu; 2], form: Form, shape: [usize; 3]) {
    let [m, n, k] = shape;
    group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
    let mut bench = Bench { group, form, shape, case: None };
    for (cpu, (threads, suffix)) in cpus.iter().zip(THREADS) {
        let sets = if threads == 1 { Isa::available().collect() } else { vec![Isa::best()] };
        for isa in sets {
            bench.time(&format!("{}{suffix}", isa.name()), cpu, |case| {
                let ours = Ours::new(isa, threads, case);
                move |case: &Case, out: &mut [f32]| ours.run(case, out)
            });
        }
        for (name, rival, _) in RIVALS.into_iter().filter(|&(_, _, most)| threads <= most) {
            bench.time(&format!("{name}{suffix}"), cpu, |_| {
                move |case: &Case, out: &mut [f32]| {
                    let [a, b] = case.operands();
                    rival(a, b, out, threads);
                }
            });
        }
    }
    if 2 * m * n * k <= PLAIN_OPERATIONS {
        bench.time("plain-loop", &cpus[0], |_| |case: &Case, out: &mut [f32]| case.plain_loop(out));
    }
}

fn gemm(c: &mut Criterion) {
    let cpus = THREADS.map(|(threads, _)| Cpu::new(threads));
    for form in [Form::Linear, Form::BackwardInput, Form::BackwardWeight] {
        let mut group = c.benchmark_group(format!("gemm/{}", form.name()));
        for shape in SHAPES {
            products(&mut group, &cpus, form, shape);
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = gemm }
criterion_main!(benches);
