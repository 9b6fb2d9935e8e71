//! Embedding tables that several ranks share: model parallelism (paper section 3).
//!
//! Each rank has its own samples of a batch, and some shards of some tables. In a step,
//!
//! ```text
//! ids of my samples      ── all-to-all ──→  ids of all samples, for my shards
//!                                           my shards: pooled vectors of all samples
//! vectors of my samples  ←─ all-to-all ──   (meanwhile: the bottom MLP)
//! interaction, top MLP, loss, and back
//! their gradients        ── all-to-all ──→  gradients of all samples, for my shards
//!                                           (meanwhile: back through the bottom MLP)
//! ```
//!
//! On the tape that is three nodes. The lookups are those of one process, over all samples of all ranks. After them
//! stands a node that sends their result away and goes on; in the backward pass, which comes to it last, it waits for
//! their gradients. And behind the bottom MLP stands the node that waits for the vectors; in the backward pass, which
//! comes to it first, it sends their gradients away and goes on. What lies between the two on the tape is done while the
//! numbers travel, in both directions.
//!
//! [Replicated](Placement::is_replicated) tables are looked up by every rank for its own samples. Their gradients are added
//! over all ranks between the same two nodes, the one sends them away and the other waits for them.

mod placement;
mod replicas;
mod travel;

pub use placement::{Placement, PlanOptions, Shard, TableLoad};

use super::init;
use crate::backend::Pooling;
use crate::comm::{Communicator, Parts, Pending};
use crate::error::{Error, Result};
use crate::jagged::JaggedTensor;
use crate::ops;
use crate::parameters::{Parameters, TableId};
use crate::random::Stream;
use crate::tape::{Backward, BackwardContext, Tape, Var, VarList};
use replicas::{LookedUp, Replicas};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use travel::Group;

/// The tables of a model, of which this rank has its shards: this rank's bags of ids to their pooled vectors,
/// `B × T × D`.
#[derive(Debug, Clone)]
pub struct ShardedEmbeddings {
    /// The first shard of each of this rank's groups, among the parameters.
    first: Vec<TableId>,
    pooling: Pooling,
    shared: Arc<Shared>,
}

/// What the layer and its nodes on the tape both know.
#[derive(Debug)]
struct Shared {
    comm: Arc<Communicator>,
    placement: Placement,
    /// The groups of each rank.
    groups: Vec<Vec<Group>>,
    replicas: Option<Replicas>,
    flight: Mutex<Flight>,
}

/// What is on its way.
#[derive(Debug, Default)]
struct Flight {
    /// Samples of each rank in this batch.
    samples: Vec<usize>,
    pending: Option<Pending<Parts>>,
    failure: Option<Error>,
}

/// A forward pass that is under way.
#[derive(Debug)]
pub(super) struct Started {
    sent: Var,
    looked_up: Option<LookedUp>,
    samples: usize,
}

impl ShardedEmbeddings {
    /// This rank's shards of tables of `num_embeddings` rows, with the names and the initial values that the tables have
    /// in one process; `stream` is drawn from as there.
    ///
    /// # Errors
    /// [`Error::Config`] if `stream` is NumPy's, which cannot be drawn from in parts; [`Error::Rank`] if another rank has
    /// another placement, which all ranks are told, or has ended.
    pub fn new(
        params: &mut Parameters,
        num_embeddings: &[usize],
        pooling: Pooling,
        placement: Placement,
        comm: Arc<Communicator>,
        stream: &mut Stream,
    ) -> Result<Self> {
        placement.agree(&comm)?;
        let key = |_| match stream.parallel_key() {
            None if !stream.is_none() => Err(Error::Config("ranks: initial values of a NumPy stream".into())),
            key => Ok(key),
        };
        let keys = num_embeddings.iter().map(key).collect::<Result<Vec<Option<u64>>>>()?;
        let groups: Vec<_> = (0..comm.size()).map(|rank| travel::groups(&placement, rank)).collect();
        let mut first = Vec::new();
        for group in &groups[comm.rank()] {
            first.push(TableId(params.tables().len()));
            for shard in &group.shards {
                init::shard(params, shard, num_embeddings[shard.table], placement.dim(), keys[shard.table]);
            }
        }
        let replicas = Replicas::new(params, &placement, comm.rank(), pooling, &keys);
        let shared = Arc::new(Shared { comm, placement, groups, replicas, flight: Mutex::default() });
        Ok(ShardedEmbeddings { first, pooling, shared })
    }

    /// The ranks that have the others.
    pub fn comm(&self) -> &Arc<Communicator> {
        &self.shared.comm
    }

    /// Where the tables are.
    pub fn placement(&self) -> &Placement {
        &self.shared.placement
    }

    /// The names of all tables, and how many rows they have, of how many numbers.
    pub(crate) fn whole_tables(&self) -> impl Iterator<Item = (String, [usize; 2])> {
        let placement = self.placement();
        let rows = placement.num_embeddings().into_iter().enumerate();
        rows.map(|(t, rows)| (init::table_name(t), [rows, placement.dim()]))
    }

    /// This rank's shards, replicas among them, and which parameter each is.
    pub(crate) fn own(&self) -> impl Iterator<Item = (TableId, &Shard)> {
        let Shared { comm, placement, groups, replicas, .. } = &*self.shared;
        let own = self.first.iter().zip(&groups[comm.rank()]);
        let own =
            own.flat_map(|(first, group)| group.shards.iter().enumerate().map(|(i, s)| (TableId(first.0 + i), s)));
        own.chain(replicas.iter().flat_map(|replicas| replicas.own(placement.of(comm.rank()))))
    }

    /// Samples of all ranks in the last forward pass.
    pub fn samples(&self) -> usize {
        self.shared.flight().samples.iter().sum()
    }

    /// The share of them that were this rank's.
    pub fn share(&self) -> f32 {
        let flight = self.shared.flight();
        flight.samples[self.shared.comm.rank()] as f32 / flight.samples.iter().sum::<usize>() as f32
    }

    /// Whether every exchange so far came to its end.
    ///
    /// # Errors
    /// [`Error::Rank`] if a rank has ended. What was computed since then is worthless.
    pub fn status(&self) -> Result<()> {
        self.shared.flight().failure.take().map_or(Ok(()), Err)
    }

    /// Looks up what all ranks need of this rank's shards, and sends it away; then what this one needs of replicated tables.
    /// The ids are waited for, the vectors are not.
    pub(super) fn start(&self, tape: &mut Tape, params: &Parameters, lists: &[JaggedTensor]) -> Started {
        let Shared { comm, groups, replicas, .. } = &*self.shared;
        let mut send = Parts::default();
        let mean = self.pooling == Pooling::Mean;
        groups.iter().for_each(|groups| travel::write_ids(lists, groups, mean, &mut send));
        let mine = &groups[comm.rank()];
        let received = comm.all_to_all("ids", send).and_then(|received| travel::read_ids(&received, mine));
        let (samples, lists_of_all) = self.shared.or_failed(received).unwrap_or_else(|| {
            let none = |group: &Group| group.shards.iter().map(|_| JaggedTensor::default()).collect();
            (vec![0; comm.size()], mine.iter().map(none).collect())
        });
        tape.skip_dropout_of(samples[..comm.rank()].iter().sum());
        self.shared.flight().samples = samples;
        let mut pooled = tape.list(mine.len());
        for ((group, first), lists) in mine.iter().zip(&self.first).zip(&lists_of_all) {
            let bags = tape.bags(lists);
            let vectors = ops::embedding_bags(tape, params, *first, group.pooling(self.pooling), bags, None);
            tape.push(&mut pooled, vectors);
        }
        let shared = self.shared.clone();
        let sent = tape.record(&[1], true, Sent { pooled, shared: shared.clone() }, |_, values, out| {
            let vectors: Vec<_> = values.vars(pooled).iter().map(|&var| values.get(var)).collect();
            let mut flight = shared.flight();
            let parts = travel::write_vectors(&vectors, &flight.samples);
            flight.pending = Some(shared.comm.start_all_to_all("vectors", parts));
            out.copy_from_slice(&[0.0]);
        });
        let looked_up = replicas.as_ref().map(|replicas| replicas.look_up(tape, params, lists));
        Started { sent, looked_up, samples: lists.first().map_or(0, JaggedTensor::num_bags) }
    }

    /// Waits for the vectors of this rank's samples.
    pub(super) fn finish(&self, tape: &mut Tape, started: Started) -> Var {
        let shared = self.shared.clone();
        let Started { sent, looked_up, samples } = started;
        let shape = [samples, shared.placement.tables(), shared.placement.dim()];
        tape.record(&shape, true, Received { sent, looked_up, shared: shared.clone() }, |_, values, out| {
            let received = shared.arrived();
            match received {
                Some(received) => travel::read_vectors(&received, &shared.groups, out),
                None => out.as_mut_slice().fill(0.0),
            }
            if let Some((replicas, looked_up)) = shared.replicas.as_ref().zip(looked_up) {
                replicas.read(values.get(looked_up.pooled), out);
            }
        })
    }
}

impl Shared {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the first failure.
    fn or_failed<T>(&self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.flight().failure.get_or_insert(error).to_string()).ok()
    }

    /// What is on its way, when it is there.
    fn arrived(&self) -> Option<Parts> {
        let pending = self.flight().pending.take().expect("an exchange was started");
        self.or_failed(pending.wait())
    }
}

/// Vectors go away; the backward pass waits for their gradients, and for those of replicas.
#[derive(Debug)]
struct Sent {
    pooled: VarList,
    shared: Arc<Shared>,
}

impl Backward for Sent {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let Shared { comm, replicas, .. } = &*self.shared;
        if let Some(received) = self.shared.arrived() {
            let vars = cx.values.vars(self.pooled);
            let mut grads: Vec<_> = vars.iter().map(|&var| cx.grads.take(var).expect("of parameters").0).collect();
            travel::read_gradients(&received, &self.shared.flight().samples, &mut grads.iter_mut().collect::<Vec<_>>());
            vars.iter().zip(grads).for_each(|(&var, grad)| cx.grads.put(var, grad));
        }
        if let Some(replicas) = replicas
            && let Some(sums) = self.shared.or_failed(replicas.wait())
        {
            replicas.add(&sums, comm.rank(), &mut cx);
        }
    }
}

/// Vectors arrive; the backward pass sends their gradients, and those of replicas.
#[derive(Debug)]
struct Received {
    sent: Var,
    looked_up: Option<LookedUp>,
    shared: Arc<Shared>,
}

impl Backward for Received {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let Shared { comm, groups, replicas, .. } = &*self.shared;
        let parts = travel::write_gradients(cx.grad_out, groups);
        self.shared.flight().pending = Some(comm.start_all_to_all("gradients", parts));
        if let Some((replicas, looked_up)) = replicas.as_ref().zip(self.looked_up) {
            replicas.start_sums(comm, &cx, looked_up);
        }
        // So that the backward pass comes to the node that waits for them.
        if let Some((grad, _)) = cx.grads.get(self.sent) {
            grad.copy_from_slice(&[1.0]);
        }
    }
}
