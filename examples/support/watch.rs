//! Someone who watches a run and tells a person and a file.

use super::{Meter, signals};
use dlrm::metrics::Evaluation;
use dlrm::train::{Observer, Progress, Record, Saved, Skips, Stop};
use dlrm::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Shows progress, and writes evaluations as they come.
pub struct Watch {
    meter: Option<Meter>,
    json: Option<JsonLines>,
}

impl Watch {
    pub fn new(json: Option<&Path>) -> Result<Self> {
        Ok(Watch { meter: None, json: json.map(JsonLines::open).transpose()? })
    }
}

/// A file of one object a line. What it held is only lost when the first line is there to write.
struct JsonLines {
    path: PathBuf,
    file: File,
    lines: u64,
    /// There was no such file, and nothing is in it.
    is_new: bool,
}

impl JsonLines {
    fn open(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Ok(JsonLines { path: path.to_owned(), file: file.map_err(|e| Error::io(path, e))?, lines: 0, is_new })
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record).expect("numbers only");
        self.is_new = false;
        // A pipe has no length.
        let is_first = self.lines == 0 && self.path.is_file();
        let clear = if is_first { self.file.set_len(0) } else { Ok(()) };
        self.lines += 1;
        clear.and_then(|()| writeln!(self.file, "{line}")).map_err(|e| Error::io(&self.path, e))
    }
}

impl Drop for JsonLines {
    fn drop(&mut self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path); // nothing is in it
        }
    }
}

impl Observer for Watch {
    fn on_step(&mut self, p: &Progress) {
        let meter =
            self.meter.get_or_insert_with(|| Meter::new(format!("epoch {}", p.epoch), Some(p.rows_in_epoch as u64)));
        meter.update(p.rows as u64, || format!("{:.0} rows/s, loss {:.4}, ", p.rows_per_s, p.mean_loss));
        if p.rows == p.rows_in_epoch {
            meter.finish();
            self.meter = None;
        }
    }

    fn on_skip(&mut self, p: &Progress, error: &Error, skips: Skips) {
        eprintln!("warning: left out, {} in all: {error}", skips.total);
        if p.rows == p.rows_in_epoch {
            self.meter = None;
        }
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let Evaluation { auc, logloss, accuracy, .. } = record.evaluation;
        let auc = auc.map_or_else(|| "undefined".into(), |a| format!("{a:.5}"));
        if record.step == 0 {
            eprintln!("test AUC {auc}, log loss {logloss:.5}, accuracy {:.3} %", 100.0 * accuracy);
            return self.json.as_mut().map_or(Ok(()), |json| json.write(record));
        }
        eprintln!(
            "epoch {}, step {}: train loss {:.5}, test AUC {auc}, log loss {logloss:.5}, accuracy {:.3} %{}",
            record.epoch,
            record.step,
            record.train_loss,
            100.0 * accuracy,
            if record.best { ", the highest AUC so far" } else { "" }
        );
        self.json.as_mut().map_or(Ok(()), |json| json.write(record))
    }

    fn on_resume(&mut self, _: u64, records: &[Record]) -> Result<()> {
        // As the file was when the checkpoint was made: what came after will come again.
        self.json.as_mut().map_or(Ok(()), |json| records.iter().try_for_each(|record| json.write(record)))
    }

    fn on_save(&mut self, saved: &Saved) {
        eprintln!("{saved}");
    }

    fn on_save_failure(&mut self, error: &Error) {
        eprintln!("warning: {error}; earlier checkpoints stay, and the next save tries again");
    }

    fn interrupted(&self) -> bool {
        signals::interrupted()
    }

    fn on_stop(&mut self, stop: Stop) {
        eprintln!("stopped early: {stop}");
    }

    fn on_restore(&mut self, record: &Record) {
        eprintln!("the model is that of step {}, the best test, and not the last", record.step);
    }
}
