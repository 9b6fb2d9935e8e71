//! How good predicted click probabilities are.

mod auc;

use auc::RankedLabels;
pub use auc::auc;
use serde::Serialize;

/// The figures of one evaluation, over all its rows.
///
/// Serialised, `None` and NaN are `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rows evaluated; with none, every mean below is NaN.
    #[serde(rename = "test_rows")]
    pub rows: u64,
    /// Area under the ROC curve: the probability that a click has a higher score than a non-click,
    /// ties counting half (scikit-learn's `roc_auc_score`). `None` if there are only clicks, only
    /// non-clicks, labels between the two, or scores that are NaN.
    pub auc: Option<f64>,
    /// Mean of `-t·ln p - (1-t)·ln(1-p)`, in nats.
    pub logloss: f64,
    /// Share of rows with `round(p) = t`, where 0.5 rounds to 0 as in the reference.
    pub accuracy: f64,
    /// Mean label.
    pub base_rate: f64,
    /// Mean prediction over mean label; `None` if the latter is 0.
    pub calibration: Option<f64>,
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

/// Gathers scores and labels batch after batch; 4 bytes a row.
///
/// The result depends on the rows and their order, not on how they were cut into batches.
#[derive(Debug, Clone)]
pub struct Evaluator {
    score: Score,
    ranked: RankedLabels,
    rows: u64,
    logloss: f64,
    correct: u64,
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
            self.labels += t;
            self.predictions += p;
        }
    }

    /// The figures of all rows pushed. Sorts them by score, `O(n log n)`.
    pub fn finish(self) -> Evaluation {
        let rows = self.rows as f64;
        Evaluation {
            rows: self.rows,
            auc: self.ranked.auc(),
            logloss: self.logloss / rows,
            accuracy: self.correct as f64 / rows,
            base_rate: self.labels / rows,
            calibration: (self.labels > 0.0).then(|| self.predictions / self.labels),
        }
    }
}

/// `1/(1 + e^-x)`.
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
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
