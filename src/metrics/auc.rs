//! Area under the ROC curve and average precision, exact.
//!
//! ```text
//! AUC = ( #{(i, j): s_i > s_j} + #{(i, j): s_i = s_j} / 2 ) / (P·N),    i a click, j none
//! AP  = Σ_n (R_n - R_{n-1}) · P_n                                        over distinct scores, falling
//! ```
//!
//! AUC is the trapezoid rule over the ROC curve, and Mann and Whitney's U statistic; AP is the step
//! sum below the curve of precision over recall, where `R_n` and `P_n` are recall and precision if the
//! rows with the `n` highest distinct scores are taken for clicks. The scores of clicks and of
//! non-clicks are kept apart, as integers in the same order; both lists are sorted and read side by
//! side. Counts are integers, so the order of rows doesn't matter.

/// Area under the ROC curve of `scores` for `labels` (1 click, 0 none); `None` if there are only
/// clicks, only non-clicks, labels that are neither, or scores that are NaN.
///
/// # Panics
/// If the lengths differ.
pub fn auc(scores: &[f32], labels: &[f32]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "auc: {} scores, {} labels", scores.len(), labels.len());
    let mut ranked = RankedLabels::default();
    scores.iter().zip(labels).for_each(|(&score, &label)| ranked.push(score, label));
    ranked.sort();
    ranked.auc()
}

/// Average precision of `scores` for `labels` (1 click, 0 none), rows of equal score taken together
/// (scikit-learn's `average_precision_score`); `None` if there is no click, labels that are neither,
/// or scores that are NaN.
///
/// # Panics
/// If the lengths differ.
pub fn average_precision(scores: &[f32], labels: &[f32]) -> Option<f64> {
    let (n, m) = (scores.len(), labels.len());
    assert_eq!(n, m, "average_precision: {n} scores, {m} labels");
    let mut ranked = RankedLabels::default();
    scores.iter().zip(labels).for_each(|(&score, &label)| ranked.push(score, label));
    ranked.sort();
    ranked.average_precision()
}

/// Scores as sortable integers, clicks and non-clicks apart.
#[derive(Debug, Clone, Default)]
pub(super) struct RankedLabels {
    pub(super) clicks: Vec<u32>,
    pub(super) others: Vec<u32>,
    /// A NaN, or a label that is neither 0 nor 1: there is no AUC.
    undefined: bool,
}

impl RankedLabels {
    pub(super) fn push(&mut self, score: f32, label: f32) {
        if score.is_nan() {
            self.undefined = true;
        } else if label == 1.0 {
            self.clicks.push(sort_key(score));
        } else if label == 0.0 {
            self.others.push(sort_key(score));
        } else {
            self.undefined = true;
        }
    }

    /// To be called once, after the last row and before the figures.
    pub(super) fn sort(&mut self) {
        self.clicks.sort_unstable();
        self.others.sort_unstable();
    }

    pub(super) fn auc(&self) -> Option<f64> {
        if self.undefined || self.clicks.is_empty() || self.others.is_empty() {
            return None;
        }
        // For each click, the non-clicks below it and those not above it: together twice the
        // pairs won, a tie counting one.
        let (mut below, mut not_above) = (0, 0);
        let mut twice_won: u128 = 0;
        for &click in &self.clicks {
            below += advance(&self.others[below..], |other| other < click);
            not_above += advance(&self.others[not_above..], |other| other <= click);
            twice_won += (below + not_above) as u128;
        }
        let pairs = self.clicks.len() as u128 * self.others.len() as u128;
        Some(twice_won as f64 / (2 * pairs) as f64)
    }

    pub(super) fn average_precision(&self) -> Option<f64> {
        if self.undefined || self.clicks.is_empty() {
            return None;
        }
        // From the highest score down, one run of equal clicks after the other.
        let (mut clicks, mut others) = (self.clicks.len(), self.others.len());
        let (all_clicks, all_others) = (clicks, others);
        let mut sum = 0.0;
        while clicks > 0 {
            let score = self.clicks[clicks - 1];
            let run = self.clicks[..clicks].iter().rev().take_while(|&&key| key == score).count();
            clicks -= run;
            others -= self.others[..others].iter().rev().take_while(|&&key| key >= score).count();
            let (hits, misses) = (all_clicks - clicks, all_others - others);
            sum += run as f64 * (hits as f64 / (hits + misses) as f64);
        }
        Some(sum / all_clicks as f64)
    }
}

/// How many keys at the front are `within`.
fn advance(keys: &[u32], within: impl Fn(u32) -> bool) -> usize {
    keys.iter().take_while(|&&key| within(key)).count()
}

/// The score of a [`sort_key`].
pub(super) fn score_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// An integer that orders as the float does, -0 and 0 being equal; not for NaN.
fn sort_key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits(); // -0 + 0 = 0
    // Negative floats grow with falling magnitude: flip all bits; others go above them.
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}
