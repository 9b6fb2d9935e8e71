//! Flags about a model that is kept or was kept.

use super::model_flags::{ModelConfig, ModelFlags};
use super::ranks::{self, Group};
use clap::Args;
use dlrm::backend::Backend;
use dlrm::checkpoint::{self, Checkpoint};
use dlrm::data::source::Samples;
use dlrm::nn::Model;
use dlrm::train::Trainer;
use dlrm::{Batch, Error, Parameters, Result, Stream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args)]
pub struct CheckpointFlags {
    /// A file to write the model to when it has learned: safetensors, with the reference's names.
    #[arg(long, value_name = "FILE")]
    pub save_model: Option<PathBuf>,
    /// Starts with the model of this file, and has its shape.
    #[arg(long, value_name = "FILE")]
    pub load_model: Option<PathBuf>,
    /// Tests the model of --load-model, and trains nothing.
    #[arg(long, requires = "load_model", conflicts_with = "save_model")]
    pub inference_only: bool,
}

impl CheckpointFlags {
    /// What is wrong with the flags is said before any row is read.
    pub fn check(&self, model: &ModelFlags) -> Result<()> {
        if let Some(path) = &self.load_model {
            if let Some(flag) = model.of_shape() {
                return Err(Error::Config(format!(
                    "{flag}: expected no --load-model beside it, whose file has the shape"
                )));
            }
            ModelConfig::of(&Checkpoint::open(path)?)?;
        }
        self.save_model.as_deref().map_or(Ok(()), checkpoint::check_path)
    }

    /// The shape of the model for `rows`: that of the file, if it fits them, or a new one.
    pub fn shape(&self, rows: &dyn Samples, new: impl FnOnce() -> Result<ModelConfig>) -> Result<ModelConfig> {
        let Some(path) = &self.load_model else { return new() };
        let file = Checkpoint::open(path)?;
        let config = ModelConfig::of(&file)?;
        let mut samples = Batch::default();
        rows.fill(&[0], &mut samples)?;
        let [takes, are] = [config.dense_features(), samples.dense_features];
        if takes != are {
            return Err(Error::file(path, format!("takes {takes} dense features, expected {are}, as the data have")));
        }
        fits(path, &config, &rows.num_embeddings())?;
        file.check_vocabulary(rows.vocabulary_checksum())?;
        Ok(config)
    }

    /// A model for `rows`, and its shape: that of the file, or a new one.
    pub fn model(
        &self,
        backend: Arc<dyn Backend>,
        rows: &dyn Samples,
        seed: u64,
        group: Group<'_>,
        new: impl FnOnce() -> Result<ModelConfig>,
    ) -> Result<(ModelConfig, Box<dyn Model>, Parameters)> {
        let Some(path) = &self.load_model else {
            let (config, mut params) = (new()?, Parameters::new(backend));
            let model = ranks::build(&config, group, &mut params, &mut Stream::native(seed))?;
            return Ok((config, model, params));
        };
        let comm = group.0;
        if ranks::is_first(comm) {
            eprintln!("reading {}", path.display());
        }
        let open = || comm.map_or_else(|| Checkpoint::open(path), |comm| Checkpoint::open_on_ranks(path, comm));
        let (config, mut file) = (self.shape(rows, new)?, open()?);
        let (model, params) = file.read(backend, |params, stream| ranks::build(&config, group, params, stream))?;
        Ok((config, model, params))
    }

    /// Keeps a model of this shape that was trained on `rows`.
    pub fn save(&self, config: &ModelConfig, trainer: &Trainer<Box<dyn Model>>, rows: &dyn Samples) -> Result<()> {
        let Some(path) = &self.save_model else { return Ok(()) };
        let (params, shards, vocabulary) = (trainer.params(), trainer.model().shards(), rows.vocabulary_checksum());
        match shards {
            None => checkpoint::save(path, params, config, Some(vocabulary))?,
            Some(shards) => checkpoint::save_sharded(path, params, shards, config, Some(vocabulary))?,
        }
        if ranks::is_first(shards.map(|shards| shards.comm())) {
            eprintln!("the model is in {}", path.display());
        }
        Ok(())
    }
}

/// Whether a model has a row for each id.
pub fn fits(path: &Path, config: &ModelConfig, num_embeddings: &[usize]) -> Result<()> {
    let rows = config.num_embeddings();
    let differs = |message| Err(Error::file(path, message));
    if rows.len() != num_embeddings.len() {
        return differs(format!("{} tables, expected {}, as the data have", rows.len(), num_embeddings.len()));
    }
    match rows.iter().zip(num_embeddings).enumerate().find(|(_, (rows, ids))| rows != ids) {
        Some((t, (rows, ids))) => differs(format!("table {t} has {rows} rows, expected {ids}, as the data have")),
        None => Ok(()),
    }
}
