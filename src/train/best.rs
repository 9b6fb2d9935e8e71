//! The best test so far, and when to stop.

use super::options::{Stop, Stopping};
use super::report::Record;
use super::state::best_name;
use crate::checkpoint::{Checkpoint, NamedTensor, parameters, values};
use crate::error::Result;
use crate::nn::Model;
use crate::parameters::{DenseId, Parameters};
use crate::tensor::Tensor;

/// Follows the tests of a run.
#[derive(Debug)]
pub(super) struct Best {
    stopping: Stopping,
    record: Option<Record>,
    /// Tests since the best one.
    since: u64,
    /// The parameters of the best test: tables, then dense ones.
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
        self.stop(record)
    }

    /// Whether to stop after a test, the last one so far.
    pub(super) fn stop(&self, last: &Record) -> Option<Stop> {
        let auc = last.evaluation.auc.unwrap_or(f64::NEG_INFINITY);
        let reached = |threshold: Option<f64>, value| threshold.filter(|&threshold| value >= threshold);
        let Stopping { accuracy, auc: auc_threshold, patience } = self.stopping;
        reached(auc_threshold, auc)
            .map(|threshold| Stop::Auc { threshold })
            .or(reached(accuracy, last.evaluation.accuracy).map(|threshold| Stop::Accuracy { threshold }))
            .or(patience.filter(|&p| self.since >= p).map(|tests| Stop::NoImprovement { tests }))
    }

    fn keep(&mut self, params: &Parameters) {
        self.parameters.resize_with(params.dense().len() + params.tables().len(), Tensor::default);
        for (i, kept) in self.parameters.iter_mut().enumerate() {
            let values = values(params, i);
            kept.resize(&[values.len()]);
            kept.copy_from_slice(values);
        }
    }

    /// The best record, and the tests since.
    pub(super) fn state(&self) -> (Option<Record>, u64) {
        (self.record.clone(), self.since)
    }

    /// The parameters that are kept, if any are, as tensors: as those of the model are, called by other names.
    pub(super) fn tensors(&self, parameters: &[NamedTensor<usize>]) -> Vec<NamedTensor<&[f32]>> {
        let parameters = if self.parameters.is_empty() { &[] } else { parameters };
        let tensor =
            |tensor: &NamedTensor<usize>| tensor.called(best_name(&tensor.name), |&i| self.parameters[i].as_slice());
        parameters.iter().map(tensor).collect()
    }

    /// Goes on with what was kept in a file.
    pub(super) fn resume<M: Model>(
        &mut self,
        file: &mut Checkpoint,
        (model, params): (&M, &Parameters),
        (record, since): (Option<Record>, u64),
    ) -> Result<()> {
        if record.is_some() && self.stopping.patience.is_some() {
            self.keep(params);
            let best = |tensor: &NamedTensor<usize>| tensor.called(best_name(&tensor.name), |&i| i);
            let tensors: Vec<_> = parameters(params, model.shards()).iter().map(best).collect();
            tensors.iter().try_for_each(|tensor| file.check_tensor(tensor))?;
            let comm = model.shards().map(|shards| &**shards.comm());
            file.fill(&tensors, comm, |i, fill| fill(self.parameters[i].as_mut_slice()))?;
        }
        (self.record, self.since) = (record, since);
        Ok(())
    }

    /// Puts the parameters of the best test back, and returns its record, if they were kept and are not those at hand.
    pub(super) fn restore(&self, params: &mut Parameters) -> Option<Record> {
        let record = self.record.as_ref().filter(|_| self.since > 0 && !self.parameters.is_empty())?;
        let (tables, dense) = self.parameters.split_at(params.tables().len());
        for (i, kept) in dense.iter().enumerate() {
            params.update(DenseId(i), |value| value.copy_from_slice(kept.as_slice()));
        }
        for (table, kept) in params.tables_mut().iter_mut().zip(tables) {
            table.values_mut().copy_from_slice(kept.as_slice());
        }
        Some(record.clone())
    }
}
