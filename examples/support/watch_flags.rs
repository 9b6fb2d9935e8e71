//! Flags about files that a run is watched by.

use super::watch::Watch;
use clap::Args;
use dlrm::train::{Observer, Progress, Record, Saved, Skips, Stop};
use dlrm::watch::TensorBoard;
use dlrm::{Error, Parameters, Result};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct WatchFlags {
    /// A folder for TensorBoard: loss, learning rate, speed, norms and the tests' figures as the run goes.
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    /// Steps from one look at the training to the next.
    #[arg(long, value_name = "STEPS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub log_every: u64,
    /// With --tensorboard, histograms of the parameters at each test.
    #[arg(long, requires = "tensorboard")]
    pub histograms: bool,
}

impl WatchFlags {
    /// Those who watch the run of which `steps` steps are done: a person, the file `json`, and what the flags ask for.
    pub fn watchers(&self, json: Option<&Path>, steps: u64) -> Result<Watchers> {
        let mut all: Vec<Box<dyn Observer + Send>> = vec![Box::new(Watch::new(json)?)];
        if let Some(folder) = &self.tensorboard {
            all.push(Box::new(TensorBoard::new(folder, steps, self.log_every, self.histograms)?));
        }
        Ok(Watchers(all))
    }
}

/// Several who watch a run.
pub struct Watchers(Vec<Box<dyn Observer + Send>>);

impl Observer for Watchers {
    fn on_step(&mut self, progress: &Progress) {
        self.0.iter_mut().for_each(|one| one.on_step(progress));
    }

    fn on_skip(&mut self, progress: &Progress, error: &Error, skips: Skips) {
        self.0.iter_mut().for_each(|one| one.on_skip(progress, error, skips));
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        self.0.iter().any(|one| one.wants_gradient_norms(step))
    }

    fn on_parameters(&mut self, step: u64, params: &Parameters) -> Result<()> {
        self.0.iter_mut().try_for_each(|one| one.on_parameters(step, params))
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        self.0.iter_mut().try_for_each(|one| one.on_evaluation(record))
    }

    fn on_resume(&mut self, step: u64, records: &[Record]) -> Result<()> {
        self.0.iter_mut().try_for_each(|one| one.on_resume(step, records))
    }

    fn on_save(&mut self, saved: &Saved) {
        self.0.iter_mut().for_each(|one| one.on_save(saved));
    }

    fn on_save_failure(&mut self, error: &Error) {
        self.0.iter_mut().for_each(|one| one.on_save_failure(error));
    }

    fn interrupted(&self) -> bool {
        self.0.iter().any(|one| one.interrupted())
    }

    fn on_stop(&mut self, stop: Stop) {
        self.0.iter_mut().for_each(|one| one.on_stop(stop));
    }

    fn on_restore(&mut self, record: &Record) {
        self.0.iter_mut().for_each(|one| one.on_restore(record));
    }
}
