//! Whole runs of the reference, loss for loss: its random data, its initial values, its optimizers.
//! `dlrm_s_pytorch.py` printed these losses with NumPy's seed 123; they are met to every digit.

use dlrm::backend::{Cpu, Interaction, LossKind};
use dlrm::data::random::{Distribution, RandomBatches, RandomConfig};
use dlrm::nn::{Dlrm, DlrmConfig, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, Parameters, Stream};
use std::sync::Arc;

/// A command line of the reference; the fields are its flags.
#[derive(Clone)]
struct Run {
    mlp_bot: &'static [usize],
    mlp_top: &'static [usize],
    embedding_size: &'static [usize],
    interaction: Interaction,
    weighted_pooling: Option<WeightedPooling>,
    mini_batch_size: usize,
    data_size: usize,
    epochs: usize,
    num_indices_per_lookup: usize,
    fixed: bool,
    round_targets: bool,
    loss: LossKind,
    rule: UpdateRule,
    policy: LrPolicy,
    debug_mode: bool,
    print_freq: usize,
}

/// The reference's defaults, with batches of 2 and 6 samples.
fn tiny() -> Run {
    Run {
        mlp_bot: &[4, 3, 2],
        mlp_top: &[4, 2, 1],
        embedding_size: &[4, 3, 2],
        interaction: Interaction::Dot,
        weighted_pooling: None,
        mini_batch_size: 2,
        data_size: 6,
        epochs: 1,
        num_indices_per_lookup: 10,
        fixed: false,
        round_targets: false,
        loss: LossKind::Mse,
        rule: UpdateRule::Sgd,
        policy: LrPolicy::constant(0.01),
        debug_mode: false,
        print_freq: 1,
    }
}

/// 20 batches of 32 for four tables, printed at the 10th and the 20th.
fn small() -> Run {
    Run {
        mlp_bot: &[4, 16, 8],
        mlp_top: &[32, 1],
        embedding_size: &[10; 4],
        mini_batch_size: 32,
        data_size: 640,
        num_indices_per_lookup: 4,
        round_targets: true,
        loss: LossKind::BCE,
        policy: LrPolicy::constant(0.3),
        print_freq: 10,
        ..tiny()
    }
}

/// The losses that the reference prints: means over the samples since the last line.
fn losses(run: &Run) -> Vec<String> {
    let dim = run.mlp_bot[run.mlp_bot.len() - 1];
    let config = DlrmConfig {
        dense_features: run.mlp_bot[0],
        embedding_dim: dim,
        bottom_mlp: run.mlp_bot[1..].to_vec(),
        top_mlp: run.mlp_top.to_vec(),
        interaction: run.interaction,
        weighted_pooling: run.weighted_pooling,
        ..DlrmConfig::criteo_kaggle(run.embedding_size.to_vec())
    };
    let mut data = RandomBatches::new(
        RandomConfig {
            dense_features: config.dense_features,
            num_embeddings: config.num_embeddings.clone(),
            num_samples: run.data_size,
            batch_size: run.mini_batch_size,
            num_batches: 0,
            num_indices_per_lookup: run.num_indices_per_lookup,
            fixed: run.fixed,
            distribution: Distribution::Uniform,
            round_targets: run.round_targets,
        },
        Stream::numpy(123),
    )
    .unwrap();
    let mut batch = Batch::default();
    let mut init = Stream::numpy(123);
    if run.debug_mode {
        // The reference dumps all data first, and initialises from what the stream is then.
        data.reset();
        while data.next_batch(&mut batch) {}
        init = data.stream().clone();
    }
    let mut params = Parameters::new(Arc::new(Cpu::new(2)));
    let model = Dlrm::new(&config, &mut params, &mut init).unwrap();
    let mut trainer = Trainer::new(model, params, run.rule, run.policy, run.loss);

    let (mut printed, mut sum, mut samples) = (Vec::new(), 0.0, 0);
    for _ in 0..run.epochs {
        data.reset();
        let mut step = 0;
        while data.next_batch(&mut batch) {
            step += 1;
            sum += f64::from(trainer.step(&batch).unwrap()) * batch.len() as f64;
            samples += batch.len();
            if step % run.print_freq == 0 || step == data.num_batches() {
                printed.push(format!("{:.6}", sum / samples as f64));
                (sum, samples) = (0.0, 0);
            }
        }
    }
    printed
}

#[test]
fn the_reference_s_losses_to_every_printed_digit() {
    let wbce = LossKind::Bce { class_weights: [0.5, 2.0] };
    let lr = LrPolicy::constant;
    let warmup = LrPolicy { warmup_steps: 2, decay_start_step: 2, decay_steps: 2, ..lr(0.01) };
    let large = Run {
        mlp_bot: &[13, 512, 256, 64, 16],
        mlp_top: &[512, 256, 1],
        embedding_size: &[1000; 4],
        mini_batch_size: 128,
        data_size: 256,
        num_indices_per_lookup: 1,
        fixed: true,
        policy: lr(0.1),
        print_freq: 1,
        ..small()
    };
    let cases: [(&str, Run, &str); 16] = [
        ("no arguments", Run { mini_batch_size: 1, data_size: 1, ..tiny() }, "0.083850"),
        ("dot", tiny(), "0.025266 0.180494 0.083240"),
        ("cat", Run { interaction: Interaction::Cat, ..tiny() }, "0.025078 0.195616 0.089025"),
        ("itself", Run { interaction: Interaction::DotItself, ..tiny() }, "0.408605 0.128030 0.366875"),
        (
            "bce",
            Run { loss: LossKind::BCE, round_targets: true, policy: lr(0.1), ..tiny() },
            "0.161806 1.933757 0.963293",
        ),
        ("wbce", Run { loss: wbce, round_targets: true, ..tiny() }, "0.080903 3.795913 1.908521"),
        ("adagrad", Run { rule: UpdateRule::ADAGRAD, policy: lr(0.1), ..tiny() }, "0.025266 0.137483 0.049146"),
        (
            "rwsadagrad",
            Run { rule: UpdateRule::ROW_WISE_ADAGRAD, policy: lr(0.1), ..tiny() },
            "0.025266 0.137293 0.049108",
        ),
        ("warm-up and decay", Run { policy: warmup, ..tiny() }, "0.025266 0.180553 0.083269"),
        (
            "three epochs, last batch smaller, debug mode",
            Run { data_size: 5, epochs: 3, policy: lr(0.1), debug_mode: true, ..tiny() },
            "0.082442 0.013636 0.001983 0.068620 0.011475 0.000386 0.062587 0.010087 0.000010",
        ),
        ("kaggle's MLPs", large, "0.688952 0.693999"),
        ("small", small(), "0.730083 0.701343"),
        (
            "small, learned pooling",
            Run { weighted_pooling: Some(WeightedPooling::Learned), ..small() },
            "0.730077 0.701371",
        ),
        (
            "small, fixed pooling by ones, as without",
            Run { weighted_pooling: Some(WeightedPooling::Fixed), ..small() },
            "0.730083 0.701343",
        ),
        ("small, adagrad", Run { rule: UpdateRule::ADAGRAD, policy: lr(0.05), ..small() }, "0.746694 0.701140"),
        (
            "small, rwsadagrad",
            Run { rule: UpdateRule::ROW_WISE_ADAGRAD, policy: lr(0.05), ..small() },
            "0.748037 0.702427",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, run, expected) in cases {
        let printed = losses(&run).join(" ");
        if printed != expected {
            wrong.push(format!("{name}: {printed}, the reference prints {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
