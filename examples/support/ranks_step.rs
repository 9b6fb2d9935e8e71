//! Training steps of a standard model on several ranks, timed.

use super::check_memory;
use super::exchanges::{Exchange, Exchanges};
use super::models::random_batches;
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::comm::Communicator;
use dlrm::nn::{Dlrm, DlrmConfig, Model, Placement, Shard, TableLoad};
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::{Batch, Gradients, Parameters, Result, Stream, Tape, ops};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is timed.
pub struct Steps {
    pub model: DlrmConfig,
    /// Lookups a table and sample.
    pub lookups: usize,
    /// Samples of all ranks.
    pub batch: usize,
    /// Different batches, used in turn.
    pub distinct: u32,
    pub warmup: usize,
    pub iters: usize,
}

/// What it took.
pub struct Timed {
    /// Of each step on this rank.
    pub times: Vec<Duration>,
    /// The means of all ranks.
    pub exchanges: Vec<Exchange>,
}

impl Steps {
    /// Where the tables are on `ranks` ranks.
    pub fn placement(&self, ranks: usize) -> Placement {
        let load = |&num_embeddings: &usize| TableLoad { num_embeddings, lookups: self.lookups as f64 };
        let loads: Vec<_> = self.model.num_embeddings.iter().map(load).collect();
        Placement::plan(&loads, self.model.embedding_dim, ranks)
    }

    /// Trains on this rank's share of each batch, with plain SGD. Every rank calls it.
    pub fn run(&self, comm: &Arc<Communicator>, cpu: &Arc<Cpu>) -> Result<Timed> {
        let (rank, placement) = (comm.rank(), self.placement(comm.size()));
        let samples = comm.share(self.batch, rank).len();
        // Dense features and a label; ids, and where each list of them begins; the tables.
        let row = 4 * (self.model.dense_features + 1 + self.model.num_embeddings.len() * (self.lookups + 1));
        let bytes = row as f64 * f64::from(self.distinct) * samples as f64;
        let tables: u64 = placement.of(rank).map(Shard::bytes).sum();
        check_memory("a rank's batches and tables", bytes + tables as f64, &**cpu)?;
        let mut params = Parameters::new(cpu.clone());
        let model = Dlrm::sharded(&self.model, placement, comm.clone(), &mut params, &mut Stream::native(727))?;
        let mut draws = Stream::native_at(728, rank as u64);
        let batches = random_batches(self.distinct, samples, &self.model, self.lookups, &mut draws);
        let mut trained = Trained::new(model, params);
        let mut timed = Ok(None);
        let mut run = || {
            timed = (0..self.warmup).try_for_each(|i| trained.step(comm, &batches[i % batches.len()])).and_then(|()| {
                let before = Exchanges::now(comm)?;
                let mut times = Vec::with_capacity(self.iters);
                for i in 0..self.iters {
                    let start = Instant::now();
                    trained.step(comm, &batches[(self.warmup + i) % batches.len()])?;
                    times.push(start.elapsed());
                }
                Ok(Some(Timed { times, exchanges: before.since(comm, self.iters)? }))
            });
        };
        cpu.scope(&mut run);
        Ok(timed?.expect("run once"))
    }
}

/// One rank's part of a model that learns.
struct Trained {
    model: Dlrm,
    params: Parameters,
    tape: Tape,
    grads: Gradients,
    optimizer: Optimizer,
}

impl Trained {
    fn new(model: Dlrm, params: Parameters) -> Self {
        let tape = Tape::new(params.backend().clone());
        let (grads, optimizer) = (Gradients::new(&params), Optimizer::new(UpdateRule::Sgd, &params));
        Trained { model, params, tape, grads, optimizer }
    }

    /// One step on this rank's samples, of which there may be none.
    fn step(&mut self, comm: &Communicator, batch: &Batch) -> Result<()> {
        let Trained { model, params, tape, grads, optimizer } = self;
        tape.clear();
        grads.clear();
        let logits = model.forward(tape, params, batch);
        if batch.is_empty() {
            tape.backward_from(logits, &[], params, grads);
        } else {
            let labels = tape.input(&[batch.len()], &batch.labels);
            let loss = ops::loss(tape, LossKind::BCE, logits, labels);
            let share = model.shards().map_or(1.0, |shards| shards.share());
            tape.backward_from(loss, &[share], params, grads);
        }
        grads.all_reduce(comm)?;
        model.shards().map_or(Ok(()), |shards| shards.status())?;
        optimizer.step(params, grads, 0.1);
        Ok(())
    }
}
