//! Random batches against the public reference's `RandomDataset`, seed 123.

#![allow(clippy::excessive_precision, reason = "17 digits, as NumPy prints them")]

use dlrm::data::random::{Distribution, RandomBatches, RandomConfig};
use dlrm::data::source::BatchSource;
use dlrm::data::trace::StackDistribution;
use dlrm::{Batch, JaggedTensor, Stream};

/// One batch: dense features, (offsets, ids) a table, labels.
type Golden = (&'static [f32], &'static [(&'static [u32], &'static [u32])], &'static [f32]);

struct Case {
    name: &'static str,
    config: RandomConfig,
    batches: &'static [Golden],
    /// `np.random.rand()` after the last batch.
    next_draw: f64,
}

/// `RandomDataset(...)[j]` for each `j`, and `np.random.rand()` after them, with NumPy 2.4.
fn cases() -> Vec<Case> {
    let config = RandomConfig {
        dense_features: 4,
        num_embeddings: vec![4, 3, 2],
        num_samples: 5,
        batch_size: 2,
        num_batches: 0,
        num_indices_per_lookup: 10,
        fixed: false,
        distribution: Distribution::Uniform,
        round_targets: false,
    };
    vec![
        Case {
            name: "the reference's defaults, five samples in batches of two",
            config: config.clone(),
            batches: &[
                (
                    &[
                        0.696469188,
                        0.286139339,
                        0.226851448,
                        0.551314771,
                        0.719468951,
                        0.423106462,
                        0.98076421,
                        0.684829712,
                    ],
                    &[(&[0, 1, 3], &[1, 0, 1]), (&[0, 1, 2], &[0, 1]), (&[0, 1, 2], &[1, 0])],
                    &[0.36178866, 0.228263229],
                ),
                (
                    &[
                        0.293714046,
                        0.63097614,
                        0.0921049416,
                        0.433701187,
                        0.430862755,
                        0.493685097,
                        0.425830305,
                        0.312261224,
                    ],
                    &[(&[0, 1, 3], &[3, 0, 2]), (&[0, 1, 3], &[1, 1, 2]), (&[0, 1, 2], &[1, 1])],
                    &[0.603060126, 0.545068026],
                ),
                (
                    &[0.342763841, 0.304120779, 0.417022198, 0.681300759],
                    &[(&[0, 1], &[2]), (&[0, 2], &[0, 2]), (&[0, 1], &[0])],
                    &[0.572456956],
                ),
            ],
            next_draw: 0.095712516612387111,
        },
        Case {
            name: "two full batches whatever the number of samples, fixed bags, rounded labels",
            config: RandomConfig {
                dense_features: 1,
                num_embeddings: vec![10],
                num_samples: 9,
                batch_size: 3,
                num_batches: 2,
                num_indices_per_lookup: 4,
                fixed: true,
                round_targets: true,
                ..config.clone()
            },
            batches: &[
                (
                    &[0.696469188, 0.286139339, 0.226851448],
                    &[(&[0, 4, 7, 10], &[4, 5, 6, 9, 3, 4, 6, 1, 4, 7])],
                    &[1., 0., 0.],
                ),
                (
                    &[0.531551361, 0.531827569, 0.634400964],
                    &[(&[0, 3, 5, 8], &[5, 7, 8, 2, 3, 1, 4, 6])],
                    &[0., 0., 0.],
                ),
            ],
            next_draw: 0.42635130696280821,
        },
        Case {
            name: "Gaussian ids, no dense features, an id twice in a bag",
            config: RandomConfig {
                dense_features: 0,
                num_embeddings: vec![30, 21],
                num_samples: 2,
                num_indices_per_lookup: 5,
                distribution: Distribution::Gaussian { min: 0.0, max: 20.0, mean: 10.0, sd: 4.0 },
                ..config.clone()
            },
            batches: &[(
                &[],
                &[(&[0, 3, 5], &[6, 7, 16, 0, 11]), (&[0, 2, 3], &[8, 8, 16])],
                &[0.398044258, 0.737995386],
            )],
            next_draw: 0.18249173045349998,
        },
        Case {
            name: "Gaussian ids, fixed bags",
            config: RandomConfig {
                dense_features: 1,
                num_embeddings: vec![8],
                num_samples: 1,
                batch_size: 1,
                num_indices_per_lookup: 6,
                fixed: true,
                distribution: Distribution::Gaussian { min: 0.0, max: 7.0, mean: 3.5, sd: 1.0 },
                ..config.clone()
            },
            batches: &[(&[0.696469188], &[(&[0, 6], &[2, 2, 3, 3, 3, 5])], &[0.684829712])],
            next_draw: 0.48093190148436094,
        },
        Case {
            name: "traces by stack distances",
            config: RandomConfig {
                dense_features: 2,
                num_embeddings: vec![7, 12],
                num_samples: 3,
                num_indices_per_lookup: 4,
                distribution: synthetic(false),
                ..config.clone()
            },
            batches: &[
                (
                    &[0.696469188, 0.286139339, 0.226851448, 0.551314771],
                    &[(&[0, 2, 4], &[1, 2, 1, 2]), (&[0, 2, 4], &[0, 7, 0, 7])],
                    &[0.531827569, 0.634400964],
                ),
                (&[0.849431813, 0.724455297], &[(&[0, 2], &[1, 2]), (&[0, 1], &[7])], &[0.293714046]),
            ],
            next_draw: 0.6309761238544878,
        },
        Case {
            name: "padded traces, one of them with ids outside its table, fixed bags, rounded labels",
            config: RandomConfig {
                dense_features: 1,
                num_embeddings: vec![4, 12],
                num_samples: 2,
                num_indices_per_lookup: 8,
                fixed: true,
                distribution: synthetic(true),
                round_targets: true,
                ..config.clone()
            },
            batches: &[(
                &[0.696469188, 0.286139339],
                &[(&[0, 5, 10], &[1, 2, 3, 0, 1, 1, 2, 3, 0, 1]), (&[0, 2, 6], &[0, 7, 0, 3, 7, 11])],
                &[0., 0.],
            )],
            next_draw: 0.4263513069628082,
        },
        Case {
            name: "traces so long that ids are new a second time",
            config: RandomConfig {
                dense_features: 0,
                num_embeddings: vec![7, 12],
                num_samples: 2,
                num_indices_per_lookup: 20,
                fixed: true,
                distribution: synthetic(false),
                ..config
            },
            batches: &[(
                &[],
                &[(&[0, 6, 12], &[1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]), (&[0, 4, 8], &[0, 3, 7, 11, 0, 3, 7, 11])],
                &[0.318766415, 0.691970289],
            )],
            next_draw: 0.5543832497177721,
        },
    ]
}

/// Traces for two tables: the one that the reference ships, and one of four ids, the largest 11.
fn synthetic(padding: bool) -> Distribution {
    let read = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        StackDistribution::read(file.path()).unwrap()
    };
    let shipped = read("1, 2, 3, 4, 5, 6\n0, 1, 3, 4, 5\n0.55, 0.64, 0.82, 0.91, 1.0\n");
    let other = read("7, 0, 3, 11\n0, 1, 2, 4\n0.25, 0.5, 0.75, 1.0\n");
    Distribution::Synthetic { tables: vec![shipped, other], padding }
}

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
