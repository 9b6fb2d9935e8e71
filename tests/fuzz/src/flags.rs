//! The command line of the examples that train.

#[path = "../../../examples/support/mod.rs"]
mod support;

use clap::Parser;
use support::flags::{Recipe, TrainFlags};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    train: TrainFlags,
}

/// A line of flags, with spaces between: what they ask for, or why they cannot be.
pub fn flags(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(Line { train }) = Line::try_parse_from(std::iter::once("train").chain(text.split(' '))) else { return };
    let recipe = Recipe { hidden: &[512, 256, 64], sgd_lr: 0.1 };
    let _ = (train.loss.kind(), train.rule(), train.order(), train.quantize.quantization());
    let _ = train.options.options(train.seed, &train.loss);
    for rows in [0, 1, u32::MAX as usize] {
        if let Ok(policy) = train.policy(&recipe, rows) {
            assert!([1, 2, u64::MAX].iter().all(|&step| policy.lr(step) >= 0.0), "a rate that is none");
        }
    }
    let _ = train.config(&recipe, vec![1; 26]).and_then(|config| train.model.config(config));
}
