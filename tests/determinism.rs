//! The same seed gives the same bits, whatever the number of threads.

use dlrm::backend::{Cpu, Interaction, LossKind, Pooling};
use dlrm::nn::{Compression, CrossConfig, Dcn, DcnConfig, Dlrm, DlrmConfig, Model, QrOperation, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, JaggedTensor, Parameters, Stream};
use std::sync::Arc;

/// A batch large enough that every operation is shared out, with heavy duplicates in each list.
fn batch(b: usize, config: &DlrmConfig, stream: &mut Stream) -> Batch {
    let list = |rows: usize, stream: &mut Stream| {
        let mut list = JaggedTensor::default();
        for i in 0..b {
            let ids = [0; 5].map(|_| (stream.uniform().powi(3) * rows as f64) as u32);
            list.push_bag(&ids[..i % 6]);
        }
        list
    };
    Batch {
        dense: (0..b * config.dense_features).map(|_| stream.uniform() as f32).collect(),
        dense_features: config.dense_features,
        sparse: config.num_embeddings.iter().map(|&rows| list(rows, stream)).collect(),
        labels: (0..b).map(|_| f32::from(stream.uniform() < 0.3)).collect(),
    }
}

/// Makes a model.
type Make<'a> = &'a dyn Fn(&mut Parameters, &mut Stream) -> Box<dyn Model>;

/// Every parameter and the loss of each step, as bits; with so many threads, and with norms of gradients or without.
fn bits(
    config: &DlrmConfig,
    make: Make,
    rule: UpdateRule,
    options: TrainOptions,
    (threads, norms): (usize, bool),
) -> Vec<u32> {
    let mut stream = Stream::native(9);
    let mut params = Parameters::new(Arc::new(Cpu::new(threads)));
    let model = make(&mut params, &mut stream);
    let mut trainer = Trainer::new(model, params, rule, LrPolicy::constant(0.05), LossKind::BCE);
    trainer = trainer.with_options(options).unwrap();
    trainer.measure_gradient_norms(norms);
    let losses: Vec<f32> =
        [1000, 1000, 999, 37, 1].into_iter().map(|b| trainer.step(&batch(b, config, &mut stream)).unwrap()).collect();
    assert_eq!(trainer.gradient_norms().is_some(), norms);
    let params = trainer.params();
    let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
    let tables = params.tables().iter().flat_map(|t| t.values());
    losses.iter().chain(dense).chain(tables).map(|v| v.to_bits()).collect()
}

#[track_caller]
fn assert_same_bits(config: &DlrmConfig, make: Make, rule: UpdateRule, options: TrainOptions) {
    let one = bits(config, make, rule, options, (1, false));
    for threads in [2, 3, 5, 8] {
        let several = bits(config, make, rule, options, (threads, false));
        let (differ, all) = (one.iter().zip(&several).filter(|(a, b)| a != b).count(), one.len());
        assert_eq!(differ, 0, "{differ} of {all} numbers differ with {threads} threads, {rule:?}, {options:?}");
    }
}

#[test]
fn one_thread_or_several_give_the_same_bits() {
    let base = DlrmConfig::criteo_kaggle(vec![200_000, 5000, 100, 3]);
    let wide = DlrmConfig {
        embedding_dim: 40,
        bottom_mlp: vec![100, 40],
        interaction: Interaction::DotItself,
        pooling: Pooling::Mean,
        ..base.clone()
    };
    let weighted =
        DlrmConfig { interaction: Interaction::Cat, weighted_pooling: Some(WeightedPooling::Learned), ..base.clone() };
    let dcn_v2 =
        DlrmConfig { interaction: Interaction::Cat, cross: Some(CrossConfig { layers: 2, rank: 24 }), ..base.clone() };
    let operation = QrOperation::Mult;
    let quotients = Compression::QuotientRemainder { threshold: 200, collisions: 4, operation };
    let quotients = DlrmConfig { compression: Some(quotients), ..base.clone() };
    let mixed = Compression::MixedDimension { threshold: 200, temperature: 0.1, round_dims: false };
    let mixed = DlrmConfig { compression: Some(mixed), ..base.clone() };
    let plain = TrainOptions::default();
    let everything = TrainOptions {
        accumulate: 2,
        clip_norm: Some(0.01),
        l2_embeddings: 1e-3,
        dropout: 0.3,
        sparse_lr: Some(0.1),
        loss_threshold: 0.45,
        ..plain
    };
    for (config, rule, options) in [
        (&base, UpdateRule::Sgd, plain),
        (&wide, UpdateRule::ADAGRAD, plain),
        (&weighted, UpdateRule::ROW_WISE_ADAGRAD, plain),
        (&dcn_v2, UpdateRule::ADAGRAD, plain),
        (&base, UpdateRule::ADAM, plain),
        (&quotients, UpdateRule::ADAGRAD, plain),
        (&mixed, UpdateRule::Sgd, plain),
        (&wide, UpdateRule::ADAGRAD, everything),
        (&weighted, UpdateRule::Sgd, everything),
    ] {
        let make: Make = &|params, stream| Box::new(Dlrm::new(config, params, stream).unwrap());
        assert_same_bits(config, make, rule, options);
    }
    let dcn = DcnConfig::criteo_kaggle(base.num_embeddings.clone());
    let make: Make = &|params, stream| Box::new(Dcn::new(&dcn, params, stream).unwrap());
    assert_same_bits(&base, make, UpdateRule::Sgd, everything);
}

/// Whoever watches the norms of the gradients has the sums of rows written out before the optimizer makes them.
#[test]
fn measured_norms_change_no_bit() {
    let sgd = DlrmConfig::criteo_kaggle(vec![200_000, 5000, 100, 3]);
    let wide = DlrmConfig { embedding_dim: 40, bottom_mlp: vec![100, 40], pooling: Pooling::Mean, ..sgd.clone() };
    let weighted = DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..sgd.clone() };
    let operation = QrOperation::Mult;
    let quotients = Compression::QuotientRemainder { threshold: 200, collisions: 4, operation };
    let quotients = DlrmConfig { compression: Some(quotients), ..sgd.clone() };
    let plain = TrainOptions::default();
    let clipped = TrainOptions { accumulate: 2, clip_norm: Some(0.01), l2_embeddings: 1e-3, ..plain };
    for (config, rule, options) in [
        (&sgd, UpdateRule::Sgd, plain),
        (&wide, UpdateRule::Sgd, plain),
        (&wide, UpdateRule::ADAGRAD, plain),
        (&wide, UpdateRule::ROW_WISE_ADAGRAD, plain),
        (&wide, UpdateRule::ADAM, plain),
        (&weighted, UpdateRule::ROW_WISE_ADAGRAD, plain),
        (&quotients, UpdateRule::ADAGRAD, plain),
        (&wide, UpdateRule::ADAGRAD, clipped),
    ] {
        let make: Make = &|params, stream| Box::new(Dlrm::new(config, params, stream).unwrap());
        let [bits, watched] = [false, true].map(|norms| bits(config, make, rule, options, (2, norms)));
        let differ = bits.iter().zip(&watched).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 0, "{differ} of {} numbers differ, {rule:?}, {options:?}", bits.len());
    }
}
