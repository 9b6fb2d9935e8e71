//! Whole models on both backends: the same logits, and the same losses from step to step.

use crate::support::{close, cpu, gpu, open, sound};
use dlrm::backend::{Backend, Interaction, LossKind, Pooling, WgpuOptions};
use dlrm::nn::{Compression, CrossConfig, Dcn, DcnConfig, Dlrm, DlrmConfig, Model, QrOperation, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, JaggedTensor, Parameters, Stream};
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

/// Eleven samples, bags of no, one and several ids, a little different from step to step.
fn batch(step: usize) -> Batch {
    let (b, config) = (11, config());
    let list = |rows: usize| {
        let mut list = JaggedTensor::default();
        (0..b).for_each(|i| list.push_bag(&[0, 1, 2, 3].map(|j| ((step + i + 2 * j) % rows) as u32)[..i % 4]));
        list
    };
    Batch {
        dense: (0..b * config.dense_features).map(|i| ((i + step) as f32 * 0.37).sin()).collect(),
        dense_features: config.dense_features,
        sparse: config.num_embeddings.iter().map(|&rows| list(rows)).collect(),
        labels: (0..b).map(|i| f32::from(u8::from((i + step).is_multiple_of(3)))).collect(),
    }
}

/// Makes a model.
type Make = Box<dyn Fn(&mut Parameters, &mut Stream) -> Box<dyn Model>>;

fn models() -> Vec<(&'static str, Make)> {
    let base = config();
    let qr = |operation| Some(Compression::QuotientRemainder { threshold: 4, collisions: 2, operation });
    let md = Some(Compression::MixedDimension { threshold: 4, temperature: 0.6, round_dims: false });
    let cross = Some(CrossConfig { layers: 2, rank: 3 });
    let dlrms = [
        ("dot", base.clone()),
        ("dot, itself", DlrmConfig { interaction: Interaction::DotItself, ..base.clone() }),
        ("cat", DlrmConfig { interaction: Interaction::Cat, ..base.clone() }),
        ("mean", DlrmConfig { pooling: Pooling::Mean, ..base.clone() }),
        ("learned pooling", DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..base.clone() }),
        ("dcn-v2", DlrmConfig { interaction: Interaction::Cat, cross, ..base.clone() }),
        ("quotients times remainders", DlrmConfig { compression: qr(QrOperation::Mult), ..base.clone() }),
        ("quotients plus remainders", DlrmConfig { compression: qr(QrOperation::Add), ..base.clone() }),
        ("quotients beside remainders", DlrmConfig { compression: qr(QrOperation::Concat), ..base.clone() }),
        ("mixed dimensions", DlrmConfig { compression: md, ..base.clone() }),
    ];
    let dlrm = |(name, config): (&'static str, DlrmConfig)| {
        let make: Make = Box::new(move |params, stream| Box::new(Dlrm::new(&config, params, stream).unwrap()));
        (name, make)
    };
    let dcn = DcnConfig {
        dense_features: 3,
        embedding_dim: 4,
        cross_layers: 3,
        deep_mlp: vec![6, 4],
        ..DcnConfig::criteo_kaggle(base.num_embeddings.clone())
    };
    let dcn: Make = Box::new(move |params, stream| Box::new(Dcn::new(&dcn, params, stream).unwrap()));
    dlrms.into_iter().map(dlrm).chain([("dcn", dcn)]).collect()
}

/// The logits before the first step, the losses of some steps, and the logits afterwards.
fn run(backend: Arc<dyn Backend>, make: &Make, rule: UpdateRule, options: TrainOptions) -> Vec<f32> {
    let mut params = Parameters::new(backend);
    let model = make(&mut params, &mut Stream::native(3));
    let policy = LrPolicy::constant(0.05);
    let mut trainer = Trainer::new(model, params, rule, policy, LossKind::BCE).with_options(options).unwrap();
    let mut all = trainer.predict(&batch(100)).unwrap().to_vec();
    all.extend((0..5).map(|step| trainer.step(&batch(step)).unwrap()));
    all.extend_from_slice(trainer.predict(&batch(100)).unwrap());
    all
}

#[track_caller]
fn compare(what: &str, make: &Make, rule: UpdateRule, options: TrainOptions) {
    let Some(gpu) = gpu() else { return };
    let (got, expected) = (run(gpu.clone(), make, rule, options), run(Arc::new(cpu()), make, rule, options));
    close(what, &got, &expected, 1e-5);
    close(&format!("{what}, again"), &run(gpu.clone(), make, rule, options), &got, 0.0);
    assert_ne!(expected[..11], expected[16..], "{what}: something is learned");
    sound(&gpu);
}

#[test]
fn every_model_is_the_same() {
    for (name, make) in models() {
        compare(name, &make, UpdateRule::Sgd, TrainOptions::default());
    }
}

#[test]
fn every_rule_is_the_same() {
    let (_, make) = models().swap_remove(0);
    for rule in [UpdateRule::ADAGRAD, UpdateRule::ROW_WISE_ADAGRAD, UpdateRule::ADAM] {
        compare(&format!("{rule:?}"), &make, rule, TrainOptions::default());
    }
}

#[test]
fn what_training_does_besides_is_the_same() {
    let (_, make) = models().swap_remove(0);
    let options = TrainOptions { dropout: 0.2, clip_norm: Some(0.1), l2_embeddings: 0.01, ..TrainOptions::default() };
    compare("dropout, clipping and regularisation", &make, UpdateRule::Sgd, options);
    let options = TrainOptions { accumulate: 2, ..TrainOptions::default() };
    compare("steps of two batches", &make, UpdateRule::Sgd, options);
}

#[test]
fn the_processor_computes_nothing_but_weights_of_learned_pooling() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    for (name, make) in models() {
        let before = gpu.counts().fallbacks;
        run(gpu.clone(), &make, UpdateRule::ADAGRAD, TrainOptions::default());
        assert_eq!(gpu.counts().fallbacks > before, name == "learned pooling", "{name}");
    }
    sound(&gpu);
}
