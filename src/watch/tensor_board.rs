//! A run for TensorBoard.

use super::histogram::Histogram;
use super::steps::StepSummaries;
use super::writer::EventWriter;
use crate::error::{Error, Result};
use crate::metrics::Evaluation;
use crate::parameters::Parameters;
use crate::train::{Observer, Progress, Record, Skips};
use std::path::Path;

/// Writes a run to an [event file](EventWriter) as it goes:
///
/// | when | what |
/// |---|---|
/// | every so many steps | `train/loss` (mean over the rows since the last time), `train/lr`, `train/rows_per_s`, `gradient_norm/dense`, `gradient_norm/embeddings` |
/// | each test | `test/` and each figure of the [`Evaluation`] that is defined, `pass/train_loss`, `pass/rows_per_s` (of the pass so far, as in the [`Record`]), `weight_norm/dense`, `weight_norm/embeddings` |
/// | each test, on request | histograms of each dense parameter and each table, by their names |
///
/// Norms of gradients are those before clipping. Norms of weights and histograms read every number of the model, so
/// they come with the tests, which take longer.
#[derive(Debug)]
pub struct TensorBoard {
    writer: EventWriter,
    summaries: StepSummaries,
    histograms: bool,
    failed: Option<Error>,
}

impl TensorBoard {
    /// A new event file in `folder`, for a run of which `steps` steps are done; with figures of training every `every`
    /// steps, and with or without histograms.
    ///
    /// # Errors
    /// As [`EventWriter::create`].
    ///
    /// # Panics
    /// If `every` is 0.
    pub fn new(folder: &Path, steps: u64, every: u64, histograms: bool) -> Result<Self> {
        let summaries = StepSummaries::new(every, steps);
        Ok(TensorBoard { writer: EventWriter::create(folder, steps)?, summaries, histograms, failed: None })
    }
}

impl Observer for TensorBoard {
    /// What goes wrong here ends the run at its next test.
    fn on_step(&mut self, progress: &Progress) {
        let Some(summary) = self.summaries.add(progress) else { return };
        let mut scalars =
            vec![("train/loss", summary.loss), ("train/lr", summary.lr), ("train/rows_per_s", summary.rows_per_s)];
        let norms = summary.gradient_norms.iter();
        scalars
            .extend(norms.flat_map(|n| [("gradient_norm/dense", n.dense), ("gradient_norm/embeddings", n.embeddings)]));
        let written = self.writer.scalars(summary.step, &scalars);
        self.failed = self.failed.take().or(written.err());
    }

    fn on_skip(&mut self, progress: &Progress, _: &Error, _: Skips) {
        self.summaries.skip(progress);
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        self.summaries.is_due(step)
    }

    fn on_parameters(&mut self, step: u64, params: &Parameters) -> Result<()> {
        let norms = params.norms();
        let scalars = [("weight_norm/dense", norms.dense), ("weight_norm/embeddings", norms.embeddings)];
        self.writer.scalars(step, &scalars)?;
        if !self.histograms {
            return Ok(());
        }
        let dense = params.dense().iter().map(|p| (p.name(), p.value().as_slice()));
        let mut all = dense.chain(params.tables().iter().map(|table| (table.name(), table.values())));
        all.try_for_each(|(name, values)| self.writer.histogram(step, name, Histogram::of(values)))
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let e: &Evaluation = &record.evaluation;
        let figures = [
            ("test/auc", e.auc),
            ("test/average_precision", e.average_precision),
            ("test/logloss", Some(e.logloss)),
            ("test/normalized_entropy", e.normalized_entropy),
            ("test/accuracy", Some(e.accuracy)),
            ("test/precision", Some(e.precision)),
            ("test/recall", Some(e.recall)),
            ("test/f1", Some(e.f1)),
            ("test/base_rate", Some(e.base_rate)),
            ("test/calibration", e.calibration),
            ("pass/train_loss", Some(record.train_loss)),
            ("pass/rows_per_s", Some(record.rows_per_s)),
        ];
        let defined = |(tag, figure): (&'static str, Option<f64>)| figure.filter(|f| !f.is_nan()).map(|f| (tag, f));
        let scalars: Vec<_> = figures.into_iter().filter_map(defined).collect();
        self.writer.scalars(record.step, &scalars)?;
        self.failed.take().map_or(Ok(()), Err)
    }
}
