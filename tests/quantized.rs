//! Parameters in fewer bytes: the same forward pass, what it changes, and what cannot be done with them.

use dlrm::backend::{Cpu, LossKind, RowFormat, StoredRows, WeightFormat};
use dlrm::nn::{Compression, CrossConfig, Dcn, DcnConfig, Dlrm, DlrmConfig, Model, QrOperation, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::parameters::Quantization;
use dlrm::profile::Profiled;
use dlrm::train::Trainer;
use dlrm::{Batch, Error, JaggedTensor, Parameters, Stream, Tape};
use dlrm_kernels::quantized::dequantize_rows;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const ROWS: [usize; 3] = [40, 3, 1000];

fn model(dim: usize, threads: usize, weighted_pooling: Option<WeightedPooling>) -> (Dlrm, Parameters) {
    let config = DlrmConfig {
        embedding_dim: dim,
        bottom_mlp: vec![64, dim],
        top_mlp: vec![96, 32, 1],
        weighted_pooling,
        ..DlrmConfig::criteo_kaggle(ROWS.to_vec())
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(threads)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(11)).expect("a valid model");
    (model, params)
}

/// `b` samples with none to three ids a table.
fn batch(b: usize) -> Batch {
    let mut stream = Stream::native(5);
    let sparse = ROWS.map(|rows| {
        let mut list = JaggedTensor::default();
        for i in 0..b {
            let ids: Vec<u32> = (0..i % 4).map(|_| (stream.uniform() * rows as f64) as u32).collect();
            list.push_bag(&ids);
        }
        list
    });
    let dense = (0..b * 13).map(|_| (4.0 * stream.uniform() - 1.0) as f32).collect();
    let labels = (0..b).map(|i| (i % 3 == 0) as u8 as f32).collect();
    Batch { dense, dense_features: 13, sparse: sparse.to_vec(), labels }
}

fn logits(model: &dyn Model, params: &Parameters, batch: &Batch) -> Vec<f32> {
    let mut tape = Tape::new(params.backend().clone());
    let logits = model.forward(&mut tape, params, batch);
    tape.value(logits).as_slice().to_vec()
}

fn tables(format: RowFormat) -> Quantization {
    Quantization { tables: Some(format), weights: None }
}

fn weights(format: WeightFormat) -> Quantization {
    Quantization { tables: None, weights: Some(format) }
}

fn message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("a panic");
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| payload.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn quantized_tables_give_what_dequantised_ones_do() {
    let batch = batch(300);
    for (format, dim) in RowFormat::ALL.into_iter().flat_map(|format| [16, 7].map(|dim| (format, dim))) {
        let (model, mut params) = model(dim, 2, None);
        let quantized = params.quantized(tables(format)).expect("small numbers");
        for (table, from) in quantized.tables().iter().zip(params.tables_mut()) {
            let StoredRows::Quantized(stored, bytes) = table.rows() else {
                panic!("{}: still f32", table.name());
            };
            assert_eq!((stored, bytes.len()), (format, table.num_embeddings() * format.row_bytes(dim)));
            dequantize_rows(format, bytes, dim, from.values_mut());
        }
        let (found, expected) = (logits(&model, &quantized, &batch), logits(&model, &params, &batch));
        assert_eq!(found, expected, "{} D {dim}", format.name());
    }
}

#[test]
fn fewer_bits_move_the_logits_more() {
    let batch = batch(300);
    let (model, params) = model(16, 1, None);
    let exact = logits(&model, &params, &batch);
    let off = RowFormat::ALL.map(|format| {
        let found = logits(&model, &params.quantized(tables(format)).expect("small numbers"), &batch);
        found.iter().zip(&exact).map(|(f, e)| f64::from((f - e).abs())).fold(0.0, f64::max)
    });
    // f16, bf16, 8 bits, 4 bits.
    assert!(off[0] > 0.0 && off[0] < off[1] && off[0] < off[2] && off[2] < off[3] && off[3] < 0.2, "{off:?}");
}

#[test]
fn quantized_weights_move_the_logits_a_little() {
    let batch = batch(300);
    let (model, params) = model(16, 2, None);
    let exact = logits(&model, &params, &batch);
    let off = WeightFormat::ALL.map(|format| {
        let found = logits(&model, &params.quantized(weights(format)).expect("small numbers"), &batch);
        found.iter().zip(&exact).map(|(f, e)| f64::from((f - e).abs())).fold(0.0, f64::max)
    });
    let spread = exact.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    assert!(off[0] > 0.0 && off[0] < 1e-3 && off[0] < off[1] && off[1] < 0.05, "{off:?} of {spread}");
}

/// Every model that there is, each under the profiler, which looks at every operation.
#[test]
fn every_model_takes_them() {
    let batch = batch(50);
    let kaggle = DlrmConfig { top_mlp: vec![32, 1], ..DlrmConfig::criteo_kaggle(ROWS.to_vec()) };
    let qr = Compression::QuotientRemainder { threshold: 10, collisions: 4, operation: QrOperation::Mult };
    let md = Compression::MixedDimension { threshold: 10, temperature: 0.3, round_dims: false };
    let configs = [
        DlrmConfig { cross: Some(CrossConfig { layers: 2, rank: 8 }), ..kaggle.clone() },
        DlrmConfig { compression: Some(qr), ..kaggle.clone() },
        DlrmConfig { compression: Some(md), ..kaggle },
    ];
    let backend = || Arc::new(Profiled::new(Arc::new(Cpu::new(1))));
    let mut models: Vec<(Box<dyn Model>, Parameters)> = Vec::new();
    for config in configs {
        let mut params = Parameters::new(backend());
        models.push((Box::new(Dlrm::new(&config, &mut params, &mut Stream::native(3)).unwrap()), params));
    }
    let (config, mut params) = (DcnConfig::criteo_kaggle(ROWS.to_vec()), Parameters::new(backend()));
    models.push((Box::new(Dcn::new(&config, &mut params, &mut Stream::native(3)).unwrap()), params));
    for (i, (model, params)) in models.iter().enumerate() {
        let exact = logits(&**model, params, &batch);
        let quantization = Quantization { tables: Some(RowFormat::Int8), ..weights(WeightFormat::Int8) };
        let found = logits(&**model, &params.quantized(quantization).expect("small numbers"), &batch);
        let off = found.iter().zip(&exact).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
        // Logits of up to 0.6 in one model and 18 in another, so a share: each layer's inputs and weights are off by
        // up to a 255th of their range.
        let spread = exact.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        assert!(off > 0.0 && off < 0.03 * spread, "model {i}: {off} of {spread}");
    }
}

/// Sample `i` alone.
fn sample(batch: &Batch, i: usize) -> Batch {
    let bag = |list: &JaggedTensor| {
        let (mut one, bounds) = (JaggedTensor::default(), &list.offsets()[i..i + 2]);
        one.push_bag(&list.values()[bounds[0] as usize..bounds[1] as usize]);
        one
    };
    Batch {
        dense: batch.dense[13 * i..][..13].to_vec(),
        dense_features: 13,
        sparse: batch.sparse.iter().map(bag).collect(),
        labels: vec![batch.labels[i]],
    }
}

#[test]
fn a_sample_s_logit_depends_on_nothing_else() {
    let batch = batch(1000);
    for format in WeightFormat::ALL {
        let quantization = Quantization { tables: Some(RowFormat::Int8), ..weights(format) };
        let [one_thread, three] = [1, 3].map(|threads| {
            let (model, params) = model(16, threads, None);
            let quantized = params.quantized(quantization).expect("small numbers");
            let all = logits(&model, &quantized, &batch);
            for i in [0, 3, 998, 999] {
                assert_eq!(logits(&model, &quantized, &sample(&batch, i)), [all[i]], "{} sample {i}", format.name());
            }
            all
        });
        assert_eq!(one_thread, three, "{}", format.name());
    }
}

#[test]
fn rows_that_would_not_get_shorter_stay() {
    let (_, params) = model(2, 1, Some(WeightedPooling::Fixed));
    for (format, bytes) in [(RowFormat::F16, 4), (RowFormat::Bf16, 4), (RowFormat::Int8, 8), (RowFormat::Int4, 5)] {
        let quantized = params.quantized(tables(format)).expect("small numbers");
        let row_bytes: Vec<usize> = quantized.tables().iter().map(|t| t.row_bytes()).collect();
        assert_eq!(row_bytes, [bytes, bytes, bytes, 4, 4, 4], "{}", format.name());
    }
}

#[test]
fn bytes_and_numbers_are_counted() {
    let (_, params) = model(16, 1, None);
    let dense: usize = params.dense().iter().map(|p| p.value().len()).sum();
    let rows = ROWS.iter().sum::<usize>();
    assert_eq!(params.stored_bytes(), 4 * params.count());
    for (format, bytes) in [(RowFormat::F16, 32), (RowFormat::Bf16, 32), (RowFormat::Int8, 24), (RowFormat::Int4, 12)] {
        let quantized = params.quantized(tables(format)).expect("small numbers");
        assert_eq!(quantized.count(), params.count());
        assert_eq!(quantized.stored_bytes(), 4 * dense + bytes * rows, "{}", format.name());
    }
    // Packed weights are padded to whole panels, with sums of 8 bits beside.
    let [f16, int8] = WeightFormat::ALL.map(|format| {
        let quantized = params.quantized(weights(format)).expect("small numbers");
        assert_eq!(quantized.count(), params.count());
        quantized.stored_bytes() - 64 * rows
    });
    assert!((2 * dense..4 * dense).contains(&f16) && (dense..3 * dense).contains(&int8), "{dense}: {f16}, {int8}");
}

#[test]
fn numbers_that_do_not_fit_are_named() {
    let (_, mut params) = model(16, 1, None);
    params.tables_mut()[1].values_mut()[7] = 7e4;
    for (format, expected) in [
        (RowFormat::F16, "emb_l.1.weight: number 7 is 70000, and f16 holds numbers up to 6.5504e4"),
        (RowFormat::Int4, "emb_l.1.weight: number 7 is 70000, and int4 holds numbers up to 6.5504e4"),
    ] {
        let error = params.quantized(tables(format)).expect_err("too large");
        assert!(matches!(&error, Error::Config(text) if text == expected), "{error}");
    }
    params.tables_mut()[1].values_mut()[7] = f32::NAN;
    for format in RowFormat::ALL {
        let error = params.quantized(tables(format)).expect_err("not a number").to_string();
        assert!(error.starts_with("emb_l.1.weight: number 7 is NaN"), "{error}");
    }
}

#[test]
fn no_step_can_be_taken_with_them() {
    let (model, params) = model(16, 1, None);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
    let batch = batch(20);
    let before = trainer.predict(&batch).expect("a batch that fits").to_vec();
    let quantized = trainer.params().quantized(tables(RowFormat::Int8)).expect("small numbers");
    let exact = trainer.replace_params(quantized);
    assert_ne!(trainer.predict(&batch).expect("a batch that fits"), before);
    let text = message(|| drop(trainer.step(&batch)));
    assert_eq!(text, "emb_l.0.weight: rows of int8 are to look up, not to learn or to read as f32");
    let quantized = exact.quantized(weights(WeightFormat::F16)).expect("small numbers");
    trainer.replace_params(quantized);
    let text = message(|| drop(trainer.step(&batch)));
    assert_eq!(text, "top_l.4.weight: a weight of f16 is to multiply with, not to learn or to read as f32");
    trainer.replace_params(exact);
    assert_eq!(trainer.predict(&batch).expect("a batch that fits"), before);
    trainer.step(&batch).expect("learns as before");
}
