//! A small model, batches for it, and someone who writes down what a run tells.

use dlrm::backend::{Backend, Interaction, LossKind};
use dlrm::data::random::{Distribution, RandomBatches, RandomConfig};
use dlrm::data::source::{BatchSource, Position};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Observer, Progress, Record, Schedule, Skips, TrainOptions, Trainer};
use dlrm::{Batch, Error, Parameters, Result, Stream};
use std::sync::Arc;

/// The golden model of `tests/golden_losses.rs`: four tables of ten rows, batches of 32.
pub fn config() -> DlrmConfig {
    DlrmConfig {
        dense_features: 4,
        embedding_dim: 8,
        bottom_mlp: vec![16, 8],
        top_mlp: vec![32, 1],
        interaction: Interaction::Dot,
        ..DlrmConfig::criteo_kaggle(vec![10; 4])
    }
}

/// The reference's random batches for a model, and what initialises the model there.
pub fn random_batches(config: &DlrmConfig, batch_size: usize, batches: usize, lookups: usize, fixed: bool) -> Batches {
    let config = RandomConfig {
        dense_features: config.dense_features,
        num_embeddings: config.num_embeddings.clone(),
        num_samples: batch_size * batches,
        batch_size,
        num_batches: 0,
        num_indices_per_lookup: lookups,
        fixed,
        distribution: Distribution::Uniform,
        round_targets: true,
    };
    let mut source = RandomBatches::new(config, Stream::numpy(123)).unwrap();
    let (mut all, mut batch) = (Vec::new(), Batch::default());
    while source.next_batch(&mut batch) {
        all.push(batch.clone());
    }
    Batches::new(all)
}

pub fn trainer(
    backend: Arc<dyn Backend>,
    config: &DlrmConfig,
    (rule, lr): (UpdateRule, f64),
    options: TrainOptions,
) -> Trainer<Dlrm> {
    let mut params = Parameters::new(backend);
    let model = Dlrm::new(config, &mut params, &mut Stream::numpy(123)).unwrap();
    let trainer = Trainer::new(model, params, rule, LrPolicy::constant(lr), LossKind::BCE);
    trainer.with_options(options).unwrap()
}

/// Batches of one size in order, the same in each pass.
#[derive(Clone)]
pub struct Batches {
    pub batches: Vec<Batch>,
    at: Position,
}

impl Batches {
    pub fn new(batches: Vec<Batch>) -> Self {
        Batches { batches, at: Position::default() }
    }
}

impl BatchSource for Batches {
    fn rows(&self) -> usize {
        self.batches.iter().map(Batch::len).sum()
    }

    fn position(&self) -> Position {
        self.at
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.at = position;
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        let Some(next) = self.batches.get(self.at.rows as usize / self.batches[0].len()) else { return Ok(false) };
        batch.clone_from(next);
        self.at.rows += batch.len() as u64;
        Ok(true)
    }
}

/// What a run tells, and how it ended.
#[derive(Default)]
pub struct Log {
    pub losses: Vec<f32>,
    pub skipped: Vec<String>,
    pub saved: Vec<u64>,
    pub error: Option<Error>,
    pub records: Vec<Record>,
    /// Interrupts the run after this step.
    pub stop_after: Option<u64>,
    /// Called before each batch, with the number of its step.
    pub before_step: Option<Box<dyn Fn(u64) + Send>>,
}

impl Observer for Log {
    fn on_step(&mut self, progress: &Progress) {
        self.losses.push(progress.loss);
    }

    fn on_skip(&mut self, _: &Progress, error: &Error, skips: Skips) {
        self.skipped.push(format!("{error} {skips:?}"));
    }

    fn on_save(&mut self, saved: &dlrm::train::Saved) {
        self.saved.push(saved.step);
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        self.before_step.iter().for_each(|call| call(step));
        false
    }

    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|step| self.losses.len() as u64 >= step)
    }
}

/// A pass over `batches`, with a test on the first of them every so many steps.
pub fn run(trainer: &mut Trainer<Dlrm>, batches: &Batches, test_freq: Option<u64>, mut log: Log) -> Log {
    let (mut train, mut test) = (batches.clone(), Batches::new(batches.batches[..1].to_vec()));
    match trainer.train(&mut train, &mut test, Schedule { epochs: 1, test_freq }, &mut log) {
        Ok(records) => log.records = records,
        Err(error) => log.error = Some(error),
    }
    log
}

/// Every bit of every parameter.
pub fn bits(params: &Parameters) -> Vec<u32> {
    numbers(params).iter().map(|x| x.to_bits()).collect()
}

pub fn numbers(params: &Parameters) -> Vec<f32> {
    let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
    dense.chain(params.tables().iter().flat_map(|t| t.values())).copied().collect()
}
