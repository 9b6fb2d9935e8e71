//! The inference test after training: the same model with fewer bits.

use super::columns::print_columns;
use clap::Args;
use clap::builder::PossibleValuesParser;
use dlrm::Result;
use dlrm::backend::{RowFormat, WeightFormat};
use dlrm::data::source::BatchSource;
use dlrm::metrics::Evaluation;
use dlrm::nn::Model;
use dlrm::parameters::Quantization;
use dlrm::train::Trainer;

/// How the trained model is tested once more.
#[derive(Args)]
pub struct QuantizeFlags {
    /// Test the model with tables of so many bits a number, which after training is one more test: 16 is f16, 32 as they
    /// are.
    #[arg(long, value_name = "BITS", default_value = "32", value_parser = PossibleValuesParser::new(["4", "8", "16", "32"]))]
    pub quantize_emb_with_bit: String,
    /// The same of the MLPs' weights.
    #[arg(long, value_name = "BITS", default_value = "32", value_parser = PossibleValuesParser::new(["8", "16", "32"]))]
    pub quantize_mlp_with_bit: String,
}

impl QuantizeFlags {
    /// What the flags ask for, if it is anything.
    pub fn quantization(&self) -> Option<Quantization> {
        let tables = match self.quantize_emb_with_bit.as_str() {
            "4" => Some(RowFormat::Int4),
            "8" => Some(RowFormat::Int8),
            "16" => Some(RowFormat::F16),
            _ => None,
        };
        let weights = match self.quantize_mlp_with_bit.as_str() {
            "8" => Some(WeightFormat::Int8),
            "16" => Some(WeightFormat::F16),
            _ => None,
        };
        let quantization = Quantization { tables, weights };
        (quantization != Quantization::default()).then_some(quantization)
    }

    /// Tests the trained model with fewer bits, if the flags ask for it, and prints what that costs beside
    /// `exact`, the test of the model as it is.
    pub fn test<M: Model>(
        &self,
        trainer: &mut Trainer<M>,
        exact: &Evaluation,
        source: &mut dyn BatchSource,
    ) -> Result<()> {
        let Some(quantization) = self.quantization() else { return Ok(()) };
        let bytes = trainer.params().stored_bytes();
        let quantized = trainer.params().quantized(quantization)?;
        let params = trainer.replace_params(quantized);
        let tested = trainer.evaluate(source);
        let quantized = trainer.replace_params(params);
        let line = |name: String, bytes: usize, e: &Evaluation| {
            let auc = e.auc.map_or("-".into(), |auc| format!("{auc:.5}"));
            vec![name, format!("{:.1}", 1e-6 * bytes as f64), auc, format!("{:.5}", e.logloss)]
        };
        let name = format!("tables {}, MLP {} bits", self.quantize_emb_with_bit, self.quantize_mlp_with_bit);
        let lines = [line("32 bits".into(), bytes, exact), line(name, quantized.stored_bytes(), &tested?)];
        print_columns(&["test", "MB", "AUC", "log loss"], &lines);
        Ok(())
    }
}
