//! Random batches against the public reference's `RandomDataset`, seed 123.

mod cases;

use cases::{cases, synthetic};
use dlrm::data::random::{Distribution, RandomBatches, RandomConfig};
use dlrm::data::source::BatchSource;
use dlrm::{Batch, JaggedTensor, Stream};

fn collect(batches: &mut RandomBatches) -> Vec<Batch> {
    let mut batch = Batch::default();
    let mut all = Vec::new();
    while batches.next_batch(&mut batch) {
        all.push(batch.clone());
    }
    all
}

#[test]
fn batches_are_the_references() {
    for case in cases() {
        let golden: Vec<Batch> = case
            .batches
            .iter()
            .map(|(dense, sparse, labels)| Batch {
                dense: dense.to_vec(),
                dense_features: case.config.dense_features,
                sparse: sparse.iter().map(|(o, v)| JaggedTensor::new(v.to_vec(), o.to_vec(), None).unwrap()).collect(),
                labels: labels.to_vec(),
            })
            .collect();
        let mut batches = RandomBatches::new(case.config, Stream::numpy(123)).unwrap();
        for pass in 0..2 {
            assert_eq!(batches.num_batches(), golden.len(), "{}", case.name);
            assert_eq!(collect(&mut batches), golden, "{}, pass {pass}", case.name);
            assert_eq!(batches.stream().clone().uniform(), case.next_draw, "{}", case.name);
            batches.reset();
        }
    }
}

/// The same generator on the native stream: other numbers, the same shapes and limits.
#[test]
fn native_batches_fit_their_tables() {
    for case in cases() {
        let config = case.config;
        let mut batches = RandomBatches::new(config.clone(), Stream::native(1)).unwrap();
        let first = collect(&mut batches);
        batches.reset();
        assert_eq!(first, collect(&mut batches), "{}", case.name);
        assert_eq!(first.len(), case.batches.len(), "{}", case.name);
        for (batch, golden) in first.iter().zip(case.batches) {
            batch.check(config.dense_features, config.num_embeddings.iter().copied()).unwrap();
            assert_eq!(batch.len(), golden.2.len(), "{}", case.name);
            assert_ne!(batch.labels, golden.2, "{}", case.name);
        }
    }
}

#[test]
fn impossible_configurations_are_named() {
    let good = || cases().swap_remove(2).config;
    let gaussian = |min, max, mean, sd| Distribution::Gaussian { min, max, mean, sd };
    let cases = [
        (RandomConfig { batch_size: 0, ..good() }, "the batch size is 0"),
        (RandomConfig { num_embeddings: vec![3, 0], ..good() }, "table 1 has 0 rows"),
        (RandomConfig { num_embeddings: vec![(1 << 32) + 1], ..good() }, "table 0 has 4294967297 rows"),
        (RandomConfig { distribution: synthetic(false), num_embeddings: vec![9], ..good() }, "of 2 tables, expected 1"),
        (RandomConfig { distribution: gaussian(-1.0, 1.0, 0.0, 1.0), ..good() }, "between -1 and 1"),
        (RandomConfig { distribution: gaussian(0.0, 21.0, 0.0, 1.0), ..good() }, "min <= max < 21"),
        (RandomConfig { distribution: gaussian(2.0, 1.0, 0.0, 1.0), ..good() }, "between 2 and 1"),
        (RandomConfig { distribution: gaussian(0.0, 1.0, f64::NAN, 1.0), ..good() }, "mean NaN"),
        (RandomConfig { distribution: gaussian(0.0, 1.0, 0.0, -1.0), ..good() }, "deviation -1"),
    ];
    for (config, message) in cases {
        let error = RandomBatches::new(config, Stream::native(0)).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} should contain {message:?}");
    }
}

/// The training loop's view: the same batches, pass after pass.
#[test]
fn random_batches_are_a_source() {
    for case in cases() {
        let mut batches = RandomBatches::new(case.config, Stream::numpy(123)).unwrap();
        let first = collect(&mut batches);
        let source: &mut dyn BatchSource = &mut batches;
        assert_eq!(source.rows(), first.iter().map(Batch::len).sum::<usize>(), "{}", case.name);
        for epoch in 0..2 {
            source.start_epoch(epoch).unwrap();
            let mut batch = Batch::default();
            for expected in &first {
                assert!(source.next_batch(&mut batch).unwrap());
                assert_eq!(batch, *expected, "{}", case.name);
            }
            assert!(!source.next_batch(&mut batch).unwrap());
        }
    }
}
