//! What an evaluation found, for programs and for people.

use crate::metrics::{Evaluation, nan_if_null};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::time::Duration;

/// One evaluation in the course of a run. Serialises to one flat object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The pass it was made in, from 1.
    pub epoch: u64,
    /// Steps until then, over all passes.
    pub step: u64,
    /// Learning rate of the last step.
    #[serde(deserialize_with = "nan_if_null")]
    pub lr: f64,
    /// Rows trained on in this pass until then.
    pub train_rows: u64,
    /// Mean loss over the rows trained on in this pass, each before its step.
    #[serde(deserialize_with = "nan_if_null")]
    pub train_loss: f64,
    /// The figures on the test rows.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Whether no test of this run before had as high an AUC.
    pub best: bool,
    /// Steps until then that were [left out](super::OnNan::Skip), over all passes.
    pub skipped: u64,
    /// Rows trained on a second, in this pass, with making batches and without testing.
    #[serde(deserialize_with = "nan_if_null")]
    pub rows_per_s: f64,
    /// Seconds of training until then, over all passes.
    #[serde(deserialize_with = "nan_if_null")]
    pub train_seconds: f64,
    /// Of these, seconds in which a thread that reads ahead had no batch ready.
    #[serde(deserialize_with = "nan_if_null")]
    pub waited_seconds: f64,
    /// Seconds of this evaluation.
    #[serde(deserialize_with = "nan_if_null")]
    pub test_seconds: f64,
}

impl Record {
    /// The evaluation of a model that was not trained in this run.
    pub fn untrained(evaluation: Evaluation) -> Self {
        Record {
            epoch: 0,
            step: 0,
            lr: 0.0,
            train_rows: 0,
            train_loss: f64::NAN,
            evaluation,
            best: true,
            skipped: 0,
            rows_per_s: f64::NAN,
            train_seconds: 0.0,
            waited_seconds: 0.0,
            test_seconds: 0.0,
        }
    }
}

/// The table at the end of a run.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The last evaluation.
    pub record: &'a Record,
    /// Rows trained on in all passes; with 0 there are no lines about training.
    pub rows: u64,
    /// Time spent on reading rows and making their vocabulary.
    pub reading: Duration,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { evaluation: e, train_loss, train_seconds, waited_seconds, .. } = self.record;
        let undefined = || "undefined: one class only".to_string();
        let no_click = || "undefined: no click".to_string();
        let with_reading = self.rows as f64 / (train_seconds + self.reading.as_secs_f64());
        let mut line = |name: &str, value: String| writeln!(f, "  {name:<34}{value:>12}");
        if self.record.skipped > 0 {
            line("steps left out (NaN or infinite)", self.record.skipped.to_string())?;
        }
        if self.rows > 0 {
            line("train loss, last pass", format!("{train_loss:.5}"))?;
        }
        line("test log loss", format!("{:.5}", e.logloss))?;
        line("test AUC", e.auc.map_or_else(undefined, |a| format!("{a:.5}")))?;
        line("test average precision", e.average_precision.map_or_else(no_click, |a| format!("{a:.5}")))?;
        line("normalized entropy", e.normalized_entropy.map_or_else(undefined, |n| format!("{n:.5}")))?;
        line("test accuracy", format!("{:.3} %", 100.0 * e.accuracy))?;
        line("precision, recall, F1", format!("{:.4}, {:.4}, {:.4}", e.precision, e.recall, e.f1))?;
        line("base rate (clicks in the test rows)", format!("{:.3} %", 100.0 * e.base_rate))?;
        line("calibration (prediction / base)", e.calibration.map_or_else(no_click, |c| format!("{c:.4}")))?;
        if self.rows == 0 {
            return Ok(());
        }
        line("rows a second, training", format!("{:.0}", self.rows as f64 / train_seconds))?;
        line("waited for data", format!("{waited_seconds:.2} s"))?;
        line("rows a second, with reading", format!("{with_reading:.0}"))
    }
}
