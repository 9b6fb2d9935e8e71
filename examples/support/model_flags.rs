//! The flags of what a model is made of.

use super::compression_flags::CompressionFlags;
use clap::{Args, ValueEnum};
use dlrm::backend::Interaction;
use dlrm::checkpoint::Checkpoint;
use dlrm::nn::{CrossConfig, Dcn, DcnConfig, Dlrm, DlrmConfig, Model};
use dlrm::{Error, Parameters, Result, Stream};
use serde::Serialize;

/// Which model.
#[derive(Args)]
pub struct ModelFlags {
    /// The model: DLRM; the paper's baseline DCN, whose deep network has the top MLP's widths; or DCN-v2
    /// with low rank, cross layers between the vectors side by side and the top MLP.
    #[arg(long, value_enum, default_value_t = ModelName::Dlrm)]
    #[arg(conflicts_with = "load_model")]
    pub model: ModelName,
    /// Cross layers [default: 6 for dcn, 3 for dcn-v2].
    #[arg(long, value_name = "LAYERS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub cross_layers: Option<u32>,
    /// The rank of the cross layers' weights, for dcn-v2 [default: 512].
    #[arg(long, value_name = "RANK", value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    pub cross_rank: Option<u32>,
    #[command(flatten)]
    pub tables: CompressionFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelName {
    Dlrm,
    Dcn,
    DcnV2,
}

/// The shape of one of the models.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ModelConfig {
    Dlrm(DlrmConfig),
    Dcn(DcnConfig),
}

impl ModelFlags {
    /// A flag of the shape that was given, but for `--model`.
    pub fn of_shape(&self) -> Option<&'static str> {
        let cross = [(self.cross_layers.is_some(), "--cross-layers"), (self.cross_rank.is_some(), "--cross-rank")];
        let tables = [(self.tables.qr_flag, "--qr-flag"), (self.tables.md_flag, "--md-flag")];
        cross.into_iter().chain(tables).find_map(|(given, flag)| given.then_some(flag))
    }

    /// The model that the flags make of a DLRM.
    pub fn config(&self, dlrm: DlrmConfig) -> Result<ModelConfig> {
        let unused =
            |flag: &str, models: &str| Err(Error::Config(format!("{flag}: expected --model {models} beside it")));
        if self.cross_rank.is_some() && self.model != ModelName::DcnV2 {
            return unused("--cross-rank", "dcn-v2");
        }
        if self.cross_layers.is_some() && self.model == ModelName::Dlrm {
            return unused("--cross-layers", "dcn or dcn-v2");
        }
        let layers = |default: usize| self.cross_layers.map_or(default, |layers| layers as usize);
        if let Some((flag, of)) = self.tables.unused().next() {
            return Err(Error::Config(format!("{flag}: expected {of} beside it")));
        }
        let dlrm = DlrmConfig { compression: self.tables.compression(), ..dlrm };
        dlrm.validate()?;
        match self.model {
            ModelName::Dlrm => Ok(ModelConfig::Dlrm(dlrm)),
            ModelName::DcnV2 => {
                let default = CrossConfig::default();
                let rank = self.cross_rank.map_or(default.rank, |rank| rank as usize);
                let cross = Some(CrossConfig { layers: layers(default.layers), rank });
                Ok(ModelConfig::Dlrm(DlrmConfig { interaction: Interaction::Cat, cross, ..dlrm }))
            }
            ModelName::Dcn if dlrm.compression.is_some() => unused("--qr-flag, --md-flag", "dlrm or dcn-v2"),
            ModelName::Dcn => {
                let DlrmConfig { dense_features, embedding_dim, mut top_mlp, num_embeddings, .. } = dlrm;
                top_mlp.pop();
                let default = DcnConfig::criteo_kaggle(num_embeddings);
                let cross_layers = layers(default.cross_layers);
                Ok(ModelConfig::Dcn(DcnConfig {
                    dense_features,
                    embedding_dim,
                    cross_layers,
                    deep_mlp: top_mlp,
                    ..default
                }))
            }
        }
    }
}

impl ModelConfig {
    /// The shape of the model in a file, whichever it is.
    pub fn of(file: &Checkpoint) -> Result<ModelConfig> {
        file.config().map(ModelConfig::Dlrm).or_else(|e| file.config().map(ModelConfig::Dcn).map_err(|_| e))
    }

    /// What people call it.
    pub fn title(&self) -> &'static str {
        match self {
            ModelConfig::Dlrm(DlrmConfig { cross: None, .. }) => "DLRM",
            ModelConfig::Dlrm(_) => "DCN-v2",
            ModelConfig::Dcn(_) => "DCN",
        }
    }

    /// Rows of each table.
    pub fn num_embeddings(&self) -> &[usize] {
        match self {
            ModelConfig::Dlrm(config) => &config.num_embeddings,
            ModelConfig::Dcn(config) => &config.num_embeddings,
        }
    }

    /// Dense features a row.
    pub fn dense_features(&self) -> usize {
        match self {
            ModelConfig::Dlrm(config) => config.dense_features,
            ModelConfig::Dcn(config) => config.dense_features,
        }
    }

    pub fn build(&self, params: &mut Parameters, stream: &mut Stream) -> Result<Box<dyn Model>> {
        Ok(match self {
            ModelConfig::Dlrm(config) => Box::new(Dlrm::new(config, params, stream)?),
            ModelConfig::Dcn(config) => Box::new(Dcn::new(config, params, stream)?),
        })
    }
}
