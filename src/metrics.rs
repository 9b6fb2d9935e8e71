//! How good predicted click probabilities are.

mod auc;
mod curves;
mod streaming_auc;

use auc::RankedLabels;
pub use auc::{auc, average_precision};
pub use curves::{CalibrationBin, Curves, RocPoint};
use serde::{Deserialize, Deserializer, Serialize};
pub use streaming_auc::{AucEstimate, StreamingAuc};

/// The figures of one evaluation, over all its rows.
///
/// Serialised, `None` and NaN are `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows evaluated; with none, every mean below is NaN.
    #[serde(rename = "test_rows")]
    pub rows: u64,
    /// Area under the ROC curve: the probability that a click has a higher score than a non-click,
    /// ties counting half (scikit-learn's `roc_auc_score`). `None` if there are only clicks, only
    /// non-clicks, labels between the two, or scores that are NaN.
    pub auc: Option<f64>,
    /// Average precision, `Σ (R_n - R_{n-1}) P_n` over the distinct scores from the highest down
    /// (scikit-learn's `average_precision_score`). `None` if there is no click, or as for the AUC.
    pub average_precision: Option<f64>,
    /// Mean of `-t·ln p - (1-t)·ln(1-p)`, in nats.
    #[serde(deserialize_with = "nan_if_null")]
    pub logloss: f64,
    /// Log loss over that of predicting the base rate `r` for every row,
    /// `-r·ln r - (1-r)·ln(1-r)` (He et al. 2014, equation 1; below 1 is better than that). `None` if
    /// the base rate is 0 or 1.
    pub normalized_entropy: Option<f64>,
    /// Share of rows with `round(p) = t`, where 0.5 rounds to 0 as in the reference.
    #[serde(deserialize_with = "nan_if_null")]
    pub accuracy: f64,
    /// Of the rows with `round(p) = 1`, the share that are clicks; 0 if there is no such row, as in
    /// scikit-learn.
    #[serde(deserialize_with = "nan_if_null")]
    pub precision: f64,
    /// Of the clicks, the share with `round(p) = 1`; 0 if there is no click.
    #[serde(deserialize_with = "nan_if_null")]
    pub recall: f64,
    /// The harmonic mean of precision and recall; 0 if both are.
    #[serde(deserialize_with = "nan_if_null")]
    pub f1: f64,
    /// Mean label.
    #[serde(deserialize_with = "nan_if_null")]
    pub base_rate: f64,
    /// Mean prediction over mean label; `None` if the latter is 0.
    pub calibration: Option<f64>,
}

/// Reads a number that was written as `null` if it was NaN.
pub(crate) fn nan_if_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// What a model's scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// `x`, of which the probability is `p = 1/(1 + e^-x)`. Nothing is lost when `p` would round
    /// to 0 or 1.
    Logit,
    /// `p` in `[0, 1]`; for the log loss alone clipped to `[ε, 1-ε]`, `ε` = 2⁻²³ as
    /// scikit-learn's `log_loss` does for f32.
    Probability,
}

/// Gathers scores and labels batch after batch; 4 bytes a row. [`StreamingAuc`] takes as much memory
/// for any number of rows.
///
/// The result depends on the rows and their order, not on how they were cut into batches.
#[derive(Debug, Clone)]
pub struct Evaluator {
    score: Score,
    ranked: RankedLabels,
    rows: u64,
    logloss: f64,
    correct: u64,
    /// Rows with a label of 1, rows with `round(p) = 1`, and rows with both.
    clicks: u64,
    predicted: u64,
    hits: u64,
    labels: f64,
    predictions: f64,
}

impl Evaluator {
    /// An evaluator of scores of one kind.
    pub fn new(score: Score) -> Self {
        Evaluator {
            score,
            ranked: RankedLabels::default(),
            rows: 0,
            logloss: 0.0,
            correct: 0,
            clicks: 0,
            predicted: 0,
            hits: 0,
            labels: 0.0,
            predictions: 0.0,
        }
    }

    /// Takes a batch: `scores` (`B`) and `labels` (`B`), 1 click, 0 none.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn push(&mut self, scores: &[f32], labels: &[f32]) {
        assert_eq!(scores.len(), labels.len(), "Evaluator::push: {} scores, {} labels", scores.len(), labels.len());
        for (&score, &label) in scores.iter().zip(labels) {
            let (x, t) = (f64::from(score), f64::from(label));
            let (p, loss, click) = match self.score {
                Score::Logit => (sigmoid(x), logloss_of_logit(x, t), x > 0.0),
                Score::Probability => (x, logloss_of_probability(x, t), x > 0.5),
            };
            self.ranked.push(score, label);
            self.rows += 1;
            self.logloss += loss;
            self.correct += u64::from(label == f32::from(u8::from(click)));
            self.clicks += u64::from(label == 1.0);
            self.predicted += u64::from(click);
            self.hits += u64::from(click && label == 1.0);
            self.labels += t;
            self.predictions += p;
        }
    }

    /// The figures of all rows pushed. Sorts them by score, `O(n log n)`.
    pub fn finish(mut self) -> Evaluation {
        let rows = self.rows as f64;
        let (logloss, base_rate) = (self.logloss / rows, self.labels / rows);
        let share = |of: u64, all: u64| if all == 0 { 0.0 } else { of as f64 / all as f64 };
        self.ranked.sort();
        Evaluation {
            rows: self.rows,
            auc: self.ranked.auc(),
            average_precision: self.ranked.average_precision(),
            logloss,
            normalized_entropy: (0.0 < base_rate && base_rate < 1.0).then(|| logloss / entropy(base_rate)),
            accuracy: self.correct as f64 / rows,
            precision: share(self.hits, self.predicted),
            recall: share(self.hits, self.clicks),
            f1: share(2 * self.hits, self.predicted + self.clicks),
            base_rate,
            calibration: (self.labels > 0.0).then(|| self.predictions / self.labels),
        }
    }
}

/// `1/(1 + e^-x)`.
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The log loss of predicting `rate` for rows of which that share are clicks.
fn entropy(rate: f64) -> f64 {
    -rate * rate.ln() - (1.0 - rate) * (-rate).ln_1p()
}

/// `max(x, 0) - t·x + ln(1 + e^-|x|)`: the log loss of `sigmoid(x)` for any finite `x`.
fn logloss_of_logit(x: f64, t: f64) -> f64 {
    x.max(0.0) - t * x + (-x.abs()).exp().ln_1p()
}

/// `-t·ln p - (1-t)·ln(1-p)` with `p` clipped to `[ε, 1-ε]`.
fn logloss_of_probability(p: f64, t: f64) -> f64 {
    const EPSILON: f64 = f32::EPSILON as f64;
    let p = p.clamp(EPSILON, 1.0 - EPSILON);
    -t * p.ln() - (1.0 - t) * (-p).ln_1p()
}
