//! The figures of an evaluation against scikit-learn, and the AUC against its definition.

#![allow(clippy::excessive_precision, reason = "17 digits, as NumPy prints them")]

use dlrm::Stream;
use dlrm::metrics::{AucEstimate, Evaluation, Evaluator, Score, StreamingAuc, auc, average_precision};
use proptest::prelude::*;

struct Case {
    name: &'static str,
    score: Score,
    scores: &'static [f32],
    labels: &'static [f32],
    auc: Option<f64>,
    average_precision: Option<f64>,
    logloss: f64,
    normalized_entropy: Option<f64>,
    accuracy: f64,
    precision_recall_f1: [f64; 3],
    base_rate: f64,
    calibration: Option<f64>,
}

/// scikit-learn 1.9 and NumPy 2.4 in float64: `roc_auc_score(t, s)`, `log_loss(t, p)` with `p`
/// clipped to `[2**-23, 1 - 2**-23]` (for logits the mean of
/// `maximum(s, 0) - t*s + log1p(exp(-abs(s)))`), `accuracy_score(t, round(p))`, `t.mean()`,
/// `p.mean() / t.mean()`, `average_precision_score(t, s)`, `precision_score`, `recall_score` and
/// `f1_score` of `(t, round(p))`, and the log loss over `-r*log(r) - (1-r)*log1p(-r)` with `r = t.mean()`.
const CASES: [Case; 10] = [
    Case {
        name: "ties within and between the classes",
        score: Score::Logit,
        scores: &[0., 0.5, -0.5, 0.5, 0., 2., -3., 0.],
        labels: &[0., 1., 0., 0., 1., 1., 0., 1.],
        auc: Some(0.78125),
        average_precision: Some(0.75),
        logloss: 0.52214848210460874,
        normalized_entropy: Some(0.7533010257400187),
        accuracy: 0.625,
        precision_recall_f1: [2.0 / 3.0, 0.5, 4.0 / 7.0],
        base_rate: 0.5,
        calibration: Some(1.012670570589326),
    },
    Case {
        name: "separated",
        score: Score::Logit,
        scores: &[-2., -1., 1., 2.],
        labels: &[0., 0., 1., 1.],
        auc: Some(1.0),
        average_precision: Some(1.0),
        logloss: 0.22009484928059769,
        normalized_entropy: Some(0.31752974758232216),
        accuracy: 1.0,
        precision_recall_f1: [1.0, 1.0, 1.0],
        base_rate: 0.5,
        calibration: Some(1.0),
    },
    Case {
        name: "the wrong way round",
        score: Score::Logit,
        scores: &[3., 1., -1., -200.],
        labels: &[0., 0., 1., 1.],
        auc: Some(0.0),
        average_precision: Some(0.41666666666666663),
        logloss: 51.41877768165255,
        normalized_entropy: Some(74.18161556989224),
        accuracy: 0.0,
        precision_recall_f1: [0.0, 0.0, 0.0],
        base_rate: 0.5,
        calibration: Some(0.97628706341121663),
    },
    Case {
        name: "all tied at 0.5, which rounds to 0",
        score: Score::Logit,
        scores: &[0., -0., 0.],
        labels: &[1., 0., 0.],
        auc: Some(0.5),
        average_precision: Some(1.0 / 3.0),
        logloss: std::f64::consts::LN_2,
        normalized_entropy: Some(1.0889736868180786),
        accuracy: 2.0 / 3.0,
        precision_recall_f1: [0.0, 0.0, 0.0],
        base_rate: 1.0 / 3.0,
        calibration: Some(1.5),
    },
    Case {
        name: "logits whose probability rounds to 0 or 1",
        score: Score::Logit,
        scores: &[100., -100., 50., -50., 17., 1e-3],
        labels: &[1., 0., 0., 1., 1., 0.],
        auc: Some(2.0 / 3.0),
        average_precision: Some(0.7555555555555555),
        logloss: 16.782274557830512,
        normalized_entropy: Some(24.211704279419102),
        accuracy: 0.5,
        precision_recall_f1: [0.5, 2.0 / 3.0, 4.0 / 7.0],
        base_rate: 0.5,
        calibration: Some(1.1667499861972219),
    },
    Case {
        name: "probabilities, some of them 0 and 1",
        score: Score::Probability,
        scores: &[0., 0.5, 1., 0.25, 0.75, 1., 0., 0.5],
        labels: &[0., 1., 1., 1., 0., 0., 1., 0.],
        auc: Some(0.40625),
        average_precision: Some(0.475),
        logloss: 4.5054567034419684,
        normalized_entropy: Some(6.500000042995665),
        accuracy: 0.375,
        precision_recall_f1: [1.0 / 3.0, 0.25, 2.0 / 7.0],
        base_rate: 0.5,
        calibration: Some(1.0),
    },
    Case {
        name: "a good guess",
        score: Score::Probability,
        scores: &[0.9, 0.2, 0.2],
        labels: &[1., 0., 1.],
        auc: Some(0.75),
        average_precision: Some(0.8333333333333333),
        logloss: 0.64598066490707307,
        normalized_entropy: Some(1.014872405177752),
        accuracy: 2.0 / 3.0,
        precision_recall_f1: [1.0, 0.5, 2.0 / 3.0],
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
        average_precision: None,
        logloss: std::f64::consts::LN_2,
        normalized_entropy: None,
        accuracy: 1.0,
        precision_recall_f1: [0.0, 0.0, 0.0],
        base_rate: 0.0,
        calibration: None,
    },
    Case {
        name: "nothing but clicks",
        score: Score::Probability,
        scores: &[0.5, 0.5],
        labels: &[1., 1.],
        auc: None,
        average_precision: Some(1.0),
        logloss: std::f64::consts::LN_2,
        normalized_entropy: None,
        accuracy: 0.0,
        precision_recall_f1: [0.0, 0.0, 0.0],
        base_rate: 1.0,
        calibration: Some(0.5),
    },
    Case {
        name: "a label between 0 and 1",
        score: Score::Probability,
        scores: &[0.5, 0.5, 0.5],
        labels: &[0., 0.25, 1.],
        auc: None,
        average_precision: None,
        logloss: std::f64::consts::LN_2,
        normalized_entropy: Some(1.0205448364510048),
        accuracy: 1.0 / 3.0,
        precision_recall_f1: [0.0, 0.0, 0.0],
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
        for (got, want) in [got.precision, got.recall, got.f1].into_iter().zip(case.precision_recall_f1) {
            assert_close(case.name, got, want);
        }
        for (got, want) in [
            (got.calibration, case.calibration),
            (got.average_precision, case.average_precision),
            (got.normalized_entropy, case.normalized_entropy),
        ] {
            assert_eq!(got.is_some(), want.is_some(), "{}", case.name);
            got.zip(want).iter().for_each(|&(got, want)| assert_close(case.name, got, want));
        }
    }
}

#[test]
fn nan_and_no_rows_have_no_figures() {
    let nan = evaluate(Score::Logit, &[f32::NAN, 1.0, 0.0], &[0.0, 1.0, 0.0]);
    assert_eq!((nan.auc, nan.logloss.is_nan()), (None, true));
    let empty = serde_json::to_value(evaluate(Score::Logit, &[], &[])).unwrap();
    let want = serde_json::json!({
        "test_rows": 0, "auc": null, "average_precision": null, "logloss": null, "normalized_entropy": null,
        "accuracy": null, "precision": 0.0, "recall": 0.0, "f1": 0.0, "base_rate": null, "calibration": null,
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

/// Precision times the gain in recall, at each distinct score from the highest down; `O(n²)`.
fn average_precision_by_definition(scores: &[f32], labels: &[f32]) -> Option<f64> {
    let mut thresholds = scores.to_vec();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let clicks = labels.iter().filter(|&&label| label == 1.0).count();
    let (mut sum, mut recall_before) = (0.0, 0.0);
    for threshold in thresholds {
        let taken = scores.iter().zip(labels).filter(|&(&score, _)| score >= threshold);
        let hits = taken.clone().filter(|&(_, &label)| label == 1.0).count() as f64;
        let (recall, precision) = (hits / clicks as f64, hits / taken.count() as f64);
        sum += (recall - recall_before) * precision;
        recall_before = recall;
    }
    (clicks > 0).then_some(sum)
}

fn streaming_auc(score: Score, scores: &[f32], labels: &[f32]) -> Option<AucEstimate> {
    let mut streaming = StreamingAuc::new(score);
    streaming.push(scores, labels);
    streaming.finish()
}

/// Whether the exact AUC is where the estimate says, but for a rounding of each.
fn within_bound(estimate: Option<AucEstimate>, exact: Option<f64>) -> bool {
    match (estimate, exact) {
        (Some(AucEstimate { auc, error }), Some(exact)) => (auc - exact).abs() <= error + 1e-15,
        (estimate, exact) => estimate.is_none() && exact.is_none(),
    }
}

/// The bound is met as an equality: all clicks of the one bin lie above its non-clicks.
#[test]
fn the_streaming_auc_s_bound_is_reached() {
    let (scores, labels) = ([1.0001, 1.0, 1.0001, 1.0], [1., 0., 1., 0.]);
    assert_eq!(streaming_auc(Score::Logit, &scores, &labels), Some(AucEstimate { auc: 0.5, error: 0.5 }));
    assert_eq!(auc(&scores, &labels), Some(1.0));
    // Nothing is lost where scores that differ are a bin apart.
    let (scores, labels) = ([0., 0.5, -0.5, 0.5, 0., 2., -3., 0.], [0., 1., 0., 0., 1., 1., 0., 1.]);
    let estimate = streaming_auc(Score::Logit, &scores, &labels).unwrap();
    assert_eq!((estimate.auc, Some(estimate.auc)), (0.78125, auc(&scores, &labels)));
}

#[test]
fn the_streaming_auc_is_near_for_scores_as_models_give_them() {
    for (kind, spread) in [(Score::Logit, 1.5), (Score::Probability, 1.5), (Score::Logit, 0.5)] {
        let mut stream = Stream::native(3);
        let logits: Vec<f64> = (0..50_000).map(|_| -3.0 + spread * stream.normal()).collect();
        let labels: Vec<f32> = logits.iter().map(|x| f32::from(stream.uniform() < 1.0 / (1.0 + (-x).exp()))).collect();
        let of_logit = |&x: &f64| if kind == Score::Logit { x as f32 } else { (1.0 / (1.0 + (-x).exp())) as f32 };
        let scores: Vec<f32> = logits.iter().map(of_logit).collect();
        let (estimate, exact) = (streaming_auc(kind, &scores, &labels), auc(&scores, &labels));
        assert!(within_bound(estimate, exact), "{estimate:?}, exact {exact:?}");
        assert!(estimate.unwrap().error < 1e-3, "{estimate:?}");
    }
}

/// Few distinct scores, so that most pairs tie; signed zeros, infinities and subnormals among them.
fn rows() -> impl Strategy<Value = Vec<(f32, f32)>> {
    let score = prop::sample::select(vec![f32::NEG_INFINITY, -1.5, -1e-40, -0.0, 0.0, 1e-40, 0.25, 1.5, f32::INFINITY]);
    let label = prop::sample::select(vec![0.0, 1.0]);
    prop::collection::vec((score, label), 0..60)
}

/// Scores of which many share a bin and differ, and some lie beyond the last bin.
fn near_rows() -> impl Strategy<Value = Vec<(f32, f32)>> {
    let score = prop_oneof![0.0..0.002f32, -17.0..17.0f32, Just(f32::INFINITY), Just(f32::NEG_INFINITY)];
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
    fn average_precision_is_its_definition(rows in rows()) {
        let (scores, labels): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let (got, want) = (average_precision(&scores, &labels), average_precision_by_definition(&scores, &labels));
        prop_assert_eq!(got.is_some(), want.is_some());
        prop_assert!(got.zip(want).is_none_or(|(got, want)| (got - want).abs() < 1e-14), "{:?}, {:?}", got, want);
    }

    #[test]
    fn the_streaming_auc_is_within_its_bound(rows in near_rows(), cut in 0..60_usize) {
        let (scores, labels): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
        let probabilities: Vec<f32> = scores.iter().map(|&x| 1.0 / (1.0 + (-x).exp())).collect();
        for (kind, scores) in [(Score::Logit, &scores), (Score::Probability, &probabilities)] {
            let whole = streaming_auc(kind, scores, &labels);
            prop_assert!(within_bound(whole, auc(scores, &labels)), "{:?}", whole);
            let cut = cut.min(scores.len());
            let [mut first, mut second] = [(); 2].map(|()| StreamingAuc::new(kind));
            first.push(&scores[..cut], &labels[..cut]);
            second.push(&scores[cut..], &labels[cut..]);
            first.merge(&second);
            prop_assert_eq!(first.finish(), whole);
        }
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
