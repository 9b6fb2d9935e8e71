//! The model of the paper.

use super::config::DlrmConfig;
use super::cross::LowRankCrossNet;
use super::embedding::Embeddings;
use super::mlp::{Linear, Mlp};
use super::{Model, Placement, Shard, ShardedEmbeddings, check_memory};
use crate::backend::Activation;
use crate::batch::Batch;
use crate::comm::Communicator;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::random::Stream;
use crate::tape::{Tape, Var};
use std::sync::Arc;

/// The deep learning recommendation model (paper section 2.2, figure 1):
///
/// ```text
///                 logit
///                   │
///                top MLP
///                   │
///              interaction               (then cross layers, in DCN-v2)
///          ┌────────┼─────────┐
///      bottom MLP  table 0 …  table T−1
///          │        │         │
///        dense     ids   …   ids
/// ```
///
/// The bottom MLP has ReLU after every layer, the top MLP after every layer but the last, as in
/// the reference, and [dropout](crate::ops::dropout) beside it if the tape has any. The probability
/// of a click is `σ(logit)`; losses take the logit. [Chapter 5 of the guide](crate::guide::ch05_whole_model) has one with
/// every number written out.
#[derive(Debug, Clone)]
pub struct Dlrm {
    config: DlrmConfig,
    bottom_mlp: Option<Mlp>,
    embeddings: Option<Embeddings>,
    cross: Option<LowRankCrossNet>,
    top_mlp: Mlp,
}

impl Dlrm {
    /// A model with the reference's initial values and names (`emb_l.0.weight`, `bot_l.0.weight`,
    /// `bot_l.0.bias`, …, `top_l.0.weight`, …), drawn from `stream` in the reference's order:
    /// tables (those of [`CompressedEmbeddings`](super::CompressedEmbeddings) if they are compressed), bottom MLP, top
    /// MLP; cross layers ([`LowRankCrossNet`], called `crossnet`) before the top MLP.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `config` is not [valid](DlrmConfig::validate), or
    /// if the parameters alone need more memory than there is.
    pub fn new(config: &DlrmConfig, params: &mut Parameters, stream: &mut Stream) -> Result<Self> {
        config.validate()?;
        check_memory(config.num_parameters(), params)?;
        let embeddings = (!config.num_embeddings.is_empty()).then(|| Embeddings::new(config, params, stream));
        Ok(Self::around(embeddings, config, params, stream))
    }

    /// The same model as one of several ranks has it (paper section 3): the MLPs, and this rank's
    /// [shards](ShardedEmbeddings) of the tables. Every rank makes it, with the same `config`, `placement` and state of `stream`.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`ShardedEmbeddings::new`]; [`Error::Config`](crate::Error::Config) if tables are
    /// compressed, or pooling weighs rows.
    pub fn sharded(
        config: &DlrmConfig,
        placement: Placement,
        comm: Arc<Communicator>,
        params: &mut Parameters,
        stream: &mut Stream,
    ) -> Result<Self> {
        config.validate()?;
        if config.compression.is_some() || config.weighted_pooling.is_some() {
            return Err(Error::Config(
                "ranks: expected tables that are not compressed and pooling without weights".into(),
            ));
        }
        let DlrmConfig { num_embeddings, pooling, .. } = config;
        let bytes: u64 = placement.of(comm.rank()).map(Shard::bytes).sum();
        check_memory(bytes / 4, params)?;
        let tables = ShardedEmbeddings::new(params, num_embeddings, *pooling, placement, comm, stream)?;
        Ok(Self::around(Some(Embeddings::Sharded(tables)), config, params, stream))
    }

    fn around(
        embeddings: Option<Embeddings>,
        config: &DlrmConfig,
        params: &mut Parameters,
        stream: &mut Stream,
    ) -> Self {
        let bottom_mlp = (config.dense_features > 0)
            .then(|| Mlp::new(params, "bot_l", config.dense_features, &config.bottom_mlp, Activation::Relu, stream));
        let width = config.interaction_width();
        let cross = config.cross.map(|cross| LowRankCrossNet::new(params, "crossnet", width, cross, stream));
        let top_mlp = Mlp::new(params, "top_l", width, &config.top_mlp, Activation::None, stream);
        Dlrm { config: config.clone(), bottom_mlp, embeddings, cross, top_mlp }
    }

    /// The shape of this model.
    pub fn config(&self) -> &DlrmConfig {
        &self.config
    }

    /// The layer that reads the interaction.
    pub(super) fn first_top_layer(&self) -> &Linear {
        &self.top_mlp.layers()[0]
    }
}

impl Model for Dlrm {
    fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(self.config.dense_features, self.config.num_embeddings.iter().copied())
    }

    fn forward(&self, tape: &mut Tape, params: &Parameters, batch: &Batch) -> Var {
        let started = self.embeddings.as_ref().and_then(|e| e.start(tape, params, &batch.sparse));
        let x = self.bottom_mlp.as_ref().map(|mlp| {
            let dense = tape.input(&[batch.len(), batch.dense_features], &batch.dense);
            mlp.forward(tape, params, dense)
        });
        let pooled = self.embeddings.as_ref().map(|e| e.finish(tape, params, &batch.sparse, started));
        let z = match (x, pooled) {
            (x, Some(pooled)) => self.config.interaction.forward(tape, x, pooled),
            (Some(x), None) => x,
            (None, None) => unreachable!("a valid configuration has dense features or tables"),
        };
        let z = self.cross.as_ref().map_or(z, |cross| cross.forward(tape, params, z));
        self.top_mlp.forward_with_dropout(tape, params, z)
    }

    fn shards(&self) -> Option<&ShardedEmbeddings> {
        match &self.embeddings {
            Some(Embeddings::Sharded(tables)) => Some(tables),
            _ => None,
        }
    }
}
