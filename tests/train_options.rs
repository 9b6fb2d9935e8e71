//! What training does beside the optimizer's rule, each against what it is said to be.

use dlrm::backend::{Cpu, LossKind};
use dlrm::nn::{Dlrm, DlrmConfig, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, JaggedTensor, Parameters, Stream};
use std::sync::Arc;

const LR: f32 = 0.5;

fn config() -> DlrmConfig {
    DlrmConfig {
        dense_features: 3,
        embedding_dim: 4,
        bottom_mlp: vec![8, 4],
        top_mlp: vec![32, 16, 1],
        ..DlrmConfig::criteo_kaggle(vec![50, 7, 3])
    }
}

/// `b` samples with up to four ids a bag, some of them twice.
fn batch(b: usize, seed: u64) -> Batch {
    let (config, mut stream) = (config(), Stream::native(seed));
    let mut list = |rows: usize| {
        let mut list = JaggedTensor::default();
        for i in 0..b {
            let ids = [0; 4].map(|_| (stream.uniform() * rows as f64) as u32);
            list.push_bag(&[ids[0], ids[1], ids[0], ids[2]][..i % 5]);
        }
        list
    };
    let sparse = config.num_embeddings.iter().map(|&rows| list(rows)).collect();
    let dense = (0..b * config.dense_features).map(|_| stream.uniform() as f32).collect();
    let labels = (0..b).map(|_| f32::from(stream.uniform() < 0.3)).collect();
    Batch { dense, dense_features: config.dense_features, sparse, labels }
}

/// Samples `range` of `batch`.
fn part(batch: &Batch, range: std::ops::Range<usize>) -> Batch {
    let list = |all: &JaggedTensor| {
        let mut list = JaggedTensor::default();
        range.clone().for_each(|b| list.push_bag(all.bag(b)));
        list
    };
    let d = batch.dense_features;
    Batch {
        dense: batch.dense[range.start * d..range.end * d].to_vec(),
        dense_features: d,
        sparse: batch.sparse.iter().map(list).collect(),
        labels: batch.labels[range.clone()].to_vec(),
    }
}

fn model(config: &DlrmConfig) -> (Dlrm, Parameters) {
    let mut params = Parameters::new(Arc::new(Cpu::new(2)));
    let model = Dlrm::new(config, &mut params, &mut Stream::native(8)).unwrap();
    (model, params)
}

fn trainer(config: &DlrmConfig, rule: UpdateRule, options: TrainOptions) -> Trainer<Dlrm> {
    let (model, params) = model(config);
    let policy = LrPolicy::constant(LR.into());
    Trainer::new(model, params, rule, policy, LossKind::BCE).with_options(options).unwrap()
}

/// Every parameter: dense ones, then tables.
fn values(params: &Parameters) -> Vec<Vec<f32>> {
    let dense = params.dense().iter().map(|p| p.value().as_slice().to_vec());
    dense.chain(params.tables().iter().map(|t| t.values().to_vec())).collect()
}

/// What one step of SGD takes away from every parameter.
fn sgd_step(options: TrainOptions, batch: &Batch) -> Vec<Vec<f32>> {
    let mut trainer = trainer(&config(), UpdateRule::Sgd, options);
    let before = values(trainer.params());
    trainer.step(batch).unwrap();
    let minus = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(b).map(|(a, b)| a - b).collect();
    before.into_iter().zip(values(trainer.params())).map(|(a, b)| minus(a, b)).collect()
}

/// The gradient of the mean loss of `batch`, to the last bits of the parameters: what plain SGD goes by, which is
/// checked elsewhere. Zero in rows of tables that are not touched.
fn gradient(batch: &Batch) -> Vec<Vec<f32>> {
    let steps = sgd_step(TrainOptions::default(), batch);
    steps.into_iter().map(|step| step.into_iter().map(|step| step / LR).collect()).collect()
}

/// Equal but for a few roundings of numbers as large as parameters are.
#[track_caller]
fn assert_near(what: &str, got: &[Vec<f32>], want: &[Vec<f32>], tolerance: f32) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        for (e, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= tolerance, "{what}: parameter {i}, element {e}: {g}, expected {w}");
        }
    }
}

fn norm(all: &[Vec<f32>]) -> f64 {
    all.iter().flatten().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn several_small_batches_are_one_large_batch() {
    let weighted = DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..config() };
    let all = batch(97, 1);
    // Masks of dropout go by the place in the whole batch.
    for (config, dropout) in [(config(), 0.0), (config(), 0.4), (weighted, 0.0)] {
        for (rule, tolerance) in [(UpdateRule::Sgd, 1e-5), (UpdateRule::Adagrad { eps: 1e-2 }, 1e-4)] {
            let options = TrainOptions { dropout, ..TrainOptions::default() };
            let mut whole = trainer(&config, rule, options);
            let mut parts = trainer(&config, rule, TrainOptions { accumulate: 4, ..options });
            for step in 1..=3 {
                let loss = whole.step(&all).unwrap();
                let ranges = [0..30, 30..60, 60..90, 90..97];
                let losses = ranges.clone().map(|r| parts.step(&part(&all, r)).unwrap());
                let mean: f32 = losses.iter().zip(&ranges).map(|(l, r)| l * r.len() as f32 / 97.0).sum();
                assert!((loss - mean).abs() < 1e-5, "{loss} and {mean}");
                assert_eq!(parts.steps(), step, "an update for four batches");
                let what = format!("{rule:?}, dropout {dropout}, step {step}");
                assert_near(&what, &values(parts.params()), &values(whole.params()), tolerance);
            }
        }
    }
}

#[test]
fn a_gradient_too_long_is_clipped_and_a_short_one_is_not() {
    let batch = batch(60, 2);
    let gradient = gradient(&batch);
    let norm = norm(&gradient);
    for share in [0.1, 0.999, 1.001, 50.0] {
        let options = TrainOptions { clip_norm: Some((share * norm) as f32), ..TrainOptions::default() };
        let scale = LR * share.min(1.0) as f32;
        let want: Vec<Vec<f32>> = gradient.iter().map(|g| g.iter().map(|g| scale * g).collect()).collect();
        assert_near(&format!("{share} of the norm"), &sgd_step(options, &batch), &want, 3e-7);
    }
    // What is not clipped has the same bits as without.
    let loose = TrainOptions { clip_norm: Some(50.0 * norm as f32), ..TrainOptions::default() };
    assert_eq!(sgd_step(loose, &batch), sgd_step(TrainOptions::default(), &batch));
}

#[test]
fn l2_pulls_each_touched_row_once_and_no_other() {
    let (batch, l2) = (batch(20, 3), 0.125);
    let gradient = gradient(&batch);
    let (_, params) = model(&config());
    let first_table = params.dense().len();
    let mut want: Vec<Vec<f32>> = gradient.iter().map(|g| g.iter().map(|g| LR * g).collect()).collect();
    let mut untouched = 0;
    for (t, table) in params.tables().iter().enumerate() {
        let touched = |row: usize| batch.sparse[t].values().contains(&(row as u32));
        let steps = want[first_table + t].chunks_mut(4);
        for (row, step) in steps.enumerate() {
            untouched += usize::from(!touched(row));
            if touched(row) {
                step.iter_mut().zip(table.row(row)).for_each(|(step, w)| *step += LR * l2 * w);
            }
        }
    }
    assert!(untouched > 0, "the batch touches every row");
    let options = TrainOptions { l2_embeddings: l2, ..TrainOptions::default() };
    assert_near("L2", &sgd_step(options, &batch), &want, 3e-7);
}

#[test]
fn tables_may_have_a_learning_rate_of_their_own() {
    let batch = batch(20, 3);
    let gradient = gradient(&batch);
    let dense = model(&config()).1.dense().len();
    let rates = (0..gradient.len()).map(|i| if i < dense { LR } else { 0.125 });
    let want: Vec<Vec<f32>> =
        gradient.iter().zip(rates).map(|(g, rate)| g.iter().map(|g| rate * g).collect()).collect();
    let options = TrainOptions { sparse_lr: Some(0.125), ..TrainOptions::default() };
    assert_near("rates", &sgd_step(options, &batch), &want, 3e-7);
}

#[test]
fn dropout_is_for_training_only() {
    let batch = batch(40, 4);
    let mut dropped = trainer(&config(), UpdateRule::Sgd, TrainOptions { dropout: 0.5, ..TrainOptions::default() });
    let mut plain = trainer(&config(), UpdateRule::Sgd, TrainOptions::default());
    assert_eq!(dropped.predict(&batch).unwrap(), plain.predict(&batch).unwrap());
    let loss = |trainer: &mut Trainer<Dlrm>| trainer.step(&batch).unwrap();
    assert_ne!(loss(&mut dropped), loss(&mut plain));
    // Another mask each step, even where nothing was learned between.
    let (model, params) = model(&config());
    let still = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(1e-30), LossKind::BCE);
    let mut still = still.with_options(TrainOptions { dropout: 0.5, ..TrainOptions::default() }).unwrap();
    assert_ne!(loss(&mut still), loss(&mut still));
}

#[test]
fn options_out_of_range_are_named() {
    let default = TrainOptions::default();
    for (options, message) in [
        (TrainOptions { accumulate: 0, ..default }, "accumulate: 0 batches a step, expected at least 1"),
        (TrainOptions { clip_norm: Some(0.0), ..default }, "clip norm: Some(0.0), expected a number above 0"),
        (TrainOptions { l2_embeddings: -1.0, ..default }, "L2 of embeddings: -1, expected a number from 0 on"),
        (TrainOptions { dropout: 1.0, ..default }, "dropout: 1, expected a share below 1"),
        (TrainOptions { dropout: f32::NAN, ..default }, "dropout: NaN, expected a share below 1"),
        (
            TrainOptions { sparse_lr: Some(f64::INFINITY), ..default },
            "learning rate of embeddings: Some(inf), expected a number above 0",
        ),
    ] {
        assert_eq!(options.validate().unwrap_err().to_string(), message);
    }
    default.validate().unwrap();
}
