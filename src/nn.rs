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
