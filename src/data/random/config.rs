//! What random batches look like.

use crate::data::trace::StackDistribution;
use crate::error::{Error, Result};

/// How ids are drawn; dense features and labels are uniform on `[0, 1)` always.
#[derive(Debug, Clone, PartialEq)]
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
    /// Each bag is a trace of its own by
    /// [`trace_generate_lru`](StackDistribution::trace_generate_lru), ids that come again left out
    /// (the reference's `--data-generation=synthetic`, `generate_synthetic_input_batch`). A bag
    /// knows nothing of those before it: what ids come again is only within a bag.
    ///
    /// Ids outside the table are taken modulo its rows; then a bag may hold an id twice, as in the
    /// reference, and its ids are not sorted.
    Synthetic {
        /// One a table.
        tables: Vec<StackDistribution>,
        /// No new id once all have been in the bag; see the generator.
        padding: bool,
    },
}

/// What random batches look like (paper section 4.1, whose footnote 3 names the flags for the number of ids).
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
    /// Those of [`RandomBatches::new`](super::RandomBatches::new).
    pub(super) fn validate(&self) -> Result<()> {
        let bad = |m: String| Err(Error::Config(m));
        if self.batch_size == 0 {
            return bad("the batch size is 0, expected at least 1".to_owned());
        }
        if let Some(t) = self.num_embeddings.iter().position(|&rows| rows == 0 || rows as u64 > 1 << 32) {
            return bad(format!("table {t} has {} rows, expected 1 to 2^32", self.num_embeddings[t]));
        }
        match &self.distribution {
            Distribution::Uniform => Ok(()),
            &Distribution::Gaussian { min, max, mean, sd } => self.validate_gaussian(min, max, mean, sd),
            Distribution::Synthetic { tables, .. } if tables.len() == self.num_embeddings.len() => Ok(()),
            Distribution::Synthetic { tables, .. } => {
                bad(format!("stack distances of {} tables, expected {}", tables.len(), self.num_embeddings.len()))
            }
        }
    }

    fn validate_gaussian(&self, min: f64, max: f64, mean: f64, sd: f64) -> Result<()> {
        let bad = |m: String| Err(Error::Config(m));
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
        Ok(())
    }

    /// The number of batches of one pass.
    pub(super) fn batches(&self) -> usize {
        if self.num_batches > 0 { self.num_batches } else { self.num_samples.div_ceil(self.batch_size) }
    }

    /// The number of samples of one pass.
    pub(super) fn samples(&self) -> usize {
        if self.num_batches > 0 { self.num_batches * self.batch_size } else { self.num_samples }
    }

    /// The number of samples of batch `index`.
    pub(super) fn len_of(&self, index: usize) -> usize {
        if self.num_batches > 0 {
            self.batch_size
        } else {
            self.batch_size.min(self.num_samples - index * self.batch_size)
        }
    }
}
