//! What one number does not tell: the ROC curve, and how far probabilities are what they say.

use super::auc::{RankedLabels, score_of};
use super::{Evaluator, Score, sigmoid};

/// A point of the ROC curve: what is found, and what is taken for a click wrongly, if the rows with the highest scores
/// are taken for clicks.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RocPoint {
    /// Of the rows without a click, the share that is taken for clicks.
    pub false_positive_rate: f64,
    /// Of the clicks, the share that is.
    pub true_positive_rate: f64,
}

/// The rows whose probability is in one interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CalibrationBin {
    /// How many there are.
    pub rows: u64,
    /// Their mean probability; `None` if there is no row.
    pub prediction: Option<f64>,
    /// The share of them that are clicks; `None` if there is no row.
    pub click_rate: Option<f64>,
}

/// Curves of an evaluation, in bounded memory.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Curves {
    /// Points of the ROC curve (scikit-learn's `roc_curve`), from `(0, 0)` to `(1, 1)`. Each is exact. Those between
    /// two of them are left out if there are more than [`ROC_POINTS`](Self::ROC_POINTS); they are then at most
    /// `2 / ROC_POINTS` to the right and above, taken together.
    pub roc: Vec<RocPoint>,
    /// The rows by probability, in [`CALIBRATION_BINS`](Self::CALIBRATION_BINS) intervals of the same width from 0 to 1, each
    /// with its lower end (scikit-learn's `calibration_curve`).
    pub calibration: Vec<CalibrationBin>,
}

impl Curves {
    /// Points of the ROC curve at most, besides its ends.
    pub const ROC_POINTS: usize = 256;

    /// Intervals of probabilities.
    pub const CALIBRATION_BINS: usize = 20;
}

impl Evaluator {
    /// The curves of all rows pushed, where there is an [AUC](super::Evaluation::auc). Sorts them by score, `O(n log n)`.
    pub fn curves(&mut self) -> Option<Curves> {
        self.ranked.sort();
        self.ranked.auc()?;
        Some(Curves { roc: roc(&self.ranked), calibration: calibration(&self.ranked, self.score) })
    }
}

fn roc(ranked: &RankedLabels) -> Vec<RocPoint> {
    let RankedLabels { clicks, others, .. } = ranked;
    let (mut click, mut other) = (clicks.len(), others.len());
    let share = |left: usize, all: usize| (all - left) as f64 / all as f64;
    let mut points = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 }];
    // From the highest score down, rows of the same score together.
    while let Some(&score) = clicks[..click].last().max(others[..other].last()) {
        click -= clicks[..click].iter().rev().take_while(|&&key| key == score).count();
        other -= others[..other].iter().rev().take_while(|&&key| key == score).count();
        let point = RocPoint {
            false_positive_rate: share(other, others.len()),
            true_positive_rate: share(click, clicks.len()),
        };
        let last = points[points.len() - 1];
        let way =
            point.false_positive_rate - last.false_positive_rate + point.true_positive_rate - last.true_positive_rate;
        let is_last = click == 0 && other == 0;
        if way * Curves::ROC_POINTS as f64 >= 2.0 || is_last || clicks.len() + others.len() <= Curves::ROC_POINTS {
            points.push(point);
        }
    }
    points
}

fn calibration(ranked: &RankedLabels, kind: Score) -> Vec<CalibrationBin> {
    const BINS: usize = Curves::CALIBRATION_BINS;
    let (mut rows, mut clicks, mut predictions) = ([0; BINS], [0_u64; BINS], [0.0; BINS]);
    let labelled = ranked.clicks.iter().map(|&key| (key, 1)).chain(ranked.others.iter().map(|&key| (key, 0)));
    for (key, click) in labelled {
        let score = f64::from(score_of(key));
        let p = if kind == Score::Logit { sigmoid(score) } else { score };
        let bin = ((p * BINS as f64) as usize).min(BINS - 1);
        rows[bin] += 1;
        clicks[bin] += click;
        predictions[bin] += p;
    }
    let bin = |i: usize| {
        let mean = |sum: f64| (rows[i] > 0).then(|| sum / rows[i] as f64);
        CalibrationBin { rows: rows[i], prediction: mean(predictions[i]), click_rate: mean(clicks[i] as f64) }
    };
    (0..BINS).map(bin).collect()
}
