//! The training loop.

use super::best::Best;
use super::observer::{Observer, Progress};
use super::options::Stop;
use super::report::Record;
use super::trainer::Trainer;
use crate::batch::Batch;
use crate::data::source::BatchSource;
use crate::error::Result;
use crate::nn::Model;
use std::time::{Duration, Instant};

/// How long to train and how often to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Passes over the training rows.
    pub epochs: u64,
    /// Test every so many steps, besides at the end of each pass.
    pub test_freq: Option<u64>,
}

impl<M: Model> Trainer<M> {
    /// Trains on `train`, tests on `test`, and returns a record an evaluation; the last one is of
    /// the finished model. That is the best one, and its record there once more, if
    /// [it was kept](super::Stopping::patience).
    ///
    /// # Errors
    /// As [`step`](Self::step), or if a source cannot be read, or from `observer`.
    pub fn train(
        &mut self,
        train: &mut (dyn BatchSource + Send),
        test: &mut (dyn BatchSource + Send),
        schedule: Schedule,
        observer: &mut (dyn Observer + Send),
    ) -> Result<Vec<Record>> {
        let backend = self.params.backend().clone();
        let mut result = Ok(Vec::new());
        backend.scope(&mut || result = self.train_epochs(train, test, schedule, observer));
        result
    }

    fn train_epochs(
        &mut self,
        train: &mut dyn BatchSource,
        test: &mut dyn BatchSource,
        schedule: Schedule,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Record>> {
        let (mut records, mut best) = (Vec::new(), Best::new(self.options.stopping));
        let mut batch = Batch::default();
        let (mut total, waited_before) = (Duration::ZERO, train.waited());
        let mut stop = None;
        for epoch in 1..=schedule.epochs {
            let mut pass = Pass::new(epoch, train.rows(), total);
            train.start_epoch(epoch - 1)?;
            while stop.is_none() && train.next_batch(&mut batch)? {
                self.measure_gradient_norms(observer.wants_gradient_norms(self.steps + 1));
                let loss = self.step(&batch)?;
                pass.add(loss, batch.len());
                observer.on_step(&pass.progress(self, loss));
                let stepped = self.pending.batches == 0;
                let due = stepped && schedule.test_freq.is_some_and(|n| self.steps.is_multiple_of(n));
                if due && pass.rows < train.rows() {
                    let waited = train.waited() - waited_before;
                    stop = self.test(&mut pass, waited, test, (&mut best, observer), &mut records)?;
                }
            }
            if stop.is_none() {
                self.finish_step();
                stop =
                    self.test(&mut pass, train.waited() - waited_before, test, (&mut best, observer), &mut records)?;
            }
            total += pass.seconds();
            if let Some(stop) = stop.filter(|_| epoch < schedule.epochs || pass.rows < train.rows()) {
                observer.on_stop(stop);
                break;
            }
        }
        if let Some(record) = best.restore(&mut self.params) {
            observer.on_restore(&record);
            records.push(record);
        }
        Ok(records)
    }

    fn test(
        &mut self,
        pass: &mut Pass,
        waited: Duration,
        test: &mut dyn BatchSource,
        (best, observer): (&mut Best, &mut dyn Observer),
        records: &mut Vec<Record>,
    ) -> Result<Option<Stop>> {
        pass.pause();
        let start = Instant::now();
        let evaluation = self.evaluate(test)?;
        let mut record = Record {
            epoch: pass.epoch,
            step: self.steps,
            lr: self.policy.lr(self.steps.max(1)),
            train_rows: pass.rows as u64,
            train_loss: pass.mean_loss(),
            evaluation,
            best: false,
            rows_per_s: pass.rows_per_s(),
            train_seconds: (pass.before + pass.seconds()).as_secs_f64(),
            waited_seconds: waited.as_secs_f64(),
            test_seconds: start.elapsed().as_secs_f64(),
        };
        let stop = best.test(&mut record, &self.params);
        observer.on_parameters(self.steps, &self.params)?;
        observer.on_evaluation(&record)?;
        records.push(record);
        pass.resume();
        Ok(stop)
    }
}

/// The bookkeeping of one pass.
struct Pass {
    epoch: u64,
    rows: usize,
    rows_in_epoch: usize,
    loss_sum: f64,
    /// Time trained in earlier passes.
    before: Duration,
    /// Time trained in this pass before `since`.
    trained: Duration,
    /// When training went on; none while testing.
    since: Option<Instant>,
}

impl Pass {
    fn new(epoch: u64, rows_in_epoch: usize, before: Duration) -> Self {
        let since = Some(Instant::now());
        Pass { epoch, rows: 0, rows_in_epoch, loss_sum: 0.0, before, trained: Duration::ZERO, since }
    }

    fn add(&mut self, loss: f32, rows: usize) {
        self.loss_sum += f64::from(loss) * rows as f64;
        self.rows += rows;
    }

    fn seconds(&self) -> Duration {
        self.trained + self.since.map_or(Duration::ZERO, |s| s.elapsed())
    }

    fn rows_per_s(&self) -> f64 {
        self.rows as f64 / self.seconds().as_secs_f64()
    }

    fn mean_loss(&self) -> f64 {
        self.loss_sum / self.rows as f64
    }

    fn pause(&mut self) {
        self.trained = self.seconds();
        self.since = None;
    }

    fn resume(&mut self) {
        self.since = Some(Instant::now());
    }

    fn progress<M: Model>(&self, trainer: &Trainer<M>, loss: f32) -> Progress {
        Progress {
            epoch: self.epoch,
            step: trainer.steps,
            rows: self.rows,
            rows_in_epoch: self.rows_in_epoch,
            loss,
            lr: trainer.policy.lr(trainer.steps.max(1)),
            gradient_norms: trainer.gradient_norms(),
            mean_loss: self.mean_loss(),
            rows_per_s: self.rows_per_s(),
        }
    }
}
