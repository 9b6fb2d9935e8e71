//! The training as it went, kept.

use super::steps::{StepSummaries, StepSummary};
use crate::error::{Error, Result};
use crate::train::{Observer, Progress, Record, Skips};

/// Keeps a summary of every so many steps, for a [report](super::RunReport). Of a run that was resumed it has the steps
/// since then.
#[derive(Debug)]
pub struct History {
    summaries: StepSummaries,
    every: u64,
    steps: Vec<StepSummary>,
}

impl History {
    /// Nothing yet, of a run with a summary every `every` steps.
    ///
    /// # Panics
    /// If `every` is 0.
    pub fn new(every: u64) -> Self {
        History { summaries: StepSummaries::new(every, 0), every, steps: Vec::new() }
    }

    /// The summaries.
    pub fn steps(&self) -> &[StepSummary] {
        &self.steps
    }
}

impl Observer for History {
    fn on_step(&mut self, progress: &Progress) {
        self.steps.extend(self.summaries.add(progress));
    }

    fn on_skip(&mut self, progress: &Progress, _: &Error, _: Skips) {
        self.summaries.skip(progress);
    }

    fn on_resume(&mut self, step: u64, _: &[Record]) -> Result<()> {
        self.summaries = StepSummaries::new(self.every, step);
        Ok(())
    }
}
