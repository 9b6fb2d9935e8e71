//! Models to files and from them, and with fewer bits.

use crate::support::quantize::QuantizeFlags;
use clap::Args;
use dlrm::backend::Backend;
use dlrm::checkpoint::{self, Checkpoint};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::onnx::{self, Bags};
use dlrm::train::Trainer;
use dlrm::{Error, Parameters, Result, Stream};
use std::path::Path;
use std::sync::Arc;

/// The file of --save-onnx, as the reference calls it.
const ONNX: &str = "dlrm_s_pytorch.onnx";

#[derive(Args)]
pub struct KeptFlags {
    /// A file to write the model to after training: safetensors with the reference's names, which
    /// convert_checkpoint.py turns into what the reference reads.
    #[arg(long, value_name = "FILE")]
    save_model: Option<String>,
    /// Start with the model of this file, of the shape of the flags.
    #[arg(long, value_name = "FILE")]
    load_model: Option<String>,
    /// Write the model as dlrm_s_pytorch.onnx in the end.
    #[arg(long)]
    save_onnx: bool,
    #[command(flatten)]
    quantize: QuantizeFlags,
}

/// A path, unless it is empty, the reference's default.
fn given(path: &Option<String>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.is_empty()).map(Path::new)
}

impl KeptFlags {
    /// What is wrong with the flags is said before any work is done.
    pub fn check(&self) -> Result<()> {
        given(&self.save_model).map_or(Ok(()), checkpoint::check_path)?;
        if self.save_onnx { checkpoint::check_path(Path::new(ONNX)) } else { Ok(()) }
    }

    /// The model with its parameters: those of the file, or initial values from `stream`.
    pub fn model(
        &self,
        config: &DlrmConfig,
        backend: Arc<dyn Backend>,
        stream: &mut Stream,
    ) -> Result<(Dlrm, Parameters)> {
        let Some(path) = given(&self.load_model) else {
            let mut params = Parameters::new(backend);
            let model = Dlrm::new(config, &mut params, stream)?;
            return Ok((model, params));
        };
        let mut file = Checkpoint::open(path)?;
        if file.config::<DlrmConfig>()? != *config {
            return Err(Error::file(path, "a model of another shape, expected that of the flags"));
        }
        file.read(backend, |params, stream| Dlrm::new(config, params, stream))
    }

    /// `test` of the model, with fewer bits if the flags say so.
    pub fn test<T>(
        &self,
        trainer: &mut Trainer<Dlrm>,
        test: impl FnOnce(&mut Trainer<Dlrm>) -> Result<T>,
    ) -> Result<T> {
        let Some(quantization) = self.quantize.quantization() else { return test(trainer) };
        let fewer_bits = trainer.params().quantized(quantization)?;
        let params = trainer.replace_params(fewer_bits);
        let result = test(trainer);
        trainer.replace_params(params);
        result
    }

    /// Keeps the model at the end of a run.
    pub fn keep(&self, trainer: &Trainer<Dlrm>, trained: bool) -> Result<()> {
        let (model, params) = (trainer.model(), trainer.params());
        if let Some(path) = given(&self.save_model).filter(|_| trained) {
            checkpoint::save(path, params, model.config(), None)?;
        }
        if self.save_onnx { onnx::export(Path::new(ONNX), model, params, Bags::Lists, false) } else { Ok(()) }
    }

    /// Lines about what does nothing, as in the reference.
    pub fn notes(&self, inference_only: bool) -> Option<String> {
        let (quantized, saved) = (self.quantize.quantization().is_some(), given(&self.save_model).is_some());
        match inference_only {
            false if quantized => Some("--quantize-*-with-bit: no effect without --inference-only".into()),
            true if saved => Some("--save-model: no effect with --inference-only".into()),
            _ => None,
        }
    }
}
