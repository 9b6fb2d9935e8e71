//! ROC curves and calibration, against cases by hand and the figures that an evaluation has anyway.

use dlrm::Stream;
use dlrm::metrics::{CalibrationBin, Curves, Evaluator, RocPoint, Score};

fn evaluator(score: Score, scores: &[f32], labels: &[f32]) -> Evaluator {
    let mut evaluator = Evaluator::new(score);
    evaluator.push(scores, labels);
    evaluator
}

fn points(curves: &Curves) -> Vec<[f64; 2]> {
    curves.roc.iter().map(|p| [p.false_positive_rate, p.true_positive_rate]).collect()
}

/// The area under straight lines between the points.
fn area(points: &[RocPoint]) -> f64 {
    let trapezoid = |pair: &[RocPoint]| {
        (pair[1].false_positive_rate - pair[0].false_positive_rate)
            * (pair[1].true_positive_rate + pair[0].true_positive_rate)
            / 2.0
    };
    points.windows(2).map(trapezoid).sum()
}

#[test]
fn the_roc_curve_is_that_of_the_hand() {
    // scikit-learn's own example: roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).
    let mut four = evaluator(Score::Probability, &[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0]);
    assert_eq!(points(&four.curves().unwrap()), [[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 1.0], [1.0, 1.0]]);
    // One of two clicks and two of four others share the middle score; -0 and 0 are one score.
    let scores = [3.0, 0.0, -0.0, 0.0, -1.0, -2.0];
    let mut tied = evaluator(Score::Logit, &scores, &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(points(&tied.curves().unwrap()), [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [0.75, 1.0], [1.0, 1.0]]);
    let mut wrong = evaluator(Score::Logit, &[1.0, -1.0], &[0.0, 1.0]);
    assert_eq!(points(&wrong.curves().unwrap()), [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]);
}

#[test]
fn probabilities_are_counted_by_intervals_with_their_lower_ends() {
    let scores = [0.0, 0.01, 0.05, 0.0625, 0.5, 0.5, 0.5, 0.75, 1.0];
    let labels = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
    let curves = evaluator(Score::Probability, &scores, &labels).curves().unwrap();
    let mut expected = [CalibrationBin { rows: 0, prediction: None, click_rate: None }; 20];
    let bin = |rows, prediction, rate| CalibrationBin { rows, prediction: Some(prediction), click_rate: Some(rate) };
    let (first, second) = ([0.0, 0.01_f32].map(f64::from), [0.0625, 0.05_f32].map(f64::from));
    expected[0] = bin(2, (first[1] + first[0]) / 2.0, 0.5);
    expected[1] = bin(2, (second[0] + second[1]) / 2.0, 0.5);
    expected[10] = bin(3, 0.5, 1.0 / 3.0);
    expected[15] = bin(1, 0.75, 1.0);
    expected[19] = bin(1, 1.0, 1.0);
    assert_eq!(curves.calibration, expected);
    // A logit of 0 is a probability of 1/2, and one of -ln 3 is 1/4.
    let curves = evaluator(Score::Logit, &[0.0, -(3_f32.ln())], &[1.0, 0.0]).curves().unwrap();
    let filled: Vec<usize> = (0..20).filter(|&i| curves.calibration[i].rows > 0).collect();
    assert!(filled == [5, 10] || filled == [4, 10], "{filled:?}");
}

#[test]
fn many_rows_have_few_points_near_the_whole_curve() {
    let mut stream = Stream::native(5);
    let n = 200_000;
    let labels: Vec<f32> = (0..n).map(|_| f32::from(stream.uniform() < 0.2)).collect();
    let scores: Vec<f32> = labels.iter().map(|&t| (t * 0.8 + 4.0 * stream.uniform() as f32) - 3.0).collect();
    let mut all = evaluator(Score::Logit, &scores, &labels);
    let curves = all.curves().unwrap();
    assert!(curves.roc.len() <= Curves::ROC_POINTS + 2, "{}", curves.roc.len());
    assert!(curves.roc.len() > Curves::ROC_POINTS / 2, "{}", curves.roc.len());
    assert!(curves.roc.windows(2).all(|pair| {
        pair[0].false_positive_rate <= pair[1].false_positive_rate
            && pair[0].true_positive_rate <= pair[1].true_positive_rate
    }));
    let evaluation = all.finish();
    let auc = evaluation.auc.unwrap();
    assert!((area(&curves.roc) - auc).abs() < 1e-4, "{} {auc}", area(&curves.roc));
    // The bins together are what the evaluation has of all rows.
    let rows: u64 = curves.calibration.iter().map(|bin| bin.rows).sum();
    assert_eq!(rows, n);
    let sum = |of: fn(&CalibrationBin) -> Option<f64>| {
        curves.calibration.iter().filter_map(|bin| Some(of(bin)? * bin.rows as f64)).sum::<f64>() / n as f64
    };
    let (prediction, clicks) = (sum(|bin| bin.prediction), sum(|bin| bin.click_rate));
    assert!((clicks - evaluation.base_rate).abs() < 1e-9);
    assert!((prediction / clicks - evaluation.calibration.unwrap()).abs() < 1e-9);
}

#[test]
fn without_an_auc_there_is_no_curve() {
    assert_eq!(evaluator(Score::Logit, &[1.0, 2.0], &[1.0, 1.0]).curves(), None);
    assert_eq!(evaluator(Score::Logit, &[f32::NAN, 2.0], &[1.0, 0.0]).curves(), None);
    assert_eq!(evaluator(Score::Logit, &[1.0, 2.0], &[0.5, 1.0]).curves(), None);
    assert_eq!(evaluator(Score::Logit, &[], &[]).curves(), None);
}
