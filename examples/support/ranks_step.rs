//! Training steps of a standard model on several ranks, timed.

use super::check_memory;
use super::exchanges::{Exchange, Exchanges};
use super::models::random_batches;
use dlrm::backend::{Cpu, LossKind};
use dlrm::comm::Communicator;
use dlrm::nn::{Dlrm, DlrmConfig, Placement, Shard, TableLoad};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, Parameters, Result, Stream};
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
        let batches = random_batches(self.distinct, samples, &self.model, self.lookups, &mut draws(rank));
        let mut before = Ok(None);
        let times = self.time(model, params, &batches, &mut || before = Exchanges::now(comm).map(Some))?;
        let before = before?.expect("after the warm-up");
        Ok(Timed { times, exchanges: before.since(comm, self.iters)? })
    }

    /// The same without ranks.
    pub fn alone(&self, cpu: &Arc<Cpu>) -> Result<Vec<Duration>> {
        let mut params = Parameters::new(cpu.clone());
        let model = Dlrm::new(&self.model, &mut params, &mut Stream::native(727))?;
        let batches = random_batches(self.distinct, self.batch, &self.model, self.lookups, &mut draws(0));
        self.time(model, params, &batches, &mut || ())
    }

    /// The times of the steps after the warm-up, and after `warm`.
    fn time(
        &self,
        model: Dlrm,
        params: Parameters,
        batches: &[Batch],
        warm: &mut (dyn FnMut() + Send),
    ) -> Result<Vec<Duration>> {
        let backend = params.backend().clone();
        let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
        let mut step = |i: usize| {
            let start = Instant::now();
            let loss = trainer.forward(&batches[i % batches.len()])?;
            trainer.backward(loss);
            trainer.update();
            Ok(start.elapsed())
        };
        let mut times = Ok(Vec::new());
        backend.scope(&mut || {
            times = (0..self.warmup).try_for_each(|i| step(i).map(drop)).and_then(|()| {
                warm();
                (self.warmup..self.warmup + self.iters).map(&mut step).collect()
            });
        });
        times
    }
}

/// What the batches of a rank are drawn from.
fn draws(rank: usize) -> Stream {
    Stream::native_at(728, rank as u64)
}

/// The median in milliseconds.
pub fn median_ms(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    1e3 * times[times.len() / 2].as_secs_f64()
}
