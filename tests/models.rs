//! Whole models: every shape that a configuration allows computes, and its gradients are right.

use dlrm::backend::{Cpu, Interaction, LossKind, Pooling};
use dlrm::gradcheck::{GradCheck, gradcheck};
use dlrm::nn::{Compression, CrossConfig, Dcn, DcnConfig, Dlrm, DlrmConfig, Model, QrOperation, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, Error, JaggedTensor, Parameters, Stream, ops};
use std::sync::Arc;

fn config() -> DlrmConfig {
    DlrmConfig {
        dense_features: 3,
        embedding_dim: 4,
        bottom_mlp: vec![6, 4],
        top_mlp: vec![5, 1],
        interaction: Interaction::Dot,
        ..DlrmConfig::criteo_kaggle(vec![5, 2, 7])
    }
}

/// Five samples; bags of no, one and several ids.
fn batch(config: &DlrmConfig) -> Batch {
    let b = 5;
    let list = |rows: usize| {
        let mut list = JaggedTensor::default();
        (0..b).for_each(|i| list.push_bag(&[0, 1, 2, 3].map(|j| ((i + 2 * j) % rows) as u32)[..i % 4]));
        list
    };
    Batch {
        dense: (0..b * config.dense_features).map(|i| (i as f32 * 0.37).sin()).collect(),
        dense_features: config.dense_features,
        sparse: config.num_embeddings.iter().map(|&rows| list(rows)).collect(),
        labels: vec![1.0, 0.0, 0.0, 1.0, 0.0],
    }
}

/// The shapes: name and configuration.
fn shapes() -> Vec<(&'static str, DlrmConfig)> {
    let base = config();
    let mut shapes = vec![
        ("as in the paper", base.clone()),
        ("with itself", DlrmConfig { interaction: Interaction::DotItself, ..base.clone() }),
        ("cat", DlrmConfig { interaction: Interaction::Cat, ..base.clone() }),
        ("mean", DlrmConfig { pooling: Pooling::Mean, ..base.clone() }),
        ("no dense features", DlrmConfig { dense_features: 0, bottom_mlp: vec![], ..base.clone() }),
        (
            "no dense features, cat",
            DlrmConfig { dense_features: 0, bottom_mlp: vec![], interaction: Interaction::Cat, ..base.clone() },
        ),
        ("no tables", DlrmConfig { num_embeddings: vec![], ..base.clone() }),
        ("no tables, no bottom MLP", DlrmConfig { num_embeddings: vec![], bottom_mlp: vec![], ..base.clone() }),
        ("dense features as they are", DlrmConfig { embedding_dim: 3, bottom_mlp: vec![], ..base.clone() }),
        ("one table of one row", DlrmConfig { num_embeddings: vec![1], ..base.clone() }),
        ("one number a row", DlrmConfig { embedding_dim: 1, bottom_mlp: vec![1], ..base.clone() }),
        ("a linear top", DlrmConfig { top_mlp: vec![1], ..base.clone() }),
        ("learned pooling", DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..base.clone() }),
        ("fixed pooling", DlrmConfig { weighted_pooling: Some(WeightedPooling::Fixed), ..base.clone() }),
        (
            "dcn-v2",
            DlrmConfig {
                interaction: Interaction::Cat,
                cross: Some(CrossConfig { layers: 2, rank: 3 }),
                ..base.clone()
            },
        ),
        ("cross layers after dots", DlrmConfig { cross: Some(CrossConfig { layers: 1, rank: 1 }), ..base.clone() }),
    ];
    shapes.extend(compressions().map(|(name, compression)| {
        // Small tables beside large ones: 5, 2 and 7 rows.
        (name, DlrmConfig { compression: Some(compression), ..base.clone() })
    }));
    shapes
}

fn compressions() -> [(&'static str, Compression); 7] {
    let qr = |threshold, operation| Compression::QuotientRemainder { threshold, collisions: 2, operation };
    let md = |threshold, round_dims| Compression::MixedDimension { threshold, temperature: 0.6, round_dims };
    [
        ("products of quotients and remainders", qr(4, QrOperation::Mult)),
        ("sums of quotients and remainders", qr(4, QrOperation::Add)),
        ("quotients beside remainders", qr(4, QrOperation::Concat)),
        ("all tables as quotients and remainders", qr(0, QrOperation::Concat)),
        ("no table large enough", qr(100, QrOperation::Mult)),
        ("mixed dimensions", md(4, false)),
        ("all of mixed dimensions, rounded", md(0, true)),
    ]
}

/// Makes a model.
type Make = Box<dyn Fn(&mut Parameters, &mut Stream) -> Box<dyn Model>>;

/// The models: name, shape of their batches, and how they are made.
fn models() -> Vec<(&'static str, DlrmConfig, Make)> {
    let dlrm = |(name, config): (&'static str, DlrmConfig)| {
        let shape = config.clone();
        let make: Make = Box::new(move |params, stream| Box::new(Dlrm::new(&config, params, stream).unwrap()));
        (name, shape, make)
    };
    let dcn = |(name, dense_features, deep_mlp): (&'static str, usize, &[usize])| {
        let base = config();
        let shape = DlrmConfig { dense_features, ..base };
        let config = DcnConfig {
            dense_features,
            embedding_dim: 4,
            cross_layers: 3,
            deep_mlp: deep_mlp.to_vec(),
            ..DcnConfig::criteo_kaggle(shape.num_embeddings.clone())
        };
        let make: Make = Box::new(move |params, stream| Box::new(Dcn::new(&config, params, stream).unwrap()));
        (name, shape, make)
    };
    let dcns: [(&str, usize, &[usize]); 3] =
        [("dcn", 3, &[6, 4]), ("dcn, no dense features", 0, &[5]), ("dcn, no deep network", 3, &[])];
    shapes().into_iter().map(dlrm).chain(dcns.into_iter().map(dcn)).collect()
}

#[test]
fn every_shape_has_the_gradients_of_its_loss() {
    for (name, config, make) in models() {
        println!("{name}");
        let mut params = Parameters::new(Arc::new(Cpu::new(1)));
        let model = make(&mut params, &mut Stream::native(3));
        let batch = batch(&config);
        model.check(&batch).unwrap();
        let fixed = config.weighted_pooling == Some(WeightedPooling::Fixed);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gradcheck(&mut params, &[], GradCheck { kinks: true, ..GradCheck::default() }, |tape, params, _| {
                let logits = model.forward(tape, params, &batch);
                let labels = tape.input(&[batch.len()], &batch.labels);
                ops::loss(tape, LossKind::BCE, logits, labels)
            });
        }));
        // Fixed weights change the loss, and take no gradient.
        assert_eq!(checked.is_err(), fixed, "{name}");
    }
}

#[test]
fn every_shape_learns_one_batch_by_heart() {
    for (name, config, make) in models() {
        let mut params = Parameters::new(Arc::new(Cpu::new(2)));
        let model = make(&mut params, &mut Stream::native(4));
        let batch = batch(&config);
        let mut trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(0.05), LossKind::BCE);
        let first = trainer.step(&batch).unwrap();
        let last = (0..60).map(|_| trainer.step(&batch).unwrap()).last().unwrap();
        assert!(last < 0.9 * first, "{name}: {first} to {last}");
    }
}

#[test]
fn every_shape_has_as_many_parameters_as_it_says() {
    for (name, config) in shapes() {
        let mut params = Parameters::new(Arc::new(Cpu::new(1)));
        Dlrm::new(&config, &mut params, &mut Stream::native(1)).unwrap();
        assert_eq!(params.count() as u64, config.num_parameters(), "{name}");
    }
}

#[test]
fn parameters_have_the_reference_s_names() {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    Dlrm::new(&config(), &mut params, &mut Stream::native(1)).unwrap();
    let names: Vec<&str> =
        params.tables().iter().map(|t| t.name()).chain(params.dense().iter().map(|p| p.name())).collect();
    let expected = "emb_l.0.weight emb_l.1.weight emb_l.2.weight bot_l.0.weight bot_l.0.bias bot_l.2.weight \
                    bot_l.2.bias top_l.0.weight top_l.0.bias top_l.2.weight top_l.2.bias";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_changes_nothing() {
    let config = config();
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1)).unwrap();
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
    let good = batch(&config);
    trainer.step(&good).unwrap();
    let before: Vec<u32> = trainer.params().dense()[0].value().as_slice().iter().map(|v| v.to_bits()).collect();
    let mut bad = good;
    bad.dense[4] = f32::NAN;
    let error = trainer.step(&bad).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 2, .. }), "{error}");
    assert!(error.to_string().starts_with("step 2: the batch: dense feature 1 of sample 1 is NaN"), "{error}");
    let after: Vec<u32> = trainer.params().dense()[0].value().as_slice().iter().map(|v| v.to_bits()).collect();
    assert_eq!(before, after);
}

#[test]
fn a_batch_of_no_sample_is_an_error_to_train_on_and_no_logits_to_predict() {
    for (name, config, make) in models() {
        let mut params = Parameters::new(Arc::new(Cpu::new(2)));
        let model = make(&mut params, &mut Stream::native(1));
        let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
        let mut empty = Batch::default();
        empty.clear(config.dense_features, config.num_embeddings.len());
        assert_eq!(trainer.step(&empty).unwrap_err().to_string(), "batch: no sample", "{name}");
        assert_eq!(trainer.predict(&empty).unwrap(), [0.0; 0], "{name}");
    }
}

#[test]
fn a_loss_threshold_limits_predictions_and_losses() {
    let config = config();
    let trainer = |threshold: f64| {
        let mut params = Parameters::new(Arc::new(Cpu::new(1)));
        let model = Dlrm::new(&config, &mut params, &mut Stream::native(1)).unwrap();
        let trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
        trainer.with_options(TrainOptions { loss_threshold: threshold, ..TrainOptions::default() })
    };
    let batch = batch(&config);
    let free = trainer(0.0).unwrap().predict(&batch).unwrap().to_vec();
    let bound = (0.52f64 / 0.48).ln() as f32;
    let beyond = free.iter().filter(|x| x.abs() > bound).count();
    assert!((1..free.len()).contains(&beyond), "logits on both sides of the limit: {free:?}");
    let limited: Vec<f32> = free.iter().map(|x| x.clamp(-bound, bound)).collect();
    assert_eq!(trainer(0.48).unwrap().predict(&batch).unwrap(), limited);
    let loss = |x: f32, y: f32| x.max(0.0) - x * y + (-x.abs()).exp().ln_1p();
    let expected = limited.iter().zip(&batch.labels).map(|(&x, &y)| loss(x, y)).sum::<f32>() / 5.0;
    let found = trainer(0.48).unwrap().step(&batch).unwrap();
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    for bad in [-0.1, 0.5, 1.0, f64::NAN] {
        let message = trainer(bad).unwrap_err().to_string();
        assert_eq!(message, format!("loss threshold: {bad}, expected at least 0 and below 0.5"));
    }
}
