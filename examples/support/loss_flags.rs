//! The flags of the loss, named after the reference's.

use clap::{Args, ValueEnum};
use dlrm::backend::LossKind;
use dlrm::{Error, Result};
use std::str::FromStr;

/// What is made small.
#[derive(Args)]
pub struct LossFlags {
    /// What is made small: binary cross entropy, the mean squared error of the probability, or binary
    /// cross entropy with a weight for each class.
    #[arg(long, value_enum, default_value_t = LossName::Bce)]
    pub loss_function: LossName,
    /// Weights of rows without and with a click, for wbce [default: 1.0-1.0].
    #[arg(long, value_name = "W0-W1")]
    pub loss_weights: Option<ClassWeights>,
    /// Limits probabilities p to between this and 1 - this, in training and testing; 0 does not.
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = threshold)]
    pub loss_threshold: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    Bce,
    Mse,
    Wbce,
}

/// Two weights with a dash between, as the reference writes them.
#[derive(Clone, Copy)]
pub struct ClassWeights([f32; 2]);

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let weight = |w: &str| w.parse::<f32>().ok().filter(|w| w.is_finite() && *w > 0.0);
        let weights = text.split('-').map(weight).collect::<Option<Vec<_>>>();
        match weights.as_deref() {
            Some(&[no_click, click]) => Ok(ClassWeights([no_click, click])),
            _ => Err("expected two numbers above 0 with a dash between, such as 1.0-1.0".into()),
        }
    }
}

/// A flag's limit of probabilities.
fn threshold(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|t| (0.0..0.5).contains(t));
    number.ok_or_else(|| "expected a number from 0 to below 0.5".into())
}

impl LossFlags {
    pub fn kind(&self) -> Result<LossKind> {
        match (self.loss_function, self.loss_weights) {
            (LossName::Bce, None) => Ok(LossKind::BCE),
            (LossName::Mse, None) => Ok(LossKind::Mse),
            (LossName::Wbce, weights) => Ok(LossKind::Bce { class_weights: weights.map_or([1.0; 2], |w| w.0) }),
            (_, Some(_)) => Err(Error::Config("--loss-weights: expected --loss-function wbce beside it".into())),
        }
    }
}
