//! The crate beside the model in plain loops that `examples/dlrm_in_one_file.rs` is: the same initial values and batches give
//! the same losses and parameters; and the derivatives of that one are right.

#[path = "../examples/dlrm_in_one_file.rs"]
#[allow(dead_code)] // its own program
mod one_file;

use dlrm::backend::{Cpu, LossKind};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, JaggedTensor, Parameters, Stream};
use one_file::{Gradients, Layer, Random, Sample};
use std::sync::Arc;

/// Largest difference of a loss or a parameter, relative to `1 + |it|`: the crate computes with `f32`, the file with `f64`.
const TOLERANCE: f64 = 2e-6;

/// Samples with lists of none to three ids, some of them twice.
fn samples(count: usize, config: &DlrmConfig, random: &mut Random) -> Vec<Sample> {
    let sample = |_| {
        let dense = (0..config.dense_features).map(|_| random.normal() as f32 as f64).collect();
        let mut list = |&rows: &usize| {
            let len = (4.0 * random.uniform()) as usize;
            (0..len).map(|_| (rows as f64 * random.uniform()) as usize).collect()
        };
        let ids = config.num_embeddings.iter().map(&mut list).collect();
        Sample { dense, ids, label: f64::from(random.uniform() < 0.3) }
    };
    (0..count).map(sample).collect()
}

/// The samples as the crate takes them.
fn batch(samples: &[Sample], config: &DlrmConfig) -> Batch {
    let list = |t: usize| {
        let mut list = JaggedTensor::default();
        samples.iter().for_each(|s| list.push_bag(&s.ids[t].iter().map(|&id| id as u32).collect::<Vec<_>>()));
        list
    };
    Batch {
        dense: samples.iter().flat_map(|s| s.dense.iter().map(|&x| x as f32)).collect(),
        dense_features: config.dense_features,
        sparse: (0..config.num_embeddings.len()).map(list).collect(),
        labels: samples.iter().map(|s| s.label as f32).collect(),
    }
}

/// The parameters of the crate's model, as the one file has them.
fn copy_of(params: &Parameters, config: &DlrmConfig) -> one_file::Dlrm {
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let dense = |name: String| params.get(params.find_dense(&name).expect("a layer's parameter")).value();
    let layers = |name: &str, count: usize| {
        let layer = |l: usize| {
            let (weight, bias) = (dense(format!("{name}.{}.weight", 2 * l)), dense(format!("{name}.{}.bias", 2 * l)));
            let weight = weight.as_slice().chunks(weight.cols()).map(wide).collect();
            Layer { weight, bias: wide(bias.as_slice()) }
        };
        (0..count).map(layer).collect()
    };
    let table = |t: &dlrm::parameters::Table| (0..t.num_embeddings()).map(|row| wide(t.row(row))).collect();
    one_file::Dlrm {
        tables: params.tables().iter().map(table).collect(),
        bottom: layers("bot_l", config.bottom_mlp.len()),
        top: layers("top_l", config.top_mlp.len()),
    }
}

/// Every number that a model learns.
fn flat(model: &mut one_file::Dlrm) -> Vec<&mut f64> {
    let layers = model.bottom.iter_mut().chain(&mut model.top);
    let layers = layers.flat_map(|l| l.weight.iter_mut().flatten().chain(&mut l.bias));
    model.tables.iter_mut().flatten().flatten().chain(layers).collect()
}

fn assert_near(what: &str, got: f64, expected: f64) {
    let allowed = TOLERANCE * (1.0 + expected.abs());
    assert!((got - expected).abs() <= allowed, "{what}: {got}, the one file has {expected}");
}

fn assert_trains_alike(config: &DlrmConfig, batch_size: usize, steps: usize) {
    let mut random = Random(7);
    let mut params = Parameters::new(Arc::new(Cpu::new(2)));
    let model = Dlrm::new(config, &mut params, &mut Stream::native(3)).unwrap();
    let mut plain = copy_of(&params, config);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
    for step in 0..steps {
        let samples = samples(batch_size, config, &mut random);
        let loss = trainer.step(&batch(&samples, config)).unwrap();
        let (expected, grads) = plain.loss_and_gradients(&samples);
        assert_near(&format!("loss of step {step}"), f64::from(loss), expected);
        plain.sgd(&grads, 0.1);
    }
    let mut trained = copy_of(trainer.params(), config);
    for (i, (got, expected)) in flat(&mut trained).into_iter().zip(flat(&mut plain)).enumerate() {
        assert_near(&format!("parameter {i}"), *got, *expected);
    }
}

fn small() -> DlrmConfig {
    DlrmConfig {
        dense_features: 3,
        embedding_dim: 4,
        bottom_mlp: vec![6, 4],
        top_mlp: vec![7, 5, 1],
        ..DlrmConfig::criteo_kaggle(vec![5, 1, 9])
    }
}

#[test]
fn a_small_model_trains_alike() {
    assert_trains_alike(&small(), 17, 20);
}

#[test]
fn the_kaggle_model_trains_alike() {
    assert_trains_alike(&DlrmConfig::criteo_kaggle((2..28).collect()), 128, 4);
}

/// The gradient of parameter `i` in the order of [`flat`].
fn flat_gradients(model: &one_file::Dlrm, grads: Gradients) -> Vec<f64> {
    let mut all = one_file::Dlrm { bottom: grads.bottom, top: grads.top, ..model.clone() };
    for (t, table) in all.tables.iter_mut().enumerate() {
        for (id, row) in table.iter_mut().enumerate() {
            match grads.rows.get(&(t, id)) {
                Some(grad) => row.copy_from_slice(grad),
                None => row.fill(0.0),
            }
        }
    }
    flat(&mut all).into_iter().map(|g| *g).collect()
}

#[test]
fn the_derivatives_of_the_one_file_are_right() {
    let (config, mut random) = (small(), Random(11));
    let mut model = one_file::Dlrm::new(&config.num_embeddings, &[3, 6, 4], &[7, 5, 1], &mut random);
    let samples = samples(6, &config, &mut random);
    let grads = model.loss_and_gradients(&samples).1;
    let grads = flat_gradients(&model, grads);
    let step = 1e-5;
    let mut loss_at = |i: usize, by: f64| {
        *flat(&mut model)[i] += by;
        let loss = model.loss(&samples);
        *flat(&mut model)[i] -= by;
        loss
    };
    for (i, grad) in grads.iter().enumerate() {
        let numeric = (loss_at(i, step) - loss_at(i, -step)) / (2.0 * step);
        assert!((grad - numeric).abs() < 1e-9, "parameter {i}: backward gives {grad}, differences {numeric}");
    }
    assert!(grads.iter().filter(|g| **g != 0.0).count() > grads.len() / 2, "most parameters have a gradient");
}

#[test]
fn the_one_file_is_short_and_needs_no_crate() {
    let source = include_str!("../examples/dlrm_in_one_file.rs");
    assert!(source.lines().count() <= 300, "to be read in one sitting");
    let used = |line: &&str| line.trim_start().starts_with("use ");
    assert_eq!(source.lines().filter(used).collect::<Vec<_>>(), ["use std::collections::BTreeMap;"]);
}
