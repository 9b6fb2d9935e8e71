//! Layers and the models they make (paper section 2).

mod compressed;
mod compression;
mod config;
mod cross;
mod dcn;
mod dlrm;
mod embedding;
mod init;
mod interaction;
mod mlp;
mod sharded;

pub use compressed::CompressedEmbeddings;
pub(crate) use compression::TableShape;
pub use compression::{Compression, QrOperation, md_solver};
pub use config::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS, WeightedPooling};
pub use cross::{CrossConfig, CrossNet, LowRankCrossNet};
pub use dcn::{Dcn, DcnConfig};
pub use dlrm::Dlrm;
pub use embedding::{EmbeddingBag, EmbeddingBagCollection};
pub use mlp::{Linear, Mlp};
pub use sharded::{Placement, PlanOptions, Shard, ShardedEmbeddings, TableLoad};

pub use crate::backend::Interaction;

use crate::batch::Batch;
use crate::error::Result;
use crate::memory::MemoryPlan;
use crate::parameters::Parameters;
use crate::tape::{Tape, Var};

/// A click model: from a batch to one logit a sample. What the trainer and the evaluation need to
/// know of it.
///
/// A model of one's own says two things, and can then be trained and tested as any other:
///
/// ```
/// use dlrm::backend::{Activation, Cpu, Interaction, LossKind, Pooling};
/// use dlrm::nn::{EmbeddingBagCollection, Linear, Model};
/// use dlrm::optim::{UpdateRule, schedule::LrPolicy};
/// use dlrm::train::Trainer;
/// use dlrm::{Batch, JaggedTensor, Parameters, Result, Stream, Tape, Var};
/// use std::sync::Arc;
///
/// /// A linear layer on the dot products of all pairs of rows.
/// struct Pairs {
///     rows: Vec<usize>,
///     tables: EmbeddingBagCollection,
///     last: Linear,
/// }
///
/// impl Model for Pairs {
///     fn check(&self, batch: &Batch) -> Result<()> {
///         batch.check(0, self.rows.iter().copied()) // no dense features
///     }
///
///     fn forward(&self, tape: &mut Tape, params: &Parameters, batch: &Batch) -> Var {
///         let pooled = self.tables.forward(tape, params, &batch.sparse);
///         let pairs = Interaction::Dot.forward(tape, None, pooled);
///         self.last.forward(tape, params, pairs)
///     }
/// }
///
/// let mut params = Parameters::new(Arc::new(Cpu::new(1)));
/// let (mut stream, rows, dim) = (Stream::native(1), vec![3, 5, 2], 4);
/// let tables = EmbeddingBagCollection::new(&mut params, &rows, dim, Pooling::Sum, None, &mut stream);
/// let last = Linear::new(&mut params, "last", 3, 1, Activation::None, &mut stream);
/// let model = Pairs { rows, tables, last };
///
/// let ids = [vec![0, 2], vec![4, 1], vec![1, 1]];
/// let batch = Batch { sparse: ids.map(JaggedTensor::one_per_bag).into(), labels: vec![1.0, 0.0], ..Batch::default() };
/// let mut trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(0.1), LossKind::BCE);
/// let losses = (0..20).map(|_| trainer.step(&batch)).collect::<Result<Vec<f32>>>()?;
/// assert!(losses[19] < losses[0] / 2.0);
/// # Ok::<(), dlrm::Error>(())
/// ```
pub trait Model: Send + Sync {
    /// Whether `batch` fits: numbers of features, ids below their table's rows.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch), with what does not fit.
    fn check(&self, batch: &Batch) -> Result<()>;

    /// The logits of `batch`, `B × 1`.
    ///
    /// # Panics
    /// If the batch does not fit; see [`check`](Self::check).
    fn forward(&self, tape: &mut Tape, params: &Parameters, batch: &Batch) -> Var;

    /// This rank's tables, if the model is one that several ranks train together.
    fn shards(&self) -> Option<&ShardedEmbeddings> {
        None
    }
}

impl<M: Model + ?Sized> Model for Box<M> {
    fn check(&self, batch: &Batch) -> Result<()> {
        (**self).check(batch)
    }

    fn forward(&self, tape: &mut Tape, params: &Parameters, batch: &Batch) -> Var {
        (**self).forward(tape, params, batch)
    }

    fn shards(&self) -> Option<&ShardedEmbeddings> {
        (**self).shards()
    }
}

/// Whether `parameters` numbers fit into the memory that is left; a plan needs none.
fn check_memory(parameters: u64, params: &Parameters) -> Result<()> {
    if params.is_plan() {
        return Ok(());
    }
    let device = params.backend().device_room();
    let plan = MemoryPlan { tables: parameters.saturating_mul(4), device, ..MemoryPlan::default() };
    plan.check("the model's parameters need", params.backend().available_memory())
}
