//! Flags about files that a run is watched by.

use super::log::Log;
use super::watch::Watch;
use clap::Args;
use dlrm::checkpoint;
use dlrm::train::{Observer, Progress, Record, Saved, Skips, Stop};
use dlrm::watch::{History, TensorBoard};
use dlrm::{Error, Parameters, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
    /// A page of HTML to write in the end: learning curves, ROC, calibration, time by operation, all flags.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// A file to write what happens to the end of, one JSON object a line, with time and level.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print lines of MLPerf's log, ":::MLLOG {...}".
    #[arg(long)]
    pub mlperf_logging: bool,
}

impl WatchFlags {
    /// Those who watch the run of which `steps` steps are done: a person, the file `json`, and what the flags ask for.
    pub fn watchers(&self, json: Option<&Path>, steps: u64) -> Result<Watchers> {
        let mut all: Vec<Box<dyn Observer + Send>> = vec![Box::new(Watch::new(json)?)];
        if let Some(folder) = &self.tensorboard {
            all.push(Box::new(TensorBoard::new(folder, steps, self.log_every, self.histograms)?));
        }
        if let Some(path) = &self.log {
            all.push(Box::new(Log::open(path, self.log_every, steps)?));
        }
        self.report.as_deref().map_or(Ok(()), checkpoint::check_path)?;
        let began = SystemTime::now();
        Ok(Watchers { all, began, history: self.report.as_ref().map(|_| History::new(self.log_every)) })
    }
}

/// Several who watch a run.
pub struct Watchers {
    all: Vec<Box<dyn Observer + Send>>,
    history: Option<History>,
    began: SystemTime,
}

impl Watchers {
    /// That one alone.
    pub fn of(one: impl Observer + Send + 'static) -> Self {
        Watchers { all: vec![Box::new(one)], history: None, began: SystemTime::now() }
    }

    /// One more.
    pub fn push(&mut self, one: impl Observer + Send + 'static) {
        self.all.push(Box::new(one));
    }

    /// When they were made, before any work was done.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// The training as it went, if a report is to show it.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    fn all(&self) -> impl Iterator<Item = &(dyn Observer + Send)> {
        self.all.iter().map(|one| &**one).chain(self.history.iter().map(|history| history as &(dyn Observer + Send)))
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut (dyn Observer + Send)> {
        let history = self.history.iter_mut().map(|history| history as &mut (dyn Observer + Send));
        self.all.iter_mut().map(|one| &mut **one as _).chain(history)
    }
}

impl Observer for Watchers {
    fn on_step(&mut self, progress: &Progress) {
        self.all_mut().for_each(|one| one.on_step(progress));
    }

    fn on_skip(&mut self, progress: &Progress, error: &Error, skips: Skips) {
        self.all_mut().for_each(|one| one.on_skip(progress, error, skips));
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        self.all().any(|one| one.wants_gradient_norms(step))
    }

    fn on_parameters(&mut self, step: u64, params: &Parameters) -> Result<()> {
        self.all_mut().try_for_each(|one| one.on_parameters(step, params))
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        self.all_mut().try_for_each(|one| one.on_evaluation(record))
    }

    fn on_resume(&mut self, step: u64, records: &[Record]) -> Result<()> {
        self.all_mut().try_for_each(|one| one.on_resume(step, records))
    }

    fn on_save(&mut self, saved: &Saved) {
        self.all_mut().for_each(|one| one.on_save(saved));
    }

    fn on_save_failure(&mut self, error: &Error) {
        self.all_mut().for_each(|one| one.on_save_failure(error));
    }

    fn interrupted(&self) -> bool {
        self.all().any(|one| one.interrupted())
    }

    fn on_stop(&mut self, stop: Stop) {
        self.all_mut().for_each(|one| one.on_stop(stop));
    }

    fn on_restore(&mut self, record: &Record) {
        self.all_mut().for_each(|one| one.on_restore(record));
    }
}
