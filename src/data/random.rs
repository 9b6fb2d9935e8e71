//! Random batches, draw for draw those of the public reference (`generate_dist_input_batch`,
//! `generate_synthetic_input_batch` and `generate_random_output_batch` of its
//! `dlrm_data_pytorch.py`; paper sections 4.1 and 4.2).

mod config;

pub use config::{Distribution, RandomConfig};

use crate::batch::Batch;
use crate::data::source::{BatchSource, Position};
use crate::error::Result;
use crate::random::Stream;

/// A pass over random batches (paper section 4.1; footnote 9 has a command line for them); every pass starts from the same
/// point of the stream and is the same data.
///
/// The draws of a batch, in order: its dense features, row-major; table after table, sample after
/// sample, the number of ids (unless fixed) and the ids; its labels.
#[derive(Debug, Clone)]
pub struct RandomBatches {
    config: RandomConfig,
    start: Stream,
    stream: Stream,
    next: usize,
    /// All passes are alike.
    pass: u64,
    ids: Vec<u32>,
    deviates: Vec<f64>,
}

impl RandomBatches {
    /// Batches drawn from `start`, where the reference has `np.random.seed(seed)`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a batch size of 0, a table with no rows or more
    /// than 2³², a Gaussian that leaves a table, or stack distances that are not one distribution a
    /// table.
    pub fn new(config: RandomConfig, start: Stream) -> Result<Self> {
        config.validate()?;
        let stream = start.clone();
        Ok(RandomBatches { config, stream, start, next: 0, pass: 0, ids: Vec::new(), deviates: Vec::new() })
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

    /// Draws the batches to come from `stream`, until [`reset`](Self::reset): the reference tests on the stream that it
    /// trains on, and what follows a test is drawn from where the test left it.
    pub fn set_stream(&mut self, stream: &Stream) {
        self.stream.clone_from(stream);
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
                self.draw_bag(table);
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

    /// Fills `ids` with one bag of `table`.
    fn draw_bag(&mut self, table: usize) {
        let rows = self.config.num_embeddings[table];
        let most = self.config.num_indices_per_lookup;
        let draws = if self.config.fixed {
            most
        } else {
            (self.stream.uniform() * most.min(rows) as f64).max(1.0).round_ties_even() as usize
        };
        self.ids.clear();
        match &self.config.distribution {
            Distribution::Uniform => {
                let last = (rows - 1) as f64;
                let draw = || (self.stream.uniform() * last).round_ties_even() as u32;
                self.ids.extend(std::iter::repeat_with(draw).take(draws));
                self.ids.sort_unstable();
                self.ids.dedup();
            }
            &Distribution::Gaussian { min, max, mean, sd } => {
                self.deviates.clear();
                let draw = || self.stream.normal_with(mean, sd).clamp(min, max);
                self.deviates.extend(std::iter::repeat_with(draw).take(draws));
                self.deviates.sort_unstable_by(f64::total_cmp);
                self.deviates.dedup();
                self.ids.extend(self.deviates.iter().map(|&x| x as u32));
            }
            Distribution::Synthetic { tables, padding } => {
                let mut trace = tables[table].trace_generate_lru(draws, *padding, &mut self.stream);
                trace.sort_unstable();
                trace.dedup();
                self.ids.extend(trace.iter().map(|&id| (id % rows as u64) as u32));
            }
        }
    }
}

impl BatchSource for RandomBatches {
    fn rows(&self) -> usize {
        self.config.samples()
    }

    fn position(&self) -> Position {
        let rows = (self.next * self.config.batch_size).min(self.config.samples());
        Position { pass: self.pass, rows: rows as u64 }
    }

    /// The stream has no places: batches before the position are drawn again.
    fn seek(&mut self, position: Position) -> Result<()> {
        let batches = position.batch(self.config.samples(), self.config.batch_size)?;
        self.reset();
        self.pass = position.pass;
        let mut batch = Batch::default();
        (0..batches).for_each(|_| _ = self.next_batch(&mut batch));
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        Ok(self.next_batch(batch))
    }
}
