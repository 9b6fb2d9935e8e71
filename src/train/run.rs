//! The training loop.

use super::best::Best;
use super::checkpoints::Checkpoints;
use super::observer::{Observer, Progress};
use super::options::Stop;
use super::report::Record;
use super::state::{PassState, Resumed, RunState, Setting, check_settings};
use super::trainer::Trainer;
use super::window::Window;
use crate::batch::Batch;
use crate::data::source::{BatchSource, Position};
use crate::error::{Error, Result};
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

/// What a run has to do with.
pub(super) struct Around<'a> {
    pub train: &'a mut (dyn BatchSource + Send),
    test: &'a mut (dyn BatchSource + Send),
    schedule: Schedule,
    pub observer: &'a mut (dyn Observer + Send),
    checkpoints: Option<&'a mut Checkpoints>,
}

/// A run between two steps.
pub(super) struct Run {
    pub pass: Pass,
    records: Vec<Record>,
    best: Best,
    /// Time waited for batches before `waited_before`, which is what the source had waited when the run began here.
    waited: Duration,
    waited_before: Duration,
}

impl<M: Model> Trainer<M> {
    /// Trains on `train`, tests on `test`, and returns a record an evaluation; the last one is of
    /// the finished model. That is the best one, and its record there once more, if
    /// [it was kept](super::Stopping::patience).
    ///
    /// After [`resume`](Self::resume) it goes on where that run was, which then ends with the same bits as if it had
    /// never been stopped, whatever the number of threads: parameters, records and all, but for the seconds. On other
    /// ranks, or with another placement of tables, sums have another order, and so other last bits.
    ///
    /// # Errors
    /// As [`step`](Self::step), or if a source cannot be read, or from `observer`; [`Error::Interrupted`] if that asks
    /// for it; [`Error::Config`] if the run that it is to go on from had other sources or another schedule. Only
    /// [`epochs`](Schedule::epochs) may be others, to train for longer. [`Error::Config`] too if the rule needs
    /// [whole rows](crate::nn::Placement::check_rule) of tables, and ranks have parts.
    pub fn train(
        &mut self,
        train: &mut (dyn BatchSource + Send),
        test: &mut (dyn BatchSource + Send),
        schedule: Schedule,
        observer: &mut (dyn Observer + Send),
    ) -> Result<Vec<Record>> {
        self.train_in_scope(Around { train, test, schedule, observer, checkpoints: None })
    }

    /// The same, and saves the run as it goes.
    ///
    /// # Errors
    /// As [`train`](Self::train); [`Error::Config`] if there is no memory for the copy that saving takes; [`Error::File`]
    /// if the model is one of several ranks, and the directory not one that is open on all of them. A checkpoint that
    /// cannot be saved ends nothing: the observer [is told](Observer::on_save_failure).
    pub fn train_with_checkpoints(
        &mut self,
        train: &mut (dyn BatchSource + Send),
        test: &mut (dyn BatchSource + Send),
        schedule: Schedule,
        observer: &mut (dyn Observer + Send),
        checkpoints: &mut Checkpoints,
    ) -> Result<Vec<Record>> {
        checkpoints.check_ranks(self.model.shards())?;
        checkpoints.check_memory(&**self.params.backend(), self.checkpoint_bytes())?;
        self.train_in_scope(Around { train, test, schedule, observer, checkpoints: Some(checkpoints) })
    }

    fn train_in_scope(&mut self, mut around: Around<'_>) -> Result<Vec<Record>> {
        self.model.shards().map_or(Ok(()), |shards| shards.placement().check_rule(self.optimizer.rule()))?;
        let backend = self.params.backend().clone();
        let mut result = Ok(Vec::new());
        backend.scope(&mut || result = self.train_epochs(&mut around));
        result
    }

    fn train_epochs(&mut self, around: &mut Around<'_>) -> Result<Vec<Record>> {
        if let Some(checkpoints) = &mut around.checkpoints {
            checkpoints.reserve(&**self.params.backend(), &self.run_tensors(&Best::new(self.options.stopping)));
        }
        self.agree_on(&[self.settings(), around.settings(), around.epochs()].concat())?;
        let mut run = self.begin(around)?;
        let mut window = Window::new(self.looks, self.options.accumulate);
        let mut stop = run.records.last().and_then(|record| run.best.stop(record));
        let epochs = around.schedule.epochs;
        while run.pass.epoch <= epochs {
            if stop.is_none() {
                stop = self.train_pass(&mut run, around, &mut window)?;
            }
            let cut_short = stop.is_some();
            let more = cut_short || run.pass.epoch < epochs;
            if !cut_short {
                self.finish_step()?;
                stop = self.test(&mut run, around)?;
                run.pass = Pass::new(run.pass.epoch + 1, around.train.rows(), run.pass.before + run.pass.seconds());
                let position = Position { pass: run.pass.epoch - 1, rows: 0 };
                self.save(&run, position, around, true, !more || stop.is_some())?;
            }
            if let Some(stop) = stop.filter(|_| more) {
                around.observer.on_stop(stop);
                break;
            }
            if more {
                around.train.start_epoch(run.pass.epoch - 1)?;
            }
        }
        if let Some(checkpoints) = &mut around.checkpoints {
            checkpoints.finish(around.observer);
        }
        if let Some(record) = run.best.restore(&mut self.params) {
            around.observer.on_restore(&record);
            run.records.push(record);
        }
        Ok(run.records)
    }

    /// Where to begin: at the first pass, or where a run that was kept has stopped.
    fn begin(&mut self, around: &mut Around<'_>) -> Result<Run> {
        let waited_before = around.train.waited();
        let Some(resumed) = self.resumed.take() else {
            around.train.start_epoch(0)?;
            let (pass, best) = (Pass::new(1, around.train.rows(), Duration::ZERO), Best::new(self.options.stopping));
            return Ok(Run { pass, records: Vec::new(), best, waited: Duration::ZERO, waited_before });
        };
        let Resumed { state, best } = *resumed;
        let config = |message| Error::Config(format!("the run {message}"));
        check_settings(&state.settings[2], &around.settings()).map_err(config)?;
        let (epochs, RunState { pass, position, .. }) = (around.schedule.epochs, &state);
        let (seen, rows) = (pass.rows + pass.left_out, around.train.rows());
        if seen > rows {
            return Err(config(format!("has seen {seen} rows of a pass of {rows}")));
        }
        if pass.epoch > epochs + u64::from(pass.rows == 0) {
            return Err(config(format!("is in pass {}, and was to end after {epochs}", pass.epoch)));
        }
        if pass.epoch <= epochs {
            around.train.seek(*position)?;
        }
        around.observer.on_resume(state.steps, &state.records)?;
        let pass = Pass::resumed(&state.pass, around.train.rows());
        Ok(Run { pass, records: state.records, best, waited: state.waited, waited_before })
    }

    /// Trains on a batch, after which the source is at `position`.
    pub(super) fn train_on(
        &mut self,
        batch: &Batch,
        position: Position,
        run: &mut Run,
        around: &mut Around<'_>,
    ) -> Result<Option<Stop>> {
        self.measure_gradient_norms(around.observer.wants_gradient_norms(self.steps + 1));
        self.interrupted = around.observer.interrupted();
        let stepped = self.step(batch);
        // Of all ranks.
        let rows = self.model().shards().map_or(batch.len(), |shards| shards.samples());
        match stepped {
            Ok(loss) => {
                run.pass.add(loss, rows);
                around.observer.on_step(&run.pass.progress(self, loss));
                self.after_batch(position, run, around)
            }
            Err(error) => {
                let error = self.skip(error)?;
                run.pass.left_out += rows;
                around.observer.on_skip(&run.pass.progress(self, f32::NAN), &error, self.skips);
                Ok(None)
            }
        }
    }

    /// Between two steps of a pass, after one of which the source was at `position`: tests and saves, if either is due.
    pub(super) fn after_batch(
        &mut self,
        position: Position,
        run: &mut Run,
        around: &mut Around<'_>,
    ) -> Result<Option<Stop>> {
        if self.pending.batches > 0 || run.pass.seen() == around.train.rows() {
            return Ok(None);
        }
        let due = around.test_is_due(self.steps);
        let stop = if due { self.test(run, around)? } else { None };
        let best = due && run.records.last().is_some_and(|record| record.best);
        self.save(run, position, around, best || stop.is_some(), stop.is_some())?;
        Ok(stop)
    }

    /// Saves the run if that is `due`, for whatever reason, and ends it if somebody asks for that before it is `over`.
    fn save(&self, run: &Run, position: Position, around: &mut Around<'_>, due: bool, over: bool) -> Result<()> {
        // With ranks, whether somebody had asked before the last step: all know of that.
        let asked = || if self.model().shards().is_some() { self.interrupted } else { around.observer.interrupted() };
        let interrupted = !over && asked();
        let is_due = |checkpoints: &Checkpoints| due || interrupted || checkpoints.due(self.steps);
        let state = around.checkpoints.as_deref().is_some_and(is_due).then(|| self.state(run, position, around));
        if let Some(checkpoints) = &mut around.checkpoints {
            match state {
                Some(state) => {
                    let tensors = self.run_tensors(&run.best);
                    checkpoints.save(&**self.params.backend(), &state, &tensors, around.observer)?;
                }
                None => checkpoints.poll(around.observer),
            }
            if interrupted {
                checkpoints.finish(around.observer);
            }
        }
        if interrupted { Err(Error::Interrupted { step: self.steps }) } else { Ok(()) }
    }

    fn state(&self, run: &Run, position: Position, around: &Around<'_>) -> RunState {
        let (best, since_best) = run.best.state();
        let caller = around.checkpoints.as_ref().map_or(Vec::new(), |checkpoints| checkpoints.settings().to_vec());
        RunState {
            settings: [caller, self.settings(), around.settings()],
            steps: self.steps,
            position,
            pass: run.pass.state(),
            waited: run.waited(&*around.train),
            records: run.records.clone(),
            best,
            since_best,
            skips: self.skips,
        }
    }

    fn test(&mut self, run: &mut Run, around: &mut Around<'_>) -> Result<Option<Stop>> {
        run.pass.pause();
        let start = Instant::now();
        let evaluation = self.evaluate(around.test)?;
        let pass = &run.pass;
        let mut record = Record {
            epoch: pass.epoch,
            step: self.steps,
            lr: self.policy.lr(self.steps.max(1)),
            train_rows: pass.rows as u64,
            train_loss: pass.mean_loss(),
            evaluation,
            best: false,
            rows_per_s: pass.rows_per_s(),
            skipped: self.skips.total,
            train_seconds: (pass.before + pass.seconds()).as_secs_f64(),
            waited_seconds: run.waited(&*around.train).as_secs_f64(),
            test_seconds: start.elapsed().as_secs_f64(),
        };
        let stop = run.best.test(&mut record, &self.params);
        if self.model().shards().is_none() {
            around.observer.on_parameters(self.steps, &self.params)?;
        }
        around.observer.on_evaluation(&record)?;
        run.records.push(record);
        run.pass.resume();
        Ok(stop)
    }
}

impl Around<'_> {
    fn test_is_due(&self, step: u64) -> bool {
        self.schedule.test_freq.is_some_and(|n| step.is_multiple_of(n))
    }

    /// Whether there is more to do after `step` than to take the next.
    pub(super) fn is_due(&self, step: u64) -> bool {
        let save = self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.due(step));
        save || self.test_is_due(step) || self.observer.interrupted()
    }

    /// What a run that goes on may have more of, and ranks have the same of.
    fn epochs(&self) -> Vec<Setting> {
        vec![("passes".into(), self.schedule.epochs.to_string())]
    }

    /// What the result depends on, as far as the sources and the schedule know.
    fn settings(&self) -> Vec<Setting> {
        let test_freq = self.schedule.test_freq.map_or("none".into(), |steps| steps.to_string());
        let rows = [("rows of a pass", self.train.rows()), ("rows of a test", self.test.rows())];
        let rows = rows.map(|(name, rows)| (name.into(), rows.to_string()));
        rows.into_iter().chain([("steps between tests".into(), test_freq)]).collect()
    }
}

impl Run {
    fn waited(&self, train: &dyn BatchSource) -> Duration {
        self.waited + (train.waited() - self.waited_before)
    }
}

/// The bookkeeping of one pass.
pub(super) struct Pass {
    epoch: u64,
    rows: usize,
    /// Rows of steps that were left out.
    left_out: usize,
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
        Pass { epoch, rows: 0, left_out: 0, rows_in_epoch, loss_sum: 0.0, before, trained: Duration::ZERO, since }
    }

    /// A pass that goes on now.
    fn resumed(state: &PassState, rows_in_epoch: usize) -> Self {
        let PassState { epoch, rows, left_out, loss_sum, before, trained } = *state;
        Pass { epoch, rows, left_out, rows_in_epoch, loss_sum, before, trained, since: Some(Instant::now()) }
    }

    fn state(&self) -> PassState {
        let Pass { epoch, rows, left_out, loss_sum, before, .. } = *self;
        PassState { epoch, rows, left_out, loss_sum, before, trained: self.seconds() }
    }

    pub(super) fn add(&mut self, loss: f32, rows: usize) {
        self.loss_sum += f64::from(loss) * rows as f64;
        self.rows += rows;
    }

    fn seen(&self) -> usize {
        self.rows + self.left_out
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

    pub(super) fn progress<M: Model>(&self, trainer: &Trainer<M>, loss: f32) -> Progress {
        Progress {
            epoch: self.epoch,
            step: trainer.steps,
            rows: self.seen(),
            rows_in_epoch: self.rows_in_epoch,
            loss,
            lr: trainer.policy.lr(trainer.steps.max(1)),
            gradient_norms: trainer.gradient_norms(),
            mean_loss: self.mean_loss(),
            rows_per_s: self.rows_per_s(),
        }
    }
}
