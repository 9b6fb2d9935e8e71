//! Random batches, draw for draw those of the public reference (`generate_dist_input_batch` and
//! `generate_random_output_batch` of its `dlrm_data_pytorch.py`; paper section 4).

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::random::Stream;

/// How ids are drawn; dense features and labels are uniform on `[0, 1)` always.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// `round(u·(num_embeddings - 1))`, ties to even: the first and the last row have half the
    /// probability of the others. Ids of a bag are distinct.
    Uniform,
    /// A normal deviate clipped to `[min, max]`, the same for every table, and truncated to an
    /// integer. A bag may hold an id twice: the reference drops equal deviates before it truncates.
    Gaussian {
        /// Lower bound, at least 0.
        min: f64,
        /// Upper bound, below every table's number of rows.
        max: f64,
        /// The reference puts `(min + max) / 2` here when its `--rand-data-mu` is -1, the default.
        mean: f64,
        /// Standard deviation.
        sd: f64,
    },
}

/// What random batches look like.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomConfig {
    /// Dense features a sample; may be 0.
    pub dense_features: usize,
    /// Rows of each table.
    pub num_embeddings: Vec<usize>,
    /// Samples in all; without effect if `num_batches` is set.
    pub num_samples: usize,
    /// Samples a batch. The last batch has what is left of `num_samples`.
    pub batch_size: usize,
    /// So many full batches, whatever `num_samples` says; 0 for as many as `num_samples` fill.
    pub num_batches: usize,
    /// Ids drawn for a bag, before equal ones are merged.
    pub num_indices_per_lookup: usize,
    /// `num_indices_per_lookup` draws for every bag; otherwise each bag first draws its number,
    /// `round(max(1, u·min(num_indices_per_lookup, num_embeddings)))`.
    pub fixed: bool,
    /// How ids are drawn.
    pub distribution: Distribution,
    /// Labels are 0 or 1 rather than anything between.
    pub round_targets: bool,
}

impl RandomConfig {
    /// Whether batches can be made of it.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch size of 0, a table with no rows or more than 2³², or a Gaussian
    /// that leaves a table.
    fn validate(&self) -> Result<()> {
        let bad = |m: String| Err(Error::Config(m));
        if self.batch_size == 0 {
            return bad("the batch size is 0, expected at least 1".to_owned());
        }
        if let Some(t) = self.num_embeddings.iter().position(|&rows| rows == 0 || rows as u64 > 1 << 32) {
            return bad(format!("table {t} has {} rows, expected 1 to 2^32", self.num_embeddings[t]));
        }
        if let Distribution::Gaussian { min, max, mean, sd } = self.distribution {
            let fewest = self.num_embeddings.iter().copied().min().unwrap_or(usize::MAX);
            if !(0.0 <= min && min <= max && (max as usize) < fewest) {
                return bad(format!(
                    "ids between {min} and {max}, expected 0 <= min <= max < {fewest}, the rows of the smallest table"
                ));
            }
            if !mean.is_finite() || !sd.is_finite() || sd < 0.0 {
                return bad(format!(
                    "ids with mean {mean} and deviation {sd}, expected finite numbers, the second not negative"
                ));
            }
        }
        Ok(())
    }

    /// The number of batches of one pass.
    fn batches(&self) -> usize {
        if self.num_batches > 0 { self.num_batches } else { self.num_samples.div_ceil(self.batch_size) }
    }

    /// The number of samples of batch `index`.
    fn len_of(&self, index: usize) -> usize {
        if self.num_batches > 0 {
            self.batch_size
        } else {
            self.batch_size.min(self.num_samples - index * self.batch_size)
        }
    }
}

/// A pass over random batches; every pass starts from the same point of the stream and is the same
/// data.
///
/// The draws of a batch, in order: its dense features, row-major; table after table, sample after
/// sample, the number of ids (unless fixed) and the ids; its labels.
#[derive(Debug, Clone)]
pub struct RandomBatches {
    config: RandomConfig,
    start: Stream,
    stream: Stream,
    next: usize,
    ids: Vec<u32>,
    deviates: Vec<f64>,
}

impl RandomBatches {
    /// Batches drawn from `start`, where the reference has `np.random.seed(seed)`.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch size of 0, a table with no rows or more than 2³², or a Gaussian
    /// that leaves a table.
    pub fn new(config: RandomConfig, start: Stream) -> Result<Self> {
        config.validate()?;
        Ok(RandomBatches { config, stream: start.clone(), start, next: 0, ids: Vec::new(), deviates: Vec::new() })
    }

    /// What the batches look like.
    pub fn config(&self) -> &RandomConfig {
        &self.config
    }

    /// The number of batches of one pass.
    pub fn num_batches(&self) -> usize {
        self.config.batches()
    }

    /// The stream where the last batch left it. In its debug mode the reference makes every batch
    /// before it draws the initial weights, and goes on from here.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Back to the first batch, and to the start of the stream.
    pub fn reset(&mut self) {
        self.next = 0;
        self.stream.clone_from(&self.start);
    }

    /// Replaces `batch` by the next one; `false`, and `batch` as it was, if the pass is over.
    pub fn next_batch(&mut self, batch: &mut Batch) -> bool {
        if self.next == self.config.batches() {
            return false;
        }
        let b = self.config.len_of(self.next);
        self.next += 1;

        batch.clear(self.config.dense_features, self.config.num_embeddings.len());
        batch.dense.resize(b * self.config.dense_features, 0.0);
        self.stream.fill_uniform(&mut batch.dense, 0.0, 1.0);
        for (table, bags) in batch.sparse.iter_mut().enumerate() {
            for _ in 0..b {
                self.draw_bag(self.config.num_embeddings[table]);
                bags.push_bag(&self.ids);
            }
        }
        batch.labels.resize(b, 0.0);
        self.stream.fill_uniform(&mut batch.labels, 0.0, 1.0);
        if self.config.round_targets {
            batch.labels.iter_mut().for_each(|t| *t = t.round_ties_even());
        }
        true
    }

    /// Fills `ids` with one bag of a table of `rows`.
    fn draw_bag(&mut self, rows: usize) {
        let most = self.config.num_indices_per_lookup;
        let draws = if self.config.fixed {
            most
        } else {
            (self.stream.uniform() * most.min(rows) as f64).max(1.0).round_ties_even() as usize
        };
        self.ids.clear();
        match self.config.distribution {
            Distribution::Uniform => {
                let last = (rows - 1) as f64;
                let draw = || (self.stream.uniform() * last).round_ties_even() as u32;
                self.ids.extend(std::iter::repeat_with(draw).take(draws));
                self.ids.sort_unstable();
                self.ids.dedup();
            }
            Distribution::Gaussian { min, max, mean, sd } => {
                self.deviates.clear();
                let draw = || self.stream.normal_with(mean, sd).clamp(min, max);
                self.deviates.extend(std::iter::repeat_with(draw).take(draws));
                self.deviates.sort_unstable_by(f64::total_cmp);
                self.deviates.dedup();
                self.ids.extend(self.deviates.iter().map(|&x| x as u32));
            }
        }
    }
}
