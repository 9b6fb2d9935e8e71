//! The best test so far, and when to stop.

use super::options::{Stop, Stopping};
use super::report::Record;
use crate::parameters::{DenseId, Parameters};
use crate::tensor::Tensor;

/// Follows the tests of a run.
#[derive(Debug)]
pub(super) struct Best {
    stopping: Stopping,
    record: Option<Record>,
    /// Tests since the best one.
    since: u64,
    /// The parameters of the best test: dense ones, then tables.
    parameters: Vec<Tensor>,
}

impl Best {
    pub(super) fn new(stopping: Stopping) -> Self {
        Best { stopping, record: None, since: 0, parameters: Vec::new() }
    }

    /// Takes the figures of a test into account; marks it if it is the best so far, and says whether to stop.
    pub(super) fn test(&mut self, record: &mut Record, params: &Parameters) -> Option<Stop> {
        let auc = record.evaluation.auc.unwrap_or(f64::NEG_INFINITY);
        let best = self.record.as_ref().map(|best| best.evaluation.auc.unwrap_or(f64::NEG_INFINITY));
        record.best = best.is_none_or(|best| auc > best);
        self.since = if record.best { 0 } else { self.since + 1 };
        if record.best {
            self.record = Some(record.clone());
            if self.stopping.patience.is_some() {
                self.keep(params);
            }
        }
        let reached = |threshold: Option<f64>, value| threshold.filter(|&threshold| value >= threshold);
        let Stopping { accuracy, auc: auc_threshold, patience } = self.stopping;
        reached(auc_threshold, auc)
            .map(|threshold| Stop::Auc { threshold })
            .or(reached(accuracy, record.evaluation.accuracy).map(|threshold| Stop::Accuracy { threshold }))
            .or(patience.filter(|&p| self.since >= p).map(|tests| Stop::NoImprovement { tests }))
    }

    fn keep(&mut self, params: &Parameters) {
        let dense = params.dense().iter().map(|p| p.value().as_slice());
        let all = dense.chain(params.tables().iter().map(|t| t.values()));
        self.parameters.resize_with(params.dense().len() + params.tables().len(), Tensor::default);
        for (kept, values) in self.parameters.iter_mut().zip(all) {
            kept.resize(&[values.len()]);
            kept.copy_from_slice(values);
        }
    }

    /// Puts the parameters of the best test back, and returns its record, if they were kept and are not those at hand.
    pub(super) fn restore(&self, params: &mut Parameters) -> Option<Record> {
        let record = self.record.as_ref().filter(|_| self.since > 0 && !self.parameters.is_empty())?;
        let (dense, tables) = self.parameters.split_at(params.dense().len());
        for (i, kept) in dense.iter().enumerate() {
            params.update(DenseId(i), |value| value.copy_from_slice(kept.as_slice()));
        }
        for (table, kept) in params.tables_mut().iter_mut().zip(tables) {
            table.values_mut().copy_from_slice(kept.as_slice());
        }
        Some(record.clone())
    }
}
