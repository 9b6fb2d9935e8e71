//! Those who watch a run.

use super::checkpoints::Saved;
use super::guard::Skips;
use super::options::Stop;
use super::report::Record;
use crate::error::{Error, Result};
use crate::parameters::{Norms, Parameters};

/// Where a run stands after a step.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// This pass, from 1.
    pub epoch: u64,
    /// Steps so far, over all passes.
    pub step: u64,
    /// Rows of this pass that were trained on, or left out with their step.
    pub rows: usize,
    /// Rows in this pass.
    pub rows_in_epoch: usize,
    /// Loss of this step's batch, before the step.
    pub loss: f32,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Norms of the gradient of the last step, before it was clipped, if they
    /// [were wanted](Observer::wants_gradient_norms).
    pub gradient_norms: Option<Norms>,
    /// Mean loss over the rows of this pass so far.
    pub mean_loss: f64,
    /// Rows a second of this pass, testing not counted.
    pub rows_per_s: f64,
}

/// Someone who watches a run: a progress bar, a log, a file of JSON lines.
pub trait Observer {
    /// Called after every batch; on a device, after several of them for one after the other, when their losses come down.
    fn on_step(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// Called instead of [`on_step`](Self::on_step) after a batch whose step was [left out](super::OnNan::Skip), with
    /// the reason.
    fn on_skip(&mut self, progress: &Progress, error: &Error, skips: Skips) {
        let _ = (progress, error, skips);
    }

    /// Asked before every batch: whether the norms of the gradient of step `step` are wanted, if the batch completes it.
    /// They take a look at every number of it, and change none.
    fn wants_gradient_norms(&self, step: u64) -> bool {
        let _ = step;
        false
    }

    /// Called after every evaluation, before [`on_evaluation`](Self::on_evaluation), with the parameters that were
    /// tested; not where they are with several ranks.
    ///
    /// # Errors
    /// As there.
    fn on_parameters(&mut self, step: u64, params: &Parameters) -> Result<()> {
        let _ = (step, params);
        Ok(())
    }

    /// Called after every evaluation.
    ///
    /// # Errors
    /// What went wrong, such as a full disk; it ends the run.
    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let _ = record;
        Ok(())
    }

    /// Called before the first step of a run that goes on from a checkpoint, with the records until then.
    ///
    /// # Errors
    /// As [`on_evaluation`](Self::on_evaluation).
    fn on_resume(&mut self, step: u64, records: &[Record]) -> Result<()> {
        let _ = (step, records);
        Ok(())
    }

    /// Called when a checkpoint is on the disk, some steps after the one that it is of.
    fn on_save(&mut self, saved: &Saved) {
        let _ = saved;
    }

    /// Called if a checkpoint could not be saved. Earlier ones stay, and the run goes on.
    fn on_save_failure(&mut self, error: &Error) {
        let _ = error;
    }

    /// Asked after every step: whether the run is to be saved and ended there, with [`Error::Interrupted`].
    fn interrupted(&self) -> bool {
        false
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
