//! The model of the paper.

use super::config::DlrmConfig;
use super::cross::LowRankCrossNet;
use super::embedding::Embeddings;
use super::mlp::{Linear, Mlp};
use super::{Model, check_memory};
use crate::backend::Activation;
use crate::batch::Batch;
use crate::error::Result;
use crate::parameters::Parameters;
use crate::random::Stream;
use crate::tape::{Tape, Var};

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
/// of a click is `σ(logit)`; losses take the logit.
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
        let bottom_mlp = (config.dense_features > 0)
            .then(|| Mlp::new(params, "bot_l", config.dense_features, &config.bottom_mlp, Activation::Relu, stream));
        let width = config.interaction_width();
        let cross = config.cross.map(|cross| LowRankCrossNet::new(params, "crossnet", width, cross, stream));
        let top_mlp = Mlp::new(params, "top_l", width, &config.top_mlp, Activation::None, stream);
        Ok(Dlrm { config: config.clone(), bottom_mlp, embeddings, cross, top_mlp })
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
        let x = self.bottom_mlp.as_ref().map(|mlp| {
            let dense = tape.input(&[batch.len(), batch.dense_features], &batch.dense);
            mlp.forward(tape, params, dense)
        });
        let pooled = self.embeddings.as_ref().map(|e| e.forward(tape, params, &batch.sparse));
        let z = match (x, pooled) {
            (x, Some(pooled)) => self.config.interaction.forward(tape, x, pooled),
            (Some(x), None) => x,
            (None, None) => unreachable!("a valid configuration has dense features or tables"),
        };
        let z = self.cross.as_ref().map_or(z, |cross| cross.forward(tape, params, z));
        self.top_mlp.forward_with_dropout(tape, params, z)
    }
}
