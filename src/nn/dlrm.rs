//! The model of the paper.

use super::Model;
use super::config::DlrmConfig;
use super::embedding::EmbeddingBagCollection;
use super::mlp::Mlp;
use crate::backend::Activation;
use crate::batch::Batch;
use crate::error::{Error, Result};
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
///              interaction
///          ┌────────┼─────────┐
///      bottom MLP  table 0 …  table T−1
///          │        │         │
///        dense     ids   …   ids
/// ```
///
/// The bottom MLP has ReLU after every layer, the top MLP after every layer but the last, as in
/// the reference, and [dropout](crate::ops::dropout) beside it if the tape has any. The probability of a click is `σ(logit)`; losses take the logit.
#[derive(Debug, Clone)]
pub struct Dlrm {
    config: DlrmConfig,
    bottom_mlp: Option<Mlp>,
    embeddings: Option<EmbeddingBagCollection>,
    top_mlp: Mlp,
}

impl Dlrm {
    /// A model with the reference's initial values and names (`emb_l.0.weight`, `bot_l.0.weight`,
    /// `bot_l.0.bias`, …, `top_l.0.weight`, …), drawn from `stream` in the reference's order:
    /// tables, bottom MLP, top MLP.
    ///
    /// # Errors
    /// [`Error::Config`] if `config` is not [valid](DlrmConfig::validate), or
    /// if the parameters alone need more memory than there is.
    pub fn new(config: &DlrmConfig, params: &mut Parameters, stream: &mut Stream) -> Result<Self> {
        config.validate()?;
        check_memory(config, params)?;
        let DlrmConfig { num_embeddings, embedding_dim, pooling, weighted_pooling, .. } = config;
        let embeddings = (!num_embeddings.is_empty()).then(|| {
            EmbeddingBagCollection::new(params, num_embeddings, *embedding_dim, *pooling, *weighted_pooling, stream)
        });
        let bottom_mlp = (config.dense_features > 0)
            .then(|| Mlp::new(params, "bot_l", config.dense_features, &config.bottom_mlp, Activation::Relu, stream));
        let width = config.interaction_width();
        let top_mlp = Mlp::new(params, "top_l", width, &config.top_mlp, Activation::None, stream);
        Ok(Dlrm { config: config.clone(), bottom_mlp, embeddings, top_mlp })
    }

    /// The shape of this model.
    pub fn config(&self) -> &DlrmConfig {
        &self.config
    }
}

fn check_memory(config: &DlrmConfig, params: &Parameters) -> Result<()> {
    let needed = 4.0 * config.num_parameters() as f64;
    match params.backend().available_memory() {
        Some(available) if needed > available as f64 => Err(Error::Config(format!(
            "the model's parameters need {:.1} GB of memory, and {:.1} GB are available",
            1e-9 * needed,
            1e-9 * available as f64
        ))),
        _ => Ok(()),
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
        self.top_mlp.forward_with_dropout(tape, params, z)
    }
}
