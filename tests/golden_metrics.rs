//! The figures of an evaluation against scikit-learn, and the AUC against its definition.

#![allow(clippy::excessive_precision, reason = "17 digits, as NumPy prints them")]

use dlrm::metrics::{Evaluation, Evaluator, Score, auc};
use proptest::prelude::*;

struct Case {
    name: &'static str,
    score: Score,
    scores: &'static [f32],
    labels: &'static [f32],
    auc: Option<f64>,
    logloss: f64,
    accuracy: f64,
    base_rate: f64,
    calibration: Option<f64>,
}

/// scikit-learn 1.9 and NumPy 2.4 in float64: `roc_auc_score(t, s)`, `log_loss(t, p)` with `p`
/// clipped to `[2**-23, 1 - 2**-23]` (for logits the mean of
/// `maximum(s, 0) - t*s + log1p(exp(-abs(s)))`), `accuracy_score(t, round(p))`, `t.mean()`,
/// `p.mean() / t.mean()`.
const CASES: [Case; 10] = [
    Case {
        name: "ties within and between the classes",
        score: Score::Logit,
        scores: &[0., 0.5, -0.5, 0.5, 0., 2., -3., 0.],
        labels: &[0., 1., 0., 0., 1., 1., 0., 1.],
        auc: Some(0.78125),
        logloss: 0.52214848210460874,
        accuracy: 0.625,
        base_rate: 0.5,
        calibration: Some(1.012670570589326),
    },
    Case {
        name: "separated",
        score: Score::Logit,
        scores: &[-2., -1., 1., 2.],
        labels: &[0., 0., 1., 1.],
        auc: Some(1.0),
        logloss: 0.22009484928059769,
        accuracy: 1.0,
        base_rate: 0.5,
        calibration: Some(1.0),
    },
    Case {
        name: "the wrong way round",
        score: Score::Logit,
        scores: &[3., 1., -1., -200.],
        labels: &[0., 0., 1., 1.],
        auc: Some(0.0),
        logloss: 51.41877768165255,
        accuracy: 0.0,
        base_rate: 0.5,
        calibration: Some(0.97628706341121663),
    },
    Case {
        name: "all tied at 0.5, which rounds to 0",
        score: Score::Logit,
        scores: &[0., -0., 0.],
        labels: &[1., 0., 0.],
        auc: Some(0.5),
        logloss: std::f64::consts::LN_2,
        accuracy: 2.0 / 3.0,
        base_rate: 1.0 / 3.0,
        calibration: Some(1.5),
    },
    Case {
        name: "logits whose probability rounds to 0 or 1",
        score: Score::Logit,
        scores: &[100., -100., 50., -50., 17., 1e-3],
        labels: &[1., 0., 0., 1., 1., 0.],
        auc: Some(2.0 / 3.0),
        logloss: 16.782274557830512,
        accuracy: 0.5,
        base_rate: 0.5,
        calibration: Some(1.1667499861972219),
    },
    Case {
        name: "probabilities, some of them 0 and 1",
        score: Score::Probability,
        scores: &[0., 0.5, 1., 0.25, 0.75, 1., 0., 0.5],
        labels: &[0., 1., 1., 1., 0., 0., 1., 0.],
        auc: Some(0.40625),
        logloss: 4.5054567034419684,
        accuracy: 0.375,
        base_rate: 0.5,
        calibration: Some(1.0),
    },
    Case {
        name: "a good guess",
        score: Score::Probability,
        scores: &[0.9, 0.2, 0.2],
        labels: &[1., 0., 1.],
        auc: Some(0.75),
        logloss: 0.64598066490707307,
        accuracy: 2.0 / 3.0,
        base_rate: 2.0 / 3.0,
        calibration: Some(0.64999999105930328),
    },
    // By definition from here on: scikit-learn refuses these.
    Case {
        name: "no click",
        score: Score::Probability,
        scores: &[0.5],
        labels: &[0.],
        auc: None,
        logloss: std::f64::consts::LN_2,
        accuracy: 1.0,
        base_rate: 0.0,
        calibration: None,
    },
    Case {
        name: "nothing but clicks",
        score: Score::Probability,
        scores: &[0.5, 0.5],
        labels: &[1., 1.],
        auc: None,
        logloss: std::f64::consts::LN_2,
        accuracy: 0.0,
        base_rate: 1.0,
        calibration: Some(0.5),
    },
    Case {
        name: "a label between 0 and 1",
        score: Score::Probability,
        scores: &[0.5, 0.5, 0.5],
        labels: &[0., 0.25, 1.],
        auc: None,
        logloss: std::f64::consts::LN_2,
        accuracy: 1.0 / 3.0,
        base_rate: 1.25 / 3.0,
        calibration: Some(1.2),
    },
];

/// 1e-14 relative: sums of a few float64 terms, and the last bit of `exp` and `ln`.
#[track_caller]
fn assert_close(name: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-14 * want.abs(), "{name}: {got:?}, expected {want:?}");
}

fn evaluate(score: Score, scores: &[f32], labels: &[f32]) -> Evaluation {
    let mut evaluator = Evaluator::new(score);
    evaluator.push(scores, labels);
    evaluator.finish()
}

#[test]
fn figures_are_scikit_learns() {
    for case in &CASES {
        let got = evaluate(case.score, case.scores, case.labels);
        assert_eq!(got.rows, case.labels.len() as u64, "{}", case.name);
        assert_eq!(got.auc, case.auc, "{}", case.name);
        assert_close(case.name, got.logloss, case.logloss);
        assert_close(case.name, got.accuracy, case.accuracy);
        assert_close(case.name, got.base_rate, case.base_rate);
        assert_eq!(got.calibration.is_some(), case.calibration.is_some(), "{}", case.name);
        if let (Some(got), Some(want)) = (got.calibration, case.calibration) {
            assert_close(case.name, got, want);
        }
    }
}

#[test]
fn nan_and_no_rows_have_no_figures() {
    let nan = evaluate(Score::Logit, &[f32::NAN, 1.0, 0.0], &[0.0, 1.0, 0.0]);
    assert_eq!((nan.auc, nan.logloss.is_nan()), (None, true));
    let empty = serde_json::to_value(evaluate(Score::Logit, &[], &[])).unwrap();
    let want = serde_json::json!({
        "test_rows": 0, "auc": null, "logloss": null, "accuracy": null, "base_rate": null, "calibration": null,
    });
    assert_eq!(empty, want);
}

/// The share of pairs of a click and a non-click that the click wins, ties half; `O(n²)`.
fn auc_by_definition(scores: &[f32], labels: &[f32]) -> Option<f64> {
    let of = |wanted| scores.iter().zip(labels).filter(move |&(_, &label)| label == wanted).map(|(&score, _)| score);
    let (mut twice_won, mut pairs) = (0, 0);
    for click in of(1.0) {
        for other in of(0.0) {
            twice_won += i32::from(click > other) + i32::from(click >= other);
            pairs += 1;
        }
    }
    (pairs > 0).then(|| f64::from(twice_won) / f64::from(2 * pairs))
}

/// Few distinct scores, so that most pairs tie; signed zeros, infinities and subnormals among them.
fn rows() -> impl Strategy<Value = Vec<(f32, f32)>> {
    let score = prop::sample::select(vec![f32::NEG_INFINITY, -1.5, -1e-40, -0.0, 0.0, 1e-40, 0.25, 1.5, f32::INFINITY]);
    let label = prop::sample::select(vec![0.0, 1.0]);
    prop::collection::vec((score, label), 0..60)
}

proptest! {
    #[test]
    fn auc_is_its_definition(rows in rows()) {
        let (scores, labels): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        prop_assert_eq!(auc(&scores, &labels), auc_by_definition(&scores, &labels));
    }

    #[test]
    fn batches_make_no_difference(rows in rows(), cut in 0..60_usize) {
        let (scores, labels): (Vec<f32>, Vec<f32>) = rows.into_iter().map(|(s, t)| (s.clamp(-3.0, 3.0), t)).unzip();
        let cut = cut.min(scores.len());
        let mut evaluator = Evaluator::new(Score::Logit);
        evaluator.push(&scores[..cut], &labels[..cut]);
        evaluator.push(&scores[cut..], &labels[cut..]);
        // As text: with no row the means are NaN.
        let whole = evaluate(Score::Logit, &scores, &labels);
        prop_assert_eq!(format!("{:?}", evaluator.finish()), format!("{whole:?}"));
    }
}
