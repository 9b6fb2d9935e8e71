//! The training loop.

use super::best::Best;
use super::options::{Stop, TrainOptions};
use super::report::Record;
use crate::backend::{Dropout, LossKind};
use crate::batch::Batch;
use crate::data::source::BatchSource;
use crate::error::{Error, Result};
use crate::gradients::Gradients;
use crate::metrics::{Evaluation, Evaluator, Score};
use crate::nn::Model;
use crate::ops;
use crate::optim::schedule::LrPolicy;
use crate::optim::{LearningRates, Optimizer, UpdateRule};
use crate::parameters::Parameters;
use crate::tape::{Tape, Var};
use std::time::{Duration, Instant};

/// How long to train and how often to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Passes over the training rows.
    pub epochs: u64,
    /// Test every so many steps, besides at the end of each pass.
    pub test_freq: Option<u64>,
}

/// Where a run stands after a step.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// This pass, from 1.
    pub epoch: u64,
    /// Steps so far, over all passes.
    pub step: u64,
    /// Rows trained on in this pass.
    pub rows: usize,
    /// Rows in this pass.
    pub rows_in_epoch: usize,
    /// Loss of this step's batch, before the step.
    pub loss: f32,
    /// Mean loss over the rows of this pass so far.
    pub mean_loss: f64,
    /// Rows a second of this pass, testing not counted.
    pub rows_per_s: f64,
}

/// Someone who watches a run: a progress bar, a log, a file of JSON lines.
pub trait Observer {
    /// Called after every batch.
    fn on_step(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// Called after every evaluation.
    ///
    /// # Errors
    /// What went wrong, such as a full disk; it ends the run.
    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let _ = record;
        Ok(())
    }

    /// Called if the run ends before its last pass.
    fn on_stop(&mut self, stop: Stop) {
        let _ = stop;
    }

    /// Called if the parameters of an earlier test, the best, are put back at the end.
    fn on_restore(&mut self, record: &Record) {
        let _ = record;
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}

/// A model with all that changes while it learns.
#[derive(Debug)]
pub struct Trainer<M> {
    model: M,
    params: Parameters,
    grads: Gradients,
    tape: Tape,
    optimizer: Optimizer,
    policy: LrPolicy,
    loss: LossKind,
    options: TrainOptions,
    steps: u64,
    pending: Pending,
}

/// The batches of a step that is not done yet.
#[derive(Debug, Default)]
struct Pending {
    /// Samples of the last forward pass.
    last: usize,
    /// Batches whose gradients are there, samples of the first of them, and of all.
    batches: u64,
    first: usize,
    samples: usize,
}

impl<M: Model> Trainer<M> {
    /// Before the first step.
    pub fn new(model: M, params: Parameters, rule: UpdateRule, policy: LrPolicy, loss: LossKind) -> Self {
        Trainer {
            model,
            grads: Gradients::new(&params),
            tape: Tape::new(params.backend().clone()),
            optimizer: Optimizer::new(rule, &params),
            params,
            policy,
            loss,
            options: TrainOptions::default(),
            steps: 0,
            pending: Pending::default(),
        }
    }

    /// The same with more than a rule.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is [out of its range](TrainOptions::validate).
    pub fn with_options(mut self, options: TrainOptions) -> Result<Self> {
        options.validate()?;
        self.options = options;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The parameters as they are now.
    pub fn params(&self) -> &Parameters {
        &self.params
    }

    /// Puts `params` in the place of the parameters, and returns those: to test the model with others, such as
    /// [quantized](Parameters::quantized) ones, with which no step can be taken.
    ///
    /// # Panics
    /// If there are not as many as before.
    pub fn replace_params(&mut self, params: Parameters) -> Parameters {
        let numbers = |p: &Parameters| [p.dense().len(), p.tables().len()];
        assert_eq!(numbers(&params), numbers(&self.params), "replace_params: dense parameters and tables");
        std::mem::replace(&mut self.params, params)
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step: forward, loss, backward, update. Returns the loss before the update. If a step has
    /// [several batches](TrainOptions::accumulate), the update comes with the last of them.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit, [`Error::Diverged`] if the loss is not finite;
    /// the parameters are then as before.
    pub fn step(&mut self, batch: &Batch) -> Result<f32> {
        let loss = self.forward(batch)?;
        let value = self.tape.value(loss).as_slice()[0];
        if !value.is_finite() {
            return Err(Error::Diverged { step: self.steps + 1, loss: value });
        }
        self.backward(loss);
        if self.pending.batches == self.options.accumulate {
            self.update();
        }
        Ok(value)
    }

    /// The first third of a [`step`](Self::step): the loss of `batch`, on the tape.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit, or has no sample to take a mean over.
    pub fn forward(&mut self, batch: &Batch) -> Result<Var> {
        if batch.is_empty() {
            return Err(Error::Batch("no sample".into()));
        }
        let TrainOptions { dropout, dropout_seed, .. } = self.options;
        let before = self.pending.samples as u64;
        let masks = (dropout > 0.0).then(|| Dropout::new(dropout, dropout_seed, self.steps + 1, before));
        let logits = self.logits(batch, masks)?;
        self.pending.last = batch.len();
        let labels = self.tape.input(&[batch.len()], &batch.labels);
        Ok(ops::loss(&mut self.tape, self.loss, logits, labels))
    }

    /// The second third: the gradient of every parameter, added to those of earlier batches of the same step.
    pub fn backward(&mut self, loss: Var) {
        self.params.backend().phase("backward");
        let Pending { last, batches, first, samples } = &mut self.pending;
        if *batches == 0 {
            self.grads.clear();
            (*first, *samples) = (*last, 0);
        }
        // Each loss is a mean: weighed by samples, so that the sum over the batches becomes one.
        let weight = *last as f32 / *first as f32;
        self.tape.backward_from(loss, &[weight], &self.params, &mut self.grads);
        *batches += 1;
        *samples += *last;
    }

    /// The last third: the optimizer's step, with the gradient of the mean loss over all samples since the last one.
    pub fn update(&mut self) {
        self.params.backend().phase("update");
        let backend = self.params.backend().clone();
        let Pending { batches, first, samples, .. } = std::mem::take(&mut self.pending);
        if batches > 1 {
            self.grads.scale(&*backend, first as f32 / samples as f32);
        }
        if let Some(max_norm) = self.options.clip_norm {
            self.grads.clip(&*backend, max_norm);
        }
        if self.options.l2_embeddings > 0.0 {
            self.grads.add_l2_embeddings(&self.params, self.options.l2_embeddings);
        }
        self.steps += 1;
        let dense = self.policy.lr(self.steps);
        let sparse = self.options.sparse_lr.map_or(dense, |lr| dense * (lr / self.policy.base));
        let rates = LearningRates { dense: dense as f32, sparse: sparse as f32 };
        self.optimizer.step(&mut self.params, &self.grads, rates);
    }

    /// The update of a step that has begun, at the end of a pass.
    fn finish_step(&mut self) {
        if self.pending.batches > 0 {
            self.update();
        }
    }

    fn logits(&mut self, batch: &Batch, dropout: Option<Dropout>) -> Result<Var> {
        self.model.check(batch)?;
        self.params.backend().phase("forward");
        self.tape.clear();
        self.tape.set_dropout(dropout);
        let logits = self.model.forward(&mut self.tape, &self.params, batch);
        Ok(self.options.logit_bound().map_or(logits, |bound| ops::clamp(&mut self.tape, logits, bound)))
    }

    /// The logits of a batch (`B`); `σ` of them are the probabilities.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit.
    pub fn predict(&mut self, batch: &Batch) -> Result<&[f32]> {
        let logits = self.logits(batch, None)?;
        Ok(self.tape.value(logits).as_slice())
    }

    /// The figures of the model on all samples of `source`.
    ///
    /// # Errors
    /// If the source cannot be read or a batch does not fit.
    pub fn evaluate(&mut self, source: &mut dyn BatchSource) -> Result<Evaluation> {
        let mut evaluator = Evaluator::new(Score::Logit);
        let mut batch = Batch::default();
        source.start_epoch(0)?;
        while source.next_batch(&mut batch)? {
            let logits = self.predict(&batch)?;
            evaluator.push(logits, &batch.labels);
        }
        Ok(evaluator.finish())
    }

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
                let loss = self.step(&batch)?;
                pass.add(loss, batch.len());
                observer.on_step(&pass.progress(self.steps, loss));
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

    fn progress(&self, step: u64, loss: f32) -> Progress {
        Progress {
            epoch: self.epoch,
            step,
            rows: self.rows,
            rows_in_epoch: self.rows_in_epoch,
            loss,
            mean_loss: self.mean_loss(),
            rows_per_s: self.rows_per_s(),
        }
    }
}
