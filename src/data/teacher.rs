//! Rows in Criteo's format whose every click probability is known.
//!
//! A planted teacher draws integers and ids, gives the row a probability, and draws the label
//! from it:
//!
//! ```text
//! logit = bias + Σ_j f_j(x_j) + Σ_c w_c(id_c) + Σ_(a,b) ⟨u_a(id_a), u_b(id_b)⟩
//! ```
//!
//! `f_j` is a parabola in `ln(1 + x_j)`, `w_c` a number and `u_c` a vector that belong to an id
//! for good; the sum of dot products, over a few pairs of columns, is what factorization machines
//! and a DLRM's interaction are made for, and what a linear model cannot learn. No model can rank
//! rows better than the probabilities themselves, so their AUC is the ceiling.
//!
//! A number that belongs to an id is a hash of the seed, the column and the id's rank: nothing is
//! stored, whatever the vocabulary. Row `k` depends on the seed and `k` alone, so rows can be
//! made in any order by any number of threads.

mod config;
mod draw;
mod effects;

pub use config::{IdColumn, IntColumn, TeacherConfig};

use crate::data::criteo::{
    BadRows, DENSE_FEATURES, Dataset, DatasetBuilder, Labels, RowReader, SPARSE_FEATURES, write_row,
};
use crate::error::Result;
use draw::{PowerLaw, hash, scramble, stream};
use effects::Effects;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;

/// One generated row.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedRow {
    /// 1 click, 0 none.
    pub label: u8,
    /// `I1..I13`, `None` where missing.
    pub ints: [Option<i32>; DENSE_FEATURES],
    /// `C1..C26`, `None` where missing.
    pub ids: [Option<u32>; SPARSE_FEATURES],
    /// The probability that the label was drawn with.
    pub probability: f32,
}

/// Rows that follow one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Their lines.
    pub text: Vec<u8>,
    /// Their probabilities.
    pub probabilities: Vec<f32>,
}

/// Rows a block.
const BLOCK_ROWS: u64 = 4096;

/// Room for their text.
const BLOCK_BYTES: usize = 300 * BLOCK_ROWS as usize;

/// Features of a row before their ids are scrambled: ranks in each column's power law.
struct Features {
    ints: [Option<i32>; DENSE_FEATURES],
    ranks: [Option<u32>; SPARSE_FEATURES],
}

/// Generates rows; see the [module](self).
#[derive(Debug, Clone)]
pub struct Teacher {
    seed: u64,
    config: TeacherConfig,
    laws: [PowerLaw; SPARSE_FEATURES],
    effects: Effects,
}

impl Teacher {
    /// The teacher of `config` that `seed` makes. Its effects are scaled, and its bias is set, on
    /// a sample of its own rows.
    ///
    /// # Panics
    /// If a column of ids has no id, 2³¹ or more, a skew of 1, or only even draws.
    pub fn new(seed: u64, config: TeacherConfig) -> Self {
        let laws = config.ids.map(|column| PowerLaw::new(column.vocabulary, column.skew, column.even));
        let effects = Effects::new(seed, &config);
        let mut teacher = Teacher { seed, config, laws, effects };
        // Rows that nobody asks for: counted down from the last.
        let sample: Vec<Features> =
            (0..effects::SAMPLE).map(|k| teacher.features(&mut teacher.rng(u64::MAX - k))).collect();
        teacher.effects.calibrate(&teacher.config, &sample);
        teacher
    }

    /// Row `k`: a function of the seed, the configuration and `k` alone.
    pub fn row(&self, k: u64) -> GeneratedRow {
        let mut rng = self.rng(k);
        let features = self.features(&mut rng);
        let probability = effects::sigmoid(self.effects.logit(&features)) as f32;
        GeneratedRow {
            label: u8::from(rng.random::<f32>() < probability),
            ints: features.ints,
            ids: std::array::from_fn(|c| features.ranks[c].map(|rank| self.id(c, rank))),
            probability,
        }
    }

    /// The first `rows` rows in order, a [`Block`] at a time, after `finish` has been applied to
    /// each: both on all threads of the pool.
    pub fn blocks<T: Send>(&self, rows: u64, finish: impl Fn(Block) -> T + Sync) -> impl Iterator<Item = T> {
        let group = 4 * rayon::current_num_threads() as u64 * BLOCK_ROWS;
        (0..rows).step_by(group as usize).flat_map(move |first| {
            let starts: Vec<u64> = (first..rows.min(first + group)).step_by(BLOCK_ROWS as usize).collect();
            let block = |start| finish(self.block(start..rows.min(start + BLOCK_ROWS)));
            starts.into_par_iter().map(block).collect::<Vec<T>>()
        })
    }

    fn block(&self, rows: Range<u64>) -> Block {
        let mut block = Block { text: Vec::with_capacity(BLOCK_BYTES), probabilities: Vec::new() };
        for k in rows {
            let row = self.row(k);
            write_row(&mut block.text, Some(row.label), &row.ints, &row.ids);
            block.probabilities.push(row.probability);
        }
        block
    }

    /// The first `rows` rows as a dataset, by way of text and the reader, and the probability of
    /// each.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if there are fewer than seven rows.
    pub fn dataset(&self, rows: u64, min_count: u32) -> Result<(Dataset, Vec<f32>)> {
        let name = Path::new("generated rows");
        let mut builder = DatasetBuilder::default();
        let mut probabilities = Vec::new();
        for block in self.blocks(rows, |block| block) {
            builder.read(&mut RowReader::new(&block.text[..], name, Labels::Present, BadRows::Stop), |_| ())?;
            probabilities.extend(block.probabilities);
        }
        Ok((builder.finish(min_count, name)?, probabilities))
    }

    fn rng(&self, k: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(hash(self.seed, stream::ROW, k))
    }

    fn features(&self, rng: &mut Xoshiro256PlusPlus) -> Features {
        let ints = self.config.ints.map(|column| {
            let (present, u) = (rng.random::<f64>() >= column.missing, rng.random::<f64>());
            present.then(|| (column.median * (u / (1.0 - u)).powf(column.spread)).min(1e9) as i32 - column.shift)
        });
        let ranks = std::array::from_fn(|c| {
            let (present, u) = (rng.random::<f64>() >= self.config.ids[c].missing, rng.random::<f64>());
            present.then(|| self.laws[c].rank(u))
        });
        Features { ints, ranks }
    }

    /// What `rank` in column `c` is called: never 0, which means missing, since the key of the
    /// column has a bit that no rank has.
    fn id(&self, c: usize, rank: u32) -> u32 {
        let key = hash(self.seed, stream::KEY, c as u64) as u32 | 1 << 31;
        scramble(rank ^ key)
    }
}
