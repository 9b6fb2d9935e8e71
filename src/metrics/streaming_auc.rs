//! Area under the ROC curve in bounded memory, with a bound of the error.
//!
//! Scores are counted in bins, clicks and non-clicks apart. Of a pair in different bins it is known
//! which of the two has the higher score; of a pair in the same bin it is not, and it counts half:
//!
//! ```text
//! estimate = ( Σ_b P_b · (N_{<b} + N_b / 2) ) / (P·N)         P_b, N_b clicks and non-clicks in bin b
//! |AUC - estimate| <= ( Σ_b P_b · N_b / 2 ) / (P·N)
//! ```
//!
//! The bound holds for any scores, and is reached when every click of each bin lies above every
//! non-click of it, or below. It is known at the end only: scores that are all alike share a bin, and it
//! is a half. With scores spread as a click model's are, over some units of the logit, a bin has less
//! than a thousandth of them and the bound is below 1e-3.
//!
//! Bins are equally wide in the logit, so that probabilities near 0, which rare clicks have, are told
//! apart as well as those near 0.5: two neighbouring bins differ by 1/2048 in the logit, so by a factor of 1.0005
//! in the odds.

use super::Score;

/// Logits from -16 to 16 have bins of their own, others are counted in the outermost: σ(16) is within
/// 1.2e-7 of 1, the distance from 1 to the next `f32` below it.
const RANGE: f64 = 16.0;

/// 1 MiB of counters.
const BINS: usize = 1 << 16;

/// Gathers scores and labels batch after batch, in 1 MiB for any number of rows. The order of rows and their batches
/// make no difference, and the counts of several can be [added up](Self::merge).
#[derive(Debug, Clone)]
pub struct StreamingAuc {
    score: Score,
    /// Non-clicks and clicks of each bin.
    counts: Vec<[u64; 2]>,
    /// A NaN, or a label that is neither 0 nor 1: there is no AUC.
    undefined: bool,
}

/// What [`StreamingAuc`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucEstimate {
    /// The estimate.
    pub auc: f64,
    /// The exact value lies no further from it.
    pub error: f64,
}

impl StreamingAuc {
    /// No row yet; the scores to come are of one kind.
    pub fn new(score: Score) -> Self {
        StreamingAuc { score, counts: vec![[0; 2]; BINS], undefined: false }
    }

    /// Takes a batch: `scores` (`B`) and `labels` (`B`), 1 click, 0 none.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn push(&mut self, scores: &[f32], labels: &[f32]) {
        let (n, m) = (scores.len(), labels.len());
        assert_eq!(n, m, "StreamingAuc::push: {n} scores, {m} labels");
        for (&score, &label) in scores.iter().zip(labels) {
            if score.is_nan() || (label != 0.0 && label != 1.0) {
                self.undefined = true;
            } else {
                self.counts[bin(self.score, score)][usize::from(label == 1.0)] += 1;
            }
        }
    }

    /// Adds the rows that `other` has counted.
    ///
    /// # Panics
    /// If its scores are of the other kind.
    pub fn merge(&mut self, other: &StreamingAuc) {
        assert_eq!(self.score, other.score, "StreamingAuc::merge: kinds of scores");
        self.undefined |= other.undefined;
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
    }

    /// The estimate, and how far off it can be; `None` where the exact AUC is
    /// [`None`](super::Evaluation::auc).
    pub fn finish(&self) -> Option<AucEstimate> {
        // Products of two counts, so 128 bits.
        let (mut twice_won, mut undecided): (u128, u128) = (0, 0);
        let mut below: [u128; 2] = [0; 2];
        for counts in &self.counts {
            let [others, clicks] = counts.map(u128::from);
            twice_won += clicks * (2 * below[0] + others);
            undecided += clicks * others;
            below = [below[0] + others, below[1] + clicks];
        }
        let pairs = below[0] * below[1];
        (!self.undefined && pairs > 0).then(|| AucEstimate {
            auc: twice_won as f64 / (2 * pairs) as f64,
            error: undecided as f64 / (2 * pairs) as f64,
        })
    }
}

/// The bin of a score; never falls as the score rises.
fn bin(kind: Score, score: f32) -> usize {
    // In f64, whose logarithms of neighbouring f32 differ by far more than their last bit.
    let x = f64::from(score);
    let logit = match kind {
        Score::Logit => x,
        Score::Probability => (x / (1.0 - x)).ln(),
    };
    let at = (logit.clamp(-RANGE, RANGE) + RANGE) * (BINS as f64 / (2.0 * RANGE));
    (at as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_rise_with_the_score_from_the_first_to_the_last() {
        let logits = [f32::NEG_INFINITY, -16.1, -16.0, -15.9, -1.0, -0.001, 0.0, 0.001, 15.999, 16.0, f32::INFINITY];
        let bins = logits.map(|x| bin(Score::Logit, x));
        assert!(bins.is_sorted(), "{bins:?}");
        assert_eq!([bins[0], bins[2], bins[6], bins[9], bins[10]], [0, 0, BINS / 2, BINS - 1, BINS - 1]);
        let probabilities = [0.0, 1e-30, 1e-7, 0.1, 0.5, 0.9, 0.999_999_94, 1.0].map(|p| bin(Score::Probability, p));
        assert!(probabilities.is_sorted(), "{probabilities:?}");
        assert_eq!([probabilities[0], probabilities[4], probabilities[7]], [0, BINS / 2, BINS - 1]);
    }
}
