//! The model that the paper compares itself to.

use super::cross::CrossNet;
use super::embedding::EmbeddingBagCollection;
use super::mlp::{Linear, Mlp};
use super::{Model, check_memory, config};
use crate::backend::{Activation, Pooling};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ops;
use crate::parameters::Parameters;
use crate::random::Stream;
use crate::tape::{Tape, Var};

/// The shape of a [`Dcn`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DcnConfig {
    /// Dense features a sample; none is possible.
    pub dense_features: usize,
    /// Rows of each table; there is at least one.
    pub num_embeddings: Vec<usize>,
    /// The length of a row, `D`.
    pub embedding_dim: usize,
    /// Cross layers.
    pub cross_layers: usize,
    /// Widths of the deep network beside them.
    pub deep_mlp: Vec<usize>,
}

impl DcnConfig {
    /// The baseline of the DLRM paper (section 5.1, figure 5) on Criteo Kaggle rows, with tables of the given sizes: six cross
    /// layers beside a deep network of 512 and 256, rows of 16 numbers.
    pub fn criteo_kaggle(num_embeddings: Vec<usize>) -> Self {
        DcnConfig { dense_features: 13, num_embeddings, embedding_dim: 16, cross_layers: 6, deep_mlp: vec![512, 256] }
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first part that does not, and what it should be.
    pub fn validate(&self) -> Result<()> {
        if self.num_embeddings.is_empty() {
            return Err(Error::Config("a DCN needs embedding tables, and has none".into()));
        }
        config::validate_tables(&self.num_embeddings, self.embedding_dim)?;
        config::validate_size(self.dense_features)?;
        config::validate_layers(self.cross_layers)?;
        config::validate_widths("deep network", &self.deep_mlp)
    }

    /// The width of `x₀`: dense features, and a pooled vector of each table.
    pub fn input_width(&self) -> usize {
        self.dense_features + self.num_embeddings.len() * self.embedding_dim
    }

    /// How many numbers the model learns.
    pub fn num_parameters(&self) -> u64 {
        let n = self.input_width();
        let tables = self.num_embeddings.iter().map(|&rows| (rows as u64).saturating_mul(self.embedding_dim as u64));
        let cross = (2 * self.cross_layers as u64).saturating_mul(n as u64);
        let last = self.combined_width() as u64 + 1;
        tables.chain([cross, config::num_mlp_parameters(n, &self.deep_mlp), last]).fold(0, u64::saturating_add)
    }

    /// The width of what the last layer reads.
    fn combined_width(&self) -> usize {
        let n = self.input_width();
        n + self.deep_mlp.last().copied().unwrap_or(n)
    }
}

/// Deep & Cross (Wang et al. 2017, arXiv 1708.05123): the baseline of the DLRM paper (sections 2.3 and 5.1).
///
/// ```text
///                  logit
///                    │
///              linear layer
///            ┌───────┴────────┐
///      cross network     deep network        ReLU after each layer
///            └───────┬────────┘
///     x₀ = [dense, table 0, …, table T−1]
/// ```
#[derive(Debug, Clone)]
pub struct Dcn {
    config: DcnConfig,
    embeddings: EmbeddingBagCollection,
    cross: CrossNet,
    deep: Mlp,
    last: Linear,
}

impl Dcn {
    /// A model whose parameters are called `emb_l.0.weight`, …, `crossnet.weight.0`, `crossnet.bias.0`, …,
    /// `deep_l.0.weight`, …, `last_l.weight`, `last_l.bias`. Tables and layers have the reference's initial values,
    /// as those of a [`Dlrm`](super::Dlrm), cross layers those of [`CrossNet`].
    ///
    /// # Errors
    /// [`Error::Config`] if `config` is not [valid](DcnConfig::validate), or if the parameters alone need more
    /// memory than there is.
    pub fn new(config: &DcnConfig, params: &mut Parameters, stream: &mut Stream) -> Result<Self> {
        config.validate()?;
        check_memory(config.num_parameters(), params)?;
        let DcnConfig { num_embeddings, embedding_dim, .. } = config;
        let embeddings =
            EmbeddingBagCollection::new(params, num_embeddings, *embedding_dim, Pooling::Sum, None, stream);
        let n = config.input_width();
        let cross = CrossNet::new(params, "crossnet", n, config.cross_layers, stream);
        let deep = Mlp::new(params, "deep_l", n, &config.deep_mlp, Activation::Relu, stream);
        let last = Linear::new(params, "last_l", config.combined_width(), 1, Activation::None, stream);
        Ok(Dcn { config: config.clone(), embeddings, cross, deep, last })
    }

    /// The shape of this model.
    pub fn config(&self) -> &DcnConfig {
        &self.config
    }
}

impl Model for Dcn {
    fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(self.config.dense_features, self.config.num_embeddings.iter().copied())
    }

    fn forward(&self, tape: &mut Tape, params: &Parameters, batch: &Batch) -> Var {
        let pooled = self.embeddings.forward(tape, params, &batch.sparse);
        let x0 = if batch.dense_features > 0 {
            let dense = tape.input(&[batch.len(), batch.dense_features], &batch.dense);
            ops::cat(tape, &[dense, pooled])
        } else {
            ops::cat(tape, &[pooled])
        };
        let crossed = self.cross.forward(tape, params, x0);
        let deep = self.deep.forward_with_dropout(tape, params, x0);
        let combined = ops::cat(tape, &[crossed, deep]);
        self.last.forward(tape, params, combined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::KAGGLE_NUM_EMBEDDINGS;
    use crate::ops::tests::setup;

    #[test]
    fn kaggle_s_is_as_large_as_the_paper_says() {
        let config = DcnConfig::criteo_kaggle(KAGGLE_NUM_EMBEDDINGS.to_vec());
        config.validate().unwrap();
        assert_eq!(config.input_width(), 13 + 26 * 16);
        // 540 million: tables; six cross layers of 2 · 429; 429-512-256; 429 + 256 to 1.
        let layers = 6 * 2 * 429 + (429 + 1) * 512 + (512 + 1) * 256 + (429 + 256 + 1);
        assert_eq!(config.num_parameters(), 540_201_232 + layers);
    }

    #[test]
    fn parameters_are_counted_and_contradictions_named() {
        let small = DcnConfig { deep_mlp: vec![3], ..DcnConfig::criteo_kaggle(vec![5, 7]) };
        for config in [small.clone(), DcnConfig { deep_mlp: vec![], dense_features: 0, ..small.clone() }] {
            let mut params = setup();
            Dcn::new(&config, &mut params, &mut Stream::native(1)).unwrap();
            assert_eq!(params.count() as u64, config.num_parameters());
        }
        let message = |config: DcnConfig| config.validate().unwrap_err().to_string();
        let no_table = DcnConfig { num_embeddings: vec![], ..small.clone() };
        assert_eq!(message(no_table), "a DCN needs embedding tables, and has none");
        let narrow = DcnConfig { deep_mlp: vec![512, 0], ..small };
        assert_eq!(message(narrow), "deep network 512-0: a layer of width 0");
    }
}
