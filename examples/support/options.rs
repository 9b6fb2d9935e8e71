//! The flags of what training does beside the optimizer's rule, and of when it ends early.

use super::loss_flags::LossFlags;
use super::positive;
use clap::{Args, ValueEnum};
use dlrm::train::{OnNan, Stopping, TrainOptions};

#[derive(Args)]
pub struct OptionFlags {
    /// Batches a step: their gradients make that of the mean over all their rows.
    #[arg(long, value_name = "BATCHES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub grad_accum_iter: u64,
    /// Clip the gradient, of all parameters together, to this norm [default: no].
    #[arg(long, value_name = "NORM", value_parser = positive)]
    pub clip_norm: Option<f64>,
    /// L2 regularisation of the rows of tables that a step touches [default: 0].
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    pub l2_embeddings: Option<f64>,
    /// The share of the outputs of the top MLP's hidden layers, or a DCN's deep ones, that a step drops [default: 0].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub dropout: Option<f32>,
    /// Learning rate of embedding tables [default: that of the other parameters].
    #[arg(long, value_name = "LR", value_parser = positive)]
    pub sparse_lr: Option<f64>,
    /// What to do about a step whose loss or gradient is NaN or infinite: stop, or leave it out, up to 10 in a row.
    #[arg(long, value_enum, default_value_t = OnNanName::Stop)]
    pub on_nan: OnNanName,
    /// Stop at a test with an accuracy this high, in parts of 1.
    #[arg(long, value_name = "ACCURACY", value_parser = threshold)]
    pub acc_threshold: Option<f64>,
    /// Stop at a test with an AUC this high.
    #[arg(long, value_name = "AUC", value_parser = threshold)]
    pub auc_threshold: Option<f64>,
    /// Stop after so many tests in a row without a higher AUC than before; the model is that of the best test, whose
    /// parameters are kept in as much memory again.
    #[arg(long, value_name = "TESTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub patience: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum OnNanName {
    Stop,
    Skip,
}

impl OptionFlags {
    pub fn options(&self, seed: u64, loss: &LossFlags) -> TrainOptions {
        TrainOptions {
            accumulate: self.grad_accum_iter,
            clip_norm: self.clip_norm.map(|norm| norm as f32),
            l2_embeddings: self.l2_embeddings.unwrap_or(0.0) as f32,
            dropout: self.dropout.unwrap_or(0.0),
            dropout_seed: seed,
            sparse_lr: self.sparse_lr,
            loss_threshold: loss.loss_threshold,
            on_nan: match self.on_nan {
                OnNanName::Stop => OnNan::Stop,
                OnNanName::Skip => OnNan::Skip,
            },
            stopping: Stopping { accuracy: self.acc_threshold, auc: self.auc_threshold, patience: self.patience },
        }
    }
}

fn share(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|p| (0.0..1.0).contains(p));
    number.ok_or_else(|| "expected a share from 0 to below 1".into())
}

fn threshold(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&p| 0.0 < p && p <= 1.0);
    number.ok_or_else(|| "expected a number above 0 and up to 1".into())
}
