//! Layers and the model they make.

mod config;
mod dlrm;
mod embedding;
mod init;
mod interaction;
mod mlp;

pub use config::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS, WeightedPooling};
pub use dlrm::Dlrm;
pub use embedding::{EmbeddingBag, EmbeddingBagCollection};
pub use mlp::{Linear, Mlp};

pub use crate::backend::Interaction;

use crate::batch::Batch;
use crate::error::Result;
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
}
