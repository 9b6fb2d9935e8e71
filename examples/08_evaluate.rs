//! What the figures of an evaluation mean, on eight rows. Chapter 10 of the guide; the paper's section 5.1 has accuracy.
//!
//! ```sh
//! cargo run --example 08_evaluate
//! ```

use dlrm::metrics::{Evaluation, Evaluator, Score};

fn main() {
    let clicks = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let models: [(&str, [f32; 8]); 5] = [
        ("knows", [0.9, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]),
        ("one pair in the wrong order", [0.9, 0.5, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1]),
        ("the same order, too high", [0.95, 0.85, 0.8, 0.6, 0.6, 0.6, 0.6, 0.6]),
        ("the base rate for all", [0.25; 8]),
        ("sure, and once wrong", [0.9, 0.999, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]),
    ];
    println!(
        "{:<30}{:>8}{:>10}{:>12}{:>10}{:>12}",
        "a model that", "AUC", "log loss", "normalized", "accuracy", "calibration"
    );
    for (name, probabilities) in models {
        let mut evaluator = Evaluator::new(Score::Probability);
        // Batch after batch; here there are two of them.
        for (probabilities, clicks) in probabilities.chunks(4).zip(clicks.chunks(4)) {
            evaluator.push(probabilities, clicks);
        }
        let e = evaluator.finish();
        let [auc, normalized, calibration] = [e.auc, e.normalized_entropy, e.calibration].map(Option::unwrap);
        let Evaluation { logloss, accuracy, .. } = e;
        println!("{name:<30}{auc:>8.3}{logloss:>10.3}{normalized:>12.3}{accuracy:>10.3}{calibration:>12.2}");
    }
    println!("AUC is about order alone, calibration about the mean alone; the log loss sees both.");
}
