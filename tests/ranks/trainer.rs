//! The trainer on several ranks does what it does on one.

use super::{Share, close, placement};
use dlrm::backend::{Cpu, LossKind, Pooling};
use dlrm::comm::{Communicator, threads};
use dlrm::data::source::{BatchSource, Position};
use dlrm::error::Result;
use dlrm::nn::Dlrm;
use dlrm::optim::UpdateRule;
use dlrm::optim::schedule::LrPolicy;
use dlrm::train::{Observer, OnNan, Progress, Record, Schedule, Skips, Stopping, TrainOptions, Trainer};
use dlrm::{Batch, Error, Parameters, Stream};
use std::sync::Arc;

/// Batches as those of a rank, of a pass of samples that are not a multiple of a batch.
pub struct Numbered {
    pub samples: usize,
    pub batch: usize,
    pub rank: [usize; 2],
    pub position: Position,
    /// The batch, from 0, and the sample whose first dense feature is NaN.
    pub bad: Option<[usize; 2]>,
}

impl BatchSource for Numbered {
    fn rows(&self) -> usize {
        self.samples
    }

    fn position(&self) -> Position {
        self.position
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.position = position;
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        let [rank, size] = self.rank;
        let start = self.position.rows as usize;
        let samples = self.batch.min(self.samples - start);
        let share = samples * rank / size..samples * (rank + 1) / size;
        let number = start / self.batch;
        *batch = super::batch(100 * self.position.pass + number as u64, samples, share.clone(), true);
        if let Some([_, sample]) = self.bad.filter(|&[at, sample]| at == number && share.contains(&sample)) {
            batch.dense[13 * (sample - share.start)] = f32::NAN;
        }
        self.position.rows += samples as u64;
        Ok(samples > 0)
    }
}

/// What there was to see of a run.
#[derive(Debug, Default)]
pub struct Seen {
    losses: Vec<f32>,
    rows: Vec<usize>,
    norms: Vec<f32>,
    skipped: Vec<String>,
    interrupt: Option<u64>,
    steps: u64,
}

impl Observer for Seen {
    fn on_step(&mut self, progress: &Progress) {
        self.losses.push(progress.loss);
        self.rows.push(progress.rows);
        self.steps = progress.step;
        self.norms.extend(progress.gradient_norms.iter().flat_map(|n| [n.dense as f32, n.embeddings as f32]));
    }

    fn on_skip(&mut self, progress: &Progress, error: &Error, _: Skips) {
        self.rows.push(progress.rows);
        self.skipped.push(error.to_string());
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        step.is_multiple_of(3)
    }

    fn interrupted(&self) -> bool {
        self.interrupt.is_some_and(|step| self.steps >= step)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub samples: usize,
    pub batch: usize,
    pub options: TrainOptions,
    pub bad: Option<[usize; 2]>,
    /// The rank that is asked to end, and after which step.
    pub interrupt: Option<(usize, u64)>,
}

pub fn run(samples: usize, batch: usize) -> Run {
    Run { samples, batch, options: TrainOptions::default(), bad: None, interrupt: None }
}

struct Outcome {
    seen: Seen,
    records: Result<Vec<Record>>,
    dense: Vec<f32>,
}

fn train(run: Run, comm: Option<(Arc<Communicator>, Share)>) -> Outcome {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let (config, mut stream) = (super::config(Pooling::Sum), Stream::native(7));
    let rank = comm.as_ref().map_or([0, 1], |(comm, _)| [comm.rank(), comm.size()]);
    let model = match &comm {
        None => Dlrm::new(&config, &mut params, &mut stream),
        Some((comm, share)) => {
            Dlrm::sharded(&config, placement(*share, rank[1]), comm.clone(), &mut params, &mut stream)
        }
    }
    .unwrap();
    let policy = LrPolicy::constant(0.1);
    let trainer = Trainer::new(model, params, UpdateRule::Sgd, policy, LossKind::BCE);
    let mut trainer = trainer.with_options(run.options).unwrap();
    let source = |samples, bad| Numbered { samples, batch: run.batch, rank, position: Position::default(), bad };
    let (mut rows, mut test) = (source(run.samples, run.bad), source(53, None));
    let interrupt = run.interrupt.filter(|&(asked, _)| asked == rank[0]).map(|(_, step)| step);
    let mut seen = Seen { interrupt, ..Seen::default() };
    let schedule = Schedule { epochs: 2, test_freq: Some(4) };
    let records = trainer.train(&mut rows, &mut test, schedule, &mut seen);
    let dense = trainer.params().dense().iter().flat_map(|p| p.value().as_slice()).copied().collect();
    Outcome { seen, records, dense }
}

fn train_on(run: Run, share: Share, ranks: usize) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let of_rank =
            |transport| scope.spawn(move || train(run, Some((Arc::new(Communicator::new(transport)), share))));
        let all: Vec<_> = threads(ranks).into_iter().map(of_rank).collect();
        all.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn figures(records: &[Record]) -> Vec<f32> {
    let of = |r: &Record| {
        let auc = r.evaluation.auc.unwrap_or(0.0);
        [r.step as f64, r.epoch as f64, r.train_rows as f64, r.train_loss, auc, r.evaluation.logloss, r.skipped as f64]
    };
    records.iter().flat_map(of).map(|x| x as f32).collect()
}

fn compare(run: Run, share: Share, ranks: usize, tolerance: f32) {
    let one = train(run, None);
    for (rank, outcome) in train_on(run, share, ranks).into_iter().enumerate() {
        let what = format!("{run:?}, {share:?}, rank {rank} of {ranks}");
        close(&what, &outcome.seen.losses, &one.seen.losses, tolerance);
        close(&what, &outcome.seen.norms, &one.seen.norms, 10.0 * tolerance);
        assert_eq!(outcome.seen.rows, one.seen.rows, "{what}");
        assert_eq!(outcome.seen.skipped.len(), one.seen.skipped.len(), "{what}");
        close(&what, &figures(&outcome.records.unwrap()), &figures(one.records.as_ref().unwrap()), tolerance);
        close(&what, &outcome.dense, &one.dense, tolerance);
    }
}

#[test]
fn ranks_train_and_test_as_one() {
    for ranks in [1, 2, 3, 4, 8] {
        for share in [Share::Planned, Share::Last, Share::Cut, Share::Everywhere] {
            let tolerance = if ranks == 1 && !matches!(share, Share::Cut) { 0.0 } else { 1e-5 };
            compare(run(150, 20), share, ranks, tolerance);
        }
    }
}

#[test]
fn batches_smaller_than_the_group() {
    // The last batch of a pass has two samples, for eight ranks.
    compare(run(17, 5), Share::Planned, 8, 1e-5);
}

#[test]
fn with_every_option() {
    let options = TrainOptions {
        accumulate: 3,
        clip_norm: Some(0.05),
        l2_embeddings: 0.01,
        dropout: 0.2,
        sparse_lr: Some(0.3),
        stopping: Stopping { patience: Some(1), ..Stopping::default() },
        ..TrainOptions::default()
    };
    for ranks in [2, 3, 4] {
        compare(Run { options, ..run(150, 20) }, Share::Cut, ranks, 2e-5);
        compare(Run { options, ..run(150, 20) }, Share::SmallEverywhere, ranks, 2e-5);
    }
}

#[test]
fn a_bad_batch_is_left_out_by_all_or_ends_all() {
    let options = TrainOptions { on_nan: OnNan::Skip, ..TrainOptions::default() };
    let skips = Run { options, bad: Some([2, 15]), ..run(150, 20) };
    compare(skips, Share::Planned, 3, 1e-5);
    let stops = Run { bad: Some([2, 15]), ..run(150, 20) };
    for outcome in train_on(stops, Share::Planned, 3) {
        let error = outcome.records.unwrap_err();
        assert!(error.to_string().contains("the batch: dense feature 0 of sample 2 on rank 2 is NaN"), "{error}");
    }
}

#[test]
fn who_asks_one_to_end_asks_all() {
    for outcome in train_on(Run { interrupt: Some((1, 3)), ..run(150, 20) }, Share::Planned, 3) {
        let error = outcome.records.unwrap_err();
        assert!(matches!(error, Error::Interrupted { step: 4 }), "{error}");
    }
}
