//! What a DLRM looks like.

use super::compression::Compression;
use super::cross::CrossConfig;
use crate::backend::{Interaction, Pooling};
use crate::error::{Error, Result};

/// Rows of the 26 tables of the Criteo Kaggle set: how many ids each column has
/// (33,762,577 in all, 540 million numbers at `D = 16`, as in the paper's section 5.1).
pub const KAGGLE_NUM_EMBEDDINGS: [usize; 26] = [
    1460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5683, 8_351_593, 3194, 27, 14_992, 5_461_306,
    10, 5652, 2173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572,
];

/// The reference's `--weighted-pooling`: a weight for each row of a table, at first 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightedPooling {
    /// The weights stay as they are.
    Fixed,
    /// The weights are learned.
    Learned,
}

/// Wider than any layer that memory holds the weights of; sizes made of such widths fit their types.
const MAX_WIDTH: usize = 1 << 24;

/// More cross layers than anybody has.
const MAX_LAYERS: usize = 1000;

/// [`Pooling`] as text: the kernels' crate knows no serde.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(remote = "Pooling", rename_all = "kebab-case")]
enum PoolingName {
    Sum,
    Mean,
}

/// The shape of a [`Dlrm`](super::Dlrm).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DlrmConfig {
    /// Dense features a sample; none is possible.
    pub dense_features: usize,
    /// Rows of each table; no table is possible.
    pub num_embeddings: Vec<usize>,
    /// The length of a row, `D`.
    pub embedding_dim: usize,
    /// Widths of the bottom MLP's layers, after the dense features; the last is `D`. Empty if
    /// there are no dense features.
    pub bottom_mlp: Vec<usize>,
    /// Widths of the top MLP's layers, after the interaction; the last is 1, the logit.
    pub top_mlp: Vec<usize>,
    /// How the vectors meet.
    pub interaction: Interaction,
    /// How a bag becomes a vector.
    #[serde(with = "PoolingName")]
    pub pooling: Pooling,
    /// Whether pooling weighs each row.
    pub weighted_pooling: Option<WeightedPooling>,
    /// Cross layers between interaction and top MLP. With [`Interaction::Cat`] the model is DCN-v2 as TorchRec and
    /// MLPerf have it (`DLRM_DCN`).
    pub cross: Option<CrossConfig>,
    /// What stands for large tables, if they are not kept whole; not beside weighted pooling.
    pub compression: Option<Compression>,
}

impl DlrmConfig {
    /// The reference's model for Criteo Kaggle rows (`bench/dlrm_s_criteo_kaggle.sh`; paper
    /// section 5.1, figure 5), with tables of the given sizes: 13-512-256-64-16, top 512-256-1.
    pub fn criteo_kaggle(num_embeddings: Vec<usize>) -> Self {
        DlrmConfig {
            dense_features: 13,
            num_embeddings,
            embedding_dim: 16,
            bottom_mlp: vec![512, 256, 64, 16],
            top_mlp: vec![512, 256, 1],
            interaction: Interaction::Dot,
            pooling: Pooling::Sum,
            weighted_pooling: None,
            cross: None,
            compression: None,
        }
    }

    /// MLPerf training's DLRM-DCNv2 (`recommendation_v2`, on TorchRec), with tables of the given sizes:
    /// 13-512-256-128, cross layers on all vectors side by side, 1024-1024-512-256-1. Initial values are this
    /// crate's, not TorchRec's, but for the cross layers.
    pub fn mlperf_dcn_v2(num_embeddings: Vec<usize>) -> Self {
        DlrmConfig {
            embedding_dim: 128,
            bottom_mlp: vec![512, 256, 128],
            top_mlp: vec![1024, 1024, 512, 256, 1],
            interaction: Interaction::Cat,
            cross: Some(CrossConfig::default()),
            ..DlrmConfig::criteo_kaggle(num_embeddings)
        }
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first part that does not, and what it should be.
    pub fn validate(&self) -> Result<()> {
        let bad = |m: String| Err(Error::Config(m));
        if self.dense_features == 0 && self.num_embeddings.is_empty() {
            return bad("a model needs dense features or embedding tables, and has neither".into());
        }
        validate_tables(&self.num_embeddings, self.embedding_dim)?;
        validate_size(self.dense_features)?;
        if let Some(compression) = self.compression {
            compression.validate(self.embedding_dim)?;
            if self.weighted_pooling.is_some() {
                return bad("weighted pooling: expected tables that are not compressed".into());
            }
        }
        validate_widths("bottom MLP", &self.bottom_mlp)?;
        validate_widths("top MLP", &self.top_mlp)?;
        if let Some(cross @ (CrossConfig { layers: 0, .. } | CrossConfig { rank: 0, .. })) = self.cross {
            return bad(format!("{} cross layers of rank {}, expected at least 1 of each", cross.layers, cross.rank));
        }
        if let Some(cross) = self.cross {
            validate_size(cross.rank)?;
            validate_layers(cross.layers)?;
        }
        self.validate_bottom()?;
        match self.top_mlp.last() {
            Some(1) => Ok(()),
            _ => bad(format!("top MLP {}: the last width is expected to be 1, the logit", dashed(&self.top_mlp))),
        }
    }

    fn validate_bottom(&self) -> Result<()> {
        if self.dense_features == 0 {
            return match self.bottom_mlp.is_empty() {
                true => Ok(()),
                false => Err(Error::Config("a bottom MLP, but no dense features to put into it".into())),
            };
        }
        let out = self.bottom_mlp.last().copied().unwrap_or(self.dense_features);
        if out == self.embedding_dim || self.num_embeddings.is_empty() {
            return Ok(());
        }
        Err(Error::Config(format!(
            "bottom MLP {}: the last width, {out}, is expected to be the embedding dim, {}",
            dashed(&self.bottom_mlp),
            self.embedding_dim
        )))
    }

    /// How many numbers the model learns.
    pub fn num_parameters(&self) -> u64 {
        let dim = self.embedding_dim;
        let tables = match self.compression {
            None => {
                let row = dim as u64 + u64::from(self.weighted_pooling.is_some());
                let tables = self.num_embeddings.iter().map(|&n| (n as u64).saturating_mul(row));
                tables.fold(0, u64::saturating_add)
            }
            Some(compression) => {
                let shapes = compression.shapes(&self.num_embeddings, dim).into_iter();
                let tables = shapes.zip(&self.num_embeddings).map(|(shape, &rows)| shape.num_parameters(rows, dim));
                tables.fold(0, u64::saturating_add)
            }
        };
        let width = self.interaction_width();
        let cross = self.cross.map_or(0, |cross| cross.num_parameters(width));
        let mlps = [(self.dense_features, &self.bottom_mlp), (width, &self.top_mlp)];
        let mlps = mlps.into_iter().map(|(input, widths)| num_mlp_parameters(input, widths));
        mlps.fold(tables.saturating_add(cross), u64::saturating_add)
    }

    /// The width of the top MLP's input.
    pub fn interaction_width(&self) -> usize {
        match self.num_embeddings.len() {
            0 => self.bottom_mlp.last().copied().unwrap_or(self.dense_features),
            tables => self.interaction.width(self.dense_features > 0, tables, self.embedding_dim),
        }
    }
}

/// Whether tables of such sizes are possible.
pub(super) fn validate_tables(num_embeddings: &[usize], embedding_dim: usize) -> Result<()> {
    if embedding_dim == 0 {
        return Err(Error::Config("embedding dim: 0, expected at least 1".into()));
    }
    validate_size(embedding_dim)?;
    match num_embeddings.iter().position(|&n| n == 0 || u32::try_from(n - 1).is_err()) {
        Some(t) => Err(Error::Config(format!("table {t}: {} rows, expected 1 to {}", num_embeddings[t], 1u64 << 32))),
        None => Ok(()),
    }
}

/// Whether every layer of the MLP called `name` has a width.
pub(super) fn validate_widths(name: &str, widths: &[usize]) -> Result<()> {
    match widths.contains(&0) {
        true => Err(Error::Config(format!("{name} {}: a layer of width 0", dashed(widths)))),
        false => widths.iter().try_for_each(|&width| validate_size(width)),
    }
}

/// Whether there could be such a width.
pub(super) fn validate_size(width: usize) -> Result<()> {
    match width > MAX_WIDTH {
        true => Err(Error::Config(format!("{width} numbers side by side, expected at most {MAX_WIDTH}"))),
        false => Ok(()),
    }
}

/// Whether there could be so many cross layers: their number is all that a configuration says of them, and each takes
/// memory, however narrow.
pub(super) fn validate_layers(layers: usize) -> Result<()> {
    match layers > MAX_LAYERS {
        true => Err(Error::Config(format!("{layers} cross layers, expected at most {MAX_LAYERS}"))),
        false => Ok(()),
    }
}

/// How many numbers layers of `widths` learn after an input of `input`.
pub(super) fn num_mlp_parameters(input: usize, widths: &[usize]) -> u64 {
    let sizes =
        std::iter::once(&input).chain(widths).zip(widths).map(|(&k, &n)| (k as u64 + 1).saturating_mul(n as u64));
    sizes.fold(0, u64::saturating_add)
}

/// Widths as the reference writes them: `512-256-1`.
fn dashed(widths: &[usize]) -> String {
    widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::QrOperation;

    #[test]
    fn kaggle_is_valid_and_as_large_as_the_paper_says() {
        let config = DlrmConfig::criteo_kaggle(KAGGLE_NUM_EMBEDDINGS.to_vec());
        config.validate().unwrap();
        assert_eq!(config.interaction_width(), 367);
        assert_eq!(KAGGLE_NUM_EMBEDDINGS.iter().sum::<usize>() * 16, 540_201_232);
        // Bottom and top MLP, as PyTorch counts the reference's.
        assert_eq!(config.num_parameters(), 540_201_232 + 155_984 + 320_001);
    }

    #[test]
    fn mlperf_s_dcn_v2_is_valid_and_its_cross_layers_are_counted() {
        let config = DlrmConfig::mlperf_dcn_v2(vec![10; 26]);
        config.validate().unwrap();
        assert_eq!(config.interaction_width(), 3456);
        let without = DlrmConfig { cross: None, ..config.clone() };
        assert_eq!(config.num_parameters() - without.num_parameters(), 3 * (2 * 512 + 1) * 3456);
    }

    #[test]
    fn contradictions_are_named() {
        let base = DlrmConfig::criteo_kaggle(vec![10, 20]);
        type Change = fn(&mut DlrmConfig);
        let cases: [(Change, &str); 13] = [
            (|c| c.embedding_dim = 0, "embedding dim: 0, expected at least 1"),
            (|c| c.num_embeddings[1] = 0, "table 1: 0 rows, expected 1 to 4294967296"),
            (|c| c.bottom_mlp[1] = 0, "bottom MLP 512-0-64-16: a layer of width 0"),
            (
                |c| c.embedding_dim = 32,
                "bottom MLP 512-256-64-16: the last width, 16, is expected to be the embedding dim, 32",
            ),
            (|c| c.bottom_mlp.clear(), "bottom MLP : the last width, 13, is expected to be the embedding dim, 16"),
            (|c| c.dense_features = 0, "a bottom MLP, but no dense features to put into it"),
            (|c| c.top_mlp = vec![512, 2], "top MLP 512-2: the last width is expected to be 1, the logit"),
            (|c| c.top_mlp.clear(), "top MLP : the last width is expected to be 1, the logit"),
            (
                |c| c.cross = Some(CrossConfig { layers: 2, rank: 0 }),
                "2 cross layers of rank 0, expected at least 1 of each",
            ),
            (|c| c.cross = Some(CrossConfig { layers: 1001, rank: 1 }), "1001 cross layers, expected at most 1000"),
            (
                |c| {
                    let operation = QrOperation::Mult;
                    c.compression = Some(Compression::QuotientRemainder { threshold: 15, collisions: 0, operation });
                },
                "qr collisions: 0, expected at least 1",
            ),
            (
                |c| {
                    c.compression =
                        Some(Compression::MixedDimension { threshold: 15, temperature: 0.3, round_dims: false });
                    c.weighted_pooling = Some(WeightedPooling::Fixed);
                },
                "weighted pooling: expected tables that are not compressed",
            ),
            (
                |c| (c.dense_features, c.num_embeddings) = (0, vec![]),
                "a model needs dense features or embedding tables, and has neither",
            ),
        ];
        for (change, message) in cases {
            let mut config = base.clone();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), message);
        }
    }
}
