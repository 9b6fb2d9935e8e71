//! What was asked for, and what the reference made of it.

#![allow(clippy::excessive_precision, reason = "17 digits, as NumPy prints them")]

use dlrm::data::random::{Distribution, RandomConfig};
use dlrm::data::trace::StackDistribution;

/// One batch: dense features, (offsets, ids) a table, labels.
pub type Golden = (&'static [f32], &'static [(&'static [u32], &'static [u32])], &'static [f32]);

pub struct Case {
    pub name: &'static str,
    pub config: RandomConfig,
    pub batches: &'static [Golden],
    /// `np.random.rand()` after the last batch.
    pub next_draw: f64,
}

/// `RandomDataset(...)[j]` for each `j`, and `np.random.rand()` after them, with NumPy 2.4. Of traces, which
/// can't be had that way, `generate_synthetic_input_batch` and `generate_random_output_batch` in turn.
pub fn cases() -> Vec<Case> {
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
pub fn synthetic(padding: bool) -> Distribution {
    let read = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        StackDistribution::read(file.path()).unwrap()
    };
    let shipped = read("1, 2, 3, 4, 5, 6\n0, 1, 3, 4, 5\n0.55, 0.64, 0.82, 0.91, 1.0\n");
    let other = read("7, 0, 3, 11\n0, 1, 2, 4\n0.25, 0.5, 0.75, 1.0\n");
    Distribution::Synthetic { tables: vec![shipped, other], padding }
}
