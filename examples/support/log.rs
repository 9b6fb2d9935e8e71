//! A run as a file of events, one JSON object a line, for whoever gathers logs: time, level, fields.
//!
//! The programs say what happens by `tracing`'s macros, which cost nothing until [`Log::open`] has somebody listen.

use dlrm::train::{Observer, Progress, Record, Saved, Skips, Stop};
use dlrm::watch::StepSummaries;
use dlrm::{Error, Result};
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use tracing::{info, warn};

/// Says what happens to a run.
pub struct Log {
    summaries: StepSummaries,
}

impl Log {
    /// All events go to the end of this file from now on, those of steps every `every` steps, of a run of which `steps`
    /// steps are done. A run that goes on goes on in its file.
    pub fn open(path: &Path, every: u64, steps: u64) -> Result<Log> {
        let file = File::options().create(true).append(true).open(path).map_err(|e| Error::io(path, e))?;
        let events =
            tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_writer(Mutex::new(file));
        // A program opens one log.
        let _ = tracing::subscriber::set_global_default(events.finish());
        let flags: Vec<String> = std::env::args().skip(1).collect();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            flags = flags.join(" "),
            process = std::process::id(),
            steps,
            "begin"
        );
        Ok(Log { summaries: StepSummaries::new(every, steps) })
    }
}

impl Observer for Log {
    fn on_step(&mut self, progress: &Progress) {
        let Some(s) = self.summaries.add(progress) else { return };
        let [dense, embeddings] = [s.gradient_norms.map(|n| n.dense), s.gradient_norms.map(|n| n.embeddings)];
        info!(
            epoch = s.epoch,
            step = s.step,
            loss = s.loss,
            lr = s.lr,
            rows_per_s = s.rows_per_s,
            gradient_norm_dense = dense,
            gradient_norm_embeddings = embeddings,
            "step"
        );
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        self.summaries.is_due(step)
    }

    fn on_skip(&mut self, progress: &Progress, error: &Error, skips: Skips) {
        self.summaries.skip(progress);
        warn!(epoch = progress.epoch, step = progress.step, skipped = skips.total, reason = %error, "step left out");
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let e = &record.evaluation;
        info!(
            epoch = record.epoch,
            step = record.step,
            train_loss = record.train_loss,
            auc = e.auc,
            logloss = e.logloss,
            accuracy = e.accuracy,
            calibration = e.calibration,
            best = record.best,
            rows_per_s = record.rows_per_s,
            test_seconds = record.test_seconds,
            "test"
        );
        Ok(())
    }

    fn on_resume(&mut self, step: u64, _: &[Record]) -> Result<()> {
        info!(step, "resume");
        Ok(())
    }

    fn on_save(&mut self, saved: &Saved) {
        let (pause, seconds) = (saved.pause.as_secs_f64(), saved.written.as_secs_f64());
        info!(step = saved.step, path = %saved.path.display(), bytes = saved.bytes, pause, seconds, "save");
    }

    fn on_save_failure(&mut self, error: &Error) {
        warn!(reason = %error, "save failed");
    }

    fn on_stop(&mut self, stop: Stop) {
        info!(reason = %stop, "early stop");
    }

    fn on_restore(&mut self, record: &Record) {
        info!(step = record.step, "best parameters put back");
    }
}
