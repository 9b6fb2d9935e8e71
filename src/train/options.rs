//! What training does beside the optimizer's rule, and when it ends early.

use super::guard::OnNan;
use crate::error::{Error, Result};

/// What a [`Trainer`](super::Trainer) does beside the optimizer's rule, and when it ends before its last pass. The
/// default is nothing, and never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainOptions {
    /// Batches a step: the gradients of so many are gathered into that of the mean loss over all their samples, as if
    /// they had been one batch. The last step of a pass has what is left.
    pub accumulate: u64,
    /// Clips the gradient to this norm, taken over dense parameters and touched rows of tables together. See
    /// [`Gradients::clip`](crate::Gradients::clip).
    pub clip_norm: Option<f32>,
    /// L2 regularisation of embeddings: `l2 / 2 · |row|²` in the loss for each row that a step touches, once a step,
    /// and after clipping, as PyTorch's `weight_decay` is.
    pub l2_embeddings: f32,
    /// The share of the outputs of each ReLU in the top MLP, or in a DCN's deep network, that a step drops. See
    /// [`ops::dropout`](crate::ops::dropout).
    pub dropout: f32,
    /// What the masks of dropout depend on, besides the step and the place.
    pub dropout_seed: u64,
    /// Learning rate of embedding tables where it differs from that of dense parameters; it follows the same policy.
    pub sparse_lr: Option<f64>,
    /// Limits every probability `p` to `[t, 1 − t]`, in training and in testing; outside, a sample has no
    /// gradient (the reference's `--loss-threshold`, which clamps `p` in the same places). 0 limits nothing.
    ///
    /// The losses here take the logit `x`, so it is the logit that is clamped, to `±ln((1 − t) / t)`: `σ` rises
    /// and takes that to `t` and `1 − t`, so `σ(clamp(x)) = clamp(σ(x))`, and outside both have derivative 0.
    pub loss_threshold: f64,
    /// What to do about a step whose loss or gradient is NaN or infinite.
    pub on_nan: OnNan,
    /// When to end early.
    pub stopping: Stopping,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            accumulate: 1,
            clip_norm: None,
            l2_embeddings: 0.0,
            dropout: 0.0,
            dropout_seed: 0,
            sparse_lr: None,
            loss_threshold: 0.0,
            on_nan: OnNan::default(),
            stopping: Stopping::default(),
        }
    }
}

impl TrainOptions {
    /// How far from 0 a logit may be.
    pub(super) fn logit_bound(&self) -> Option<f32> {
        let t = self.loss_threshold;
        (t > 0.0).then(|| ((1.0 - t) / t).ln() as f32)
    }

    /// Whether every number is in its range.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first that is not.
    pub fn validate(&self) -> Result<()> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let share = |x: Option<f64>| x.is_none_or(|x| 0.0 < x && x <= 1.0);
        let checks = [
            (self.accumulate > 0, "accumulate: 0 batches a step, expected at least 1".into()),
            (
                self.clip_norm.is_none_or(|norm| positive(norm.into())),
                format!("clip norm: {:?}, expected a number above 0", self.clip_norm),
            ),
            (
                self.l2_embeddings == 0.0 || positive(self.l2_embeddings.into()),
                format!("L2 of embeddings: {}, expected a number from 0 on", self.l2_embeddings),
            ),
            ((0.0..1.0).contains(&self.dropout), format!("dropout: {}, expected a share below 1", self.dropout)),
            (
                self.sparse_lr.is_none_or(positive),
                format!("learning rate of embeddings: {:?}, expected a number above 0", self.sparse_lr),
            ),
            (
                (0.0..0.5).contains(&self.loss_threshold),
                format!("loss threshold: {}, expected at least 0 and below 0.5", self.loss_threshold),
            ),
            (
                share(self.stopping.accuracy) && share(self.stopping.auc),
                format!("{:?}: expected thresholds above 0 and up to 1", self.stopping),
            ),
            (self.stopping.patience != Some(0), "patience: 0 tests, expected at least 1".into()),
        ];
        match checks.into_iter().find(|(good, _)| !good) {
            None => Ok(()),
            Some((_, message)) => Err(Error::Config(message)),
        }
    }
}

/// When a run ends before its last pass; each test of the model asks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stopping {
    /// At an accuracy this high (the reference's `--mlperf-acc-threshold`).
    pub accuracy: Option<f64>,
    /// At an AUC this high (the reference's `--mlperf-auc-threshold`).
    pub auc: Option<f64>,
    /// After so many tests in a row without an AUC above the best so far. The model is then that of the best test:
    /// its parameters are kept in a second copy from then on, and put back when the run ends, early or not.
    pub patience: Option<u64>,
}

/// Why a run ended before its last pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stop {
    /// The accuracy reached its threshold.
    Accuracy {
        /// What was asked for.
        threshold: f64,
    },
    /// The AUC reached its threshold.
    Auc {
        /// What was asked for.
        threshold: f64,
    },
    /// The AUC did not rise any more.
    NoImprovement {
        /// Tests since the best.
        tests: u64,
    },
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Accuracy { threshold } => write!(f, "the accuracy has reached {} %", 100.0 * threshold),
            Stop::Auc { threshold } => write!(f, "the AUC has reached {threshold}"),
            Stop::NoImprovement { tests } => write!(f, "{tests} tests without a higher AUC"),
        }
    }
}
