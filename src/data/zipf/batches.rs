//! Whole batches.

use super::Zipf;
use super::scramble::Scramble;
use crate::batch::Batch;
use crate::data::source::{BatchSource, Position};
use crate::error::{Error, Result};
use crate::random::Stream;

/// What the batches look like.
#[derive(Debug, Clone, PartialEq)]
pub struct ZipfConfig {
    /// Dense features a sample; may be 0.
    pub dense_features: usize,
    /// Rows of each table.
    pub num_embeddings: Vec<usize>,
    /// Ids in each bag of each table; one may come twice.
    pub multi_hot_sizes: Vec<usize>,
    /// The exponent of the law, the same for every table.
    pub exponent: f64,
    /// Whether ranks are scattered over the table by a permutation that the seed decides. If not,
    /// rank `k` is row `k`: the rows most often met lie side by side, and share pages and lines.
    pub scrambled: bool,
    /// Samples a batch.
    pub batch_size: usize,
    /// Batches of one pass.
    pub num_batches: u64,
}

/// Rows of the tables of MLPerf's DLRM-DCNv2 (`--num_embeddings_per_feature`).
const MLPERF_NUM_EMBEDDINGS: [usize; 26] = [
    40_000_000, 39_060, 17_295, 7424, 20_265, 3, 7122, 1543, 63, 40_000_000, 3_067_956, 405_282, 10, 2209, 11_938, 155,
    4, 976, 14, 40_000_000, 40_000_000, 40_000_000, 590_152, 12_973, 108, 36,
];

/// Ids in each of their bags (`--multi_hot_sizes`): 214 in all.
const MLPERF_MULTI_HOT_SIZES: [usize; 26] =
    [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1];

impl ZipfConfig {
    /// The shape of MLPerf training's DLRM-DCNv2: 26 tables of 204 million rows in all, 214 ids a
    /// sample, batches of 65,536 (the README of `recommendation_v2/torchrec_dlrm` in the public
    /// repository `mlcommons/training`). Tables have at most `max_ind_range` rows.
    ///
    /// What is ours is the law: there the first id of a bag is Criteo's, and the others hang on it
    /// for good and are uniform.
    pub fn mlperf_dcn_v2(max_ind_range: usize, exponent: f64, num_batches: u64) -> Self {
        ZipfConfig {
            dense_features: 13,
            num_embeddings: MLPERF_NUM_EMBEDDINGS.map(|rows| rows.min(max_ind_range)).to_vec(),
            multi_hot_sizes: MLPERF_MULTI_HOT_SIZES.to_vec(),
            exponent,
            scrambled: true,
            batch_size: 65_536,
            num_batches,
        }
    }

    fn validate(&self) -> Result<()> {
        let bad = |m: String| Err(Error::Config(m));
        if self.batch_size == 0 {
            return bad("the batch size is 0, expected at least 1".to_owned());
        }
        if let Some(t) = self.num_embeddings.iter().position(|&rows| rows == 0 || rows as u64 > 1 << 32) {
            return bad(format!("table {t} has {} rows, expected 1 to 2^32", self.num_embeddings[t]));
        }
        if self.multi_hot_sizes.len() != self.num_embeddings.len() {
            return bad(format!(
                "multi-hot sizes of {} tables, expected {}",
                self.multi_hot_sizes.len(),
                self.num_embeddings.len()
            ));
        }
        if !(self.exponent >= 0.0 && self.exponent.is_finite()) {
            return bad(format!("Zipf's law with exponent {}, expected a finite number, not negative", self.exponent));
        }
        Ok(())
    }
}

/// Batches whose ids follow [`Zipf`]'s law; dense features are uniform on `[0, 1)`, and a sample in
/// four is a click.
///
/// Batch `i` is a function of the configuration, the seed and `i` alone, so that threads and
/// machines can each make their own; every pass is the same.
#[derive(Debug, Clone)]
pub struct ZipfBatches {
    config: ZipfConfig,
    seed: u64,
    /// One a table.
    laws: Vec<(Zipf, Option<Scramble>)>,
    next: u64,
    /// All passes are alike.
    pass: u64,
}

impl ZipfBatches {
    /// The batches of `seed`.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch size of 0, a table with no rows or more than 2³², an exponent
    /// that is negative or not finite, or multi-hot sizes that are not one a table.
    pub fn new(config: ZipfConfig, seed: u64) -> Result<Self> {
        config.validate()?;
        let law = |(table, &rows): (u64, &usize)| {
            // Counted down from the last, so that no batch has the same stream.
            let scramble = || Scramble::new(rows, &mut Stream::native_at(seed, u64::MAX - table));
            (Zipf::new(rows, config.exponent), config.scrambled.then(scramble))
        };
        let laws = (0..).zip(&config.num_embeddings).map(law).collect();
        Ok(ZipfBatches { config, seed, laws, next: 0, pass: 0 })
    }

    /// What the batches look like.
    pub fn config(&self) -> &ZipfConfig {
        &self.config
    }

    /// The row of `table` that is met most often but for `rank` others.
    ///
    /// # Panics
    /// If there is no such table or rank.
    pub fn row(&self, table: usize, rank: u32) -> u32 {
        let (law, scramble) = &self.laws[table];
        assert!(f64::from(rank) < law.ranks, "ZipfBatches: rank {rank} of {}", law.ranks);
        scramble.as_ref().map_or(rank, |s| s.row(rank))
    }

    /// Replaces `batch` by batch `index`, which may lie behind the end of the pass.
    pub fn fill(&self, index: u64, batch: &mut Batch) {
        let mut stream = Stream::native_at(self.seed, index);
        let ZipfConfig { dense_features, multi_hot_sizes, batch_size, .. } = &self.config;
        batch.clear(*dense_features, self.laws.len());
        batch.dense.resize(batch_size * dense_features, 0.0);
        stream.fill_uniform(&mut batch.dense, 0.0, 1.0);
        let mut ids = Vec::new();
        for ((bags, (law, scramble)), &size) in batch.sparse.iter_mut().zip(&self.laws).zip(multi_hot_sizes) {
            for _ in 0..*batch_size {
                let ranks = (0..size).map(|_| law.rank(&mut stream));
                ids.clear();
                match scramble {
                    Some(scramble) => ids.extend(ranks.map(|rank| scramble.row(rank))),
                    None => ids.extend(ranks),
                }
                bags.push_bag(&ids);
            }
        }
        batch.labels.extend((0..*batch_size).map(|_| f32::from(stream.uniform() < 0.25)));
    }
}

impl BatchSource for ZipfBatches {
    fn rows(&self) -> usize {
        self.config.num_batches as usize * self.config.batch_size
    }

    fn position(&self) -> Position {
        Position { pass: self.pass, rows: self.next * self.config.batch_size as u64 }
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.next = position.batch(self.rows(), self.config.batch_size)?;
        self.pass = position.pass;
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        if self.next == self.config.num_batches {
            batch.clear(self.config.dense_features, self.laws.len());
            return Ok(false);
        }
        self.fill(self.next, batch);
        self.next += 1;
        Ok(true)
    }
}
