//! The memory that training takes.

use super::options::TrainOptions;
use crate::backend::Backend;
use crate::batch::Batch;
use crate::buffer::resident_bytes;
use crate::error::Result;
use crate::jagged::JaggedTensor;
use crate::memory::MemoryPlan;
use crate::nn::Model;
use crate::optim::UpdateRule;
use crate::parameters::Parameters;
use crate::random::Stream;
use crate::tape::Tape;
use std::sync::Arc;

/// A list of ids itself, in its vector with room for more, and what the allocator keeps of its own two.
const LIST_BYTES: u64 = 128;

/// How much a run does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Samples of a training batch.
    pub batch: usize,
    /// Samples of a test batch; 0 if there are no tests.
    pub test_batch: usize,
    /// Samples of a test.
    pub test_rows: usize,
    /// Batches of each source that are ready besides the one in hand.
    pub ahead: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Whether checkpoints of the run are saved.
    pub checkpoints: bool,
}

impl MemoryPlan {
    /// What training a model takes, and testing it: all but `program` and `rows`, which the caller knows.
    ///
    /// `make` builds the model, of which names and shapes alone are kept. `samples` are a few as they will come, two or
    /// more; what they take is multiplied.
    ///
    /// # Errors
    /// Those of `make`.
    ///
    /// # Panics
    /// If there are fewer than two samples.
    pub fn of_training<M: Model>(
        backend: Arc<dyn Backend>,
        make: impl FnOnce(&mut Parameters, &mut Stream) -> Result<M>,
        (rule, options): (UpdateRule, &TrainOptions),
        samples: &Batch,
        work: Workload,
    ) -> Result<MemoryPlan> {
        assert!(samples.len() > 1, "MemoryPlan: {} samples", samples.len());
        let between_looks = backend.steps_between_looks() as u64;
        let mut params = Parameters::plan(backend.clone());
        let model = make(&mut params, &mut Stream::none())?;
        model.check(samples)?;
        let mut tape = Tape::plan(backend);
        tape.set_dropout((options.dropout > 0.0).then(|| crate::backend::Dropout::new(options.dropout, 0, 0, 0)));
        model.forward(&mut tape, &params, samples);
        let mut plan = of_parameters(&params, rule);
        plan.device = params.backend().device_room();
        if options.stopping.patience.is_some() {
            let dense = params.dense().iter().map(|p| p.shape().iter().product::<usize>());
            let all = dense.chain(params.tables().iter().map(|t| t.num_embeddings() * t.embedding_dim()));
            plan.best = all.map(resident_bytes).sum();
        }
        plan.checkpoint = if work.checkpoints { plan.checkpoint + plan.best } else { 0 };
        let larger = work.batch.max(work.test_batch);
        let times = |samples_bytes: u64, batch: usize| samples_bytes * batch as u64 / samples.len() as u64;
        for value in tape.planned() {
            let bytes = resident_bytes(value.per_sample * larger);
            plan.values += bytes;
            plan.largest = plan.largest.max(bytes);
            let gradients = u64::from(value.needs_grad) + u64::from(value.pooled);
            plan.value_gradients += gradients * resident_bytes(value.per_sample * work.batch);
        }
        // Sums of rows are written out to be changed, and once more to be added to those of another batch.
        let sums = match options.accumulate {
            1 if options.clip_norm.is_none() && options.l2_embeddings == 0.0 => 0,
            1 => 2,
            _ => 4,
        };
        for (list, table) in tape.planned_lookups() {
            let (ids, table) = (4 * list.values().len() as u64, params.table(table));
            let weights = if list.weights().is_some() { ids } else { 0 };
            plan.lookups += times(list_bytes(list) + weights, larger) + times(3 * ids + weights, work.batch);
            let rows = times(ids / 4, work.batch).min(table.num_embeddings() as u64);
            plan.lookups += sums * 4 * rows * table.embedding_dim() as u64;
        }
        let sample =
            4 * (samples.dense.len() + samples.len()) as u64 + samples.sparse.iter().map(list_bytes).sum::<u64>();
        let lists = LIST_BYTES * samples.sparse.len() as u64;
        let batch = |samples: usize| if samples == 0 { 0 } else { times(sample, samples) + lists };
        let ahead = work.ahead as u64 + 1;
        plan.batches = (ahead + between_looks - 1) * batch(work.batch) + ahead * batch(work.test_batch);
        plan.scores = 4 * work.test_rows as u64;
        let longest = samples.sparse.iter().map(|list| list.values().len() as u64).max().unwrap_or(0);
        plan.scratch = work.threads as u64 * ((640 << 10) + times(20 * longest, work.batch));
        Ok(plan)
    }
}

/// A list of ids in memory.
fn list_bytes(list: &JaggedTensor) -> u64 {
    4 * (list.values().len() + list.num_bags()) as u64
}

/// The largest table that a device takes at once, and all that it takes later.
fn passing(params: &Parameters) -> u64 {
    let Some(room) = params.backend().device_room() else { return 0 };
    let tables = params.tables().iter().map(|t| resident_bytes(t.num_embeddings() * t.embedding_dim()));
    let (small, large): (Vec<u64>, Vec<u64>) = tables.partition(|&bytes| bytes < room.small_table);
    small.iter().sum::<u64>() + large.iter().max().unwrap_or(&0)
}

/// Parameters, their gradients and what the optimizer remembers of them.
fn of_parameters(params: &Parameters, rule: UpdateRule) -> MemoryPlan {
    let mut plan = MemoryPlan::default();
    let state = |lens: [usize; 2]| lens.map(resident_bytes).iter().sum::<u64>();
    for table in params.tables() {
        let (rows, dim) = (table.num_embeddings(), table.embedding_dim());
        plan.tables += resident_bytes(rows * dim);
        plan.optimizer += state(rule.state_lens(true, rows, dim));
        plan.checkpoint += 4 * (rows * dim) as u64;
    }
    plan.passing = passing(params);
    for parameter in params.dense() {
        let (shape, len) = (parameter.shape(), parameter.shape().iter().product());
        plan.dense += resident_bytes(len);
        if let [n, k] = shape[..] {
            plan.dense += params.backend().packed_lens(n, k).map(resident_bytes).iter().sum::<u64>();
        }
        plan.gradients += resident_bytes(len);
        plan.optimizer += state(rule.state_lens(false, len, 1));
        plan.checkpoint += 4 * len as u64;
    }
    plan.checkpoint += plan.optimizer;
    plan
}
