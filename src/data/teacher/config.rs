//! What generated rows look like, and how strongly each kind of feature drives the clicks.

use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};

/// The numbers behind a [`Teacher`](super::Teacher).
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherConfig {
    /// The integer columns.
    pub ints: [IntColumn; DENSE_FEATURES],
    /// The columns of ids.
    pub ids: [IdColumn; SPARSE_FEATURES],
    /// Columns of ids (from 0) whose ids act on the click in combination.
    pub pairs: Vec<(usize, usize)>,
    /// Share of rows that are clicks.
    pub base_rate: f64,
    /// Standard deviation over rows of what the integers add to the logit.
    pub int_effect: f64,
    /// Standard deviation of what the ids add one by one.
    pub id_effect: f64,
    /// Standard deviation of what the pairs of ids add.
    pub pair_effect: f64,
}

/// An integer column: counts with a heavy (log-logistic) tail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntColumn {
    /// Half of the counts are below this.
    pub median: f64,
    /// How heavy the tail is: the logistic scale of the count's logarithm.
    pub spread: f64,
    /// Taken off each count, so that some are negative.
    pub shift: i32,
    /// Share of rows without a value.
    pub missing: f64,
}

/// A column of ids: ranks by a power law, shown as scrambled 32-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdColumn {
    /// Different ids, apart from the missing one.
    pub vocabulary: u32,
    /// Exponent of the power law; not 1.
    pub skew: f64,
    /// Share of ids that are drawn evenly from the vocabulary instead: with the power law alone, most ids of a
    /// large one would never be seen.
    pub even: f64,
    /// Share of rows without an id.
    pub missing: f64,
}

/// Per integer column: median, spread, shift, missing; about what the public Kaggle statistics show.
const INTS: [(f64, f64, i32, f64); DENSE_FEATURES] = [
    (2.0, 0.70, 0, 0.45),
    (4.0, 1.30, 3, 0.0),
    (6.0, 0.80, 0, 0.21),
    (5.0, 0.55, 0, 0.21),
    (2800.0, 1.10, 0, 0.03),
    (40.0, 0.85, 0, 0.22),
    (4.0, 0.85, 0, 0.04),
    (8.0, 0.60, 0, 0.0),
    (40.0, 0.80, 0, 0.04),
    (0.8, 0.45, 0, 0.45),
    (2.0, 0.55, 0, 0.04),
    (0.7, 0.60, 0, 0.77),
    (5.0, 0.60, 1, 0.21),
];

/// Rows of the Kaggle set's tables: its different ids, and the missing one where there is one.
const KAGGLE_TABLES: [u32; SPARSE_FEATURES] = [
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
    2173, 4, 7046547, 18, 15, 286181, 105, 142572,
];

/// The same, shrunk so that half a million rows are enough to learn from.
const SMALL_TABLES: [u32; SPARSE_FEATURES] =
    [40, 24, 2000, 1200, 20, 8, 130, 24, 3, 300, 90, 1800, 75, 8, 140, 1500, 6, 95, 65, 4, 1700, 18, 7, 450, 30, 350];

/// Per column of ids, the share of rows without one, as in the Kaggle set or less.
const MISSING_IDS: [f64; SPARSE_FEATURES] = [
    0.0, 0.0, 0.03, 0.03, 0.0, 0.06, 0.0, 0.0, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0, 0.0, 0.03, 0.0, 0.0, 0.44, 0.44, 0.03,
    0.1, 0.0, 0.03, 0.2, 0.44,
];

/// The pairs: every two of four columns with few ids. Embeddings that start near 0 learn products
/// slowly (each is the other's step size), so a short run needs ids that come often and have more
/// than one partner.
const PAIRS: [(usize, usize); 6] = [(5, 13), (5, 16), (5, 22), (13, 16), (13, 22), (16, 22)];

impl TeacherConfig {
    /// Vocabularies of 3 to 2000 ids: for runs of half a million rows.
    pub fn small() -> Self {
        Self::with_tables(SMALL_TABLES)
    }

    /// The vocabularies of the Kaggle set, 33.8 million ids, of which 20 million rows show 29.5 million: for
    /// full-size runs.
    pub fn kaggle() -> Self {
        let mut config = Self::with_tables(KAGGLE_TABLES);
        // As there, most ids of the large columns come once or twice.
        config.ids.iter_mut().filter(|column| column.vocabulary > 1_000_000).for_each(|column| column.even = 0.8);
        config
    }

    fn with_tables(table_rows: [u32; SPARSE_FEATURES]) -> Self {
        TeacherConfig {
            ints: INTS.map(|(median, spread, shift, missing)| IntColumn { median, spread, shift, missing }),
            ids: std::array::from_fn(|c| {
                let missing = MISSING_IDS[c];
                IdColumn { vocabulary: table_rows[c] - u32::from(missing > 0.0), skew: 1.1, even: 0.0, missing }
            }),
            pairs: PAIRS.to_vec(),
            base_rate: 0.25,
            int_effect: 0.7,
            id_effect: 0.6,
            pair_effect: 1.6,
        }
    }
}
