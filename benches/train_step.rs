//! Whole training steps with SGD on random batches, on one thread and two. Elements are samples.
//!
//! Tables are capped at 100,000 rows, so that a model takes a second to make. Those of `kaggle` (54 MB) and
//! `mlperf` (430 MB) are still larger than caches; the example `train_step` times models at full size.

mod common;
#[path = "../examples/support/models.rs"]
mod models;

use common::check;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::nn::Dlrm;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, Parameters, Stream};
use dlrm_kernels::Isa;
use models::{Config, random_batches};
use std::sync::Arc;

const MAX_ROWS: usize = 100_000;

const SCENARIOS: [(Config, usize); 5] =
    [(Config::Tiny, 128), (Config::Tiny, 2048), (Config::Kaggle, 128), (Config::Kaggle, 2048), (Config::Mlperf, 128)];

/// Different batches, used in turn.
const BATCHES: usize = 16;

struct Case {
    trainer: Trainer<Dlrm>,
    batches: Vec<Batch>,
    turn: usize,
}

impl Case {
    fn new(config: Config, batch: usize, backend: Arc<Cpu>) -> Case {
        let (mut config, lookups) = config.model();
        config.num_embeddings.iter_mut().for_each(|rows| *rows = (*rows).min(MAX_ROWS));
        let (mut params, mut stream) = (Parameters::new(backend), Stream::native(727));
        let model = Dlrm::new(&config, &mut params, &mut stream).expect("a standard model");
        let batches = random_batches(BATCHES as u32, batch, &config, lookups, &mut stream);
        let trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
        Case { trainer, batches, turn: 0 }
    }

    /// One step, and its loss.
    fn step(&mut self) -> f32 {
        self.turn = (self.turn + 1) % BATCHES;
        self.trainer.step(&self.batches[self.turn]).expect("a batch that fits and a finite loss")
    }
}

/// Losses of two steps: the second one shows what the first one changed.
fn losses(case: &mut Case) -> [f32; 2] {
    [case.step(), case.step()]
}

fn train_step(c: &mut Criterion) {
    let mut group = c.benchmark_group("train_step");
    for (config, batch) in SCENARIOS {
        group.throughput(Throughput::Elements(batch as u64));
        for threads in [1, 2] {
            let mut ready = None;
            group.bench_function(BenchmarkId::new(format!("{threads}t"), format!("{config}-{batch}")), |bencher| {
                let (backend, case) = ready.get_or_insert_with(|| {
                    let backend = Arc::new(Cpu::new(threads));
                    let mut case = Case::new(config, batch, backend.clone());
                    let mut plain = Case::new(config, batch, Arc::new(Cpu::with_isa(1, Isa::scalar())));
                    check("losses", &losses(&mut case), &losses(&mut plain), 1e-5);
                    (backend, case)
                });
                backend.scope(&mut || bencher.iter(|| case.step()));
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = train_step }
criterion_main!(benches);
