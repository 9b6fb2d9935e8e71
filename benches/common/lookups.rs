//! Lists of row numbers: many different ones, used in turn, so that the rows of one are out of the caches
//! when it comes again.

use dlrm::Stream;
use dlrm_kernels::embedding_bag::Bags;
use std::ops::Range;

/// Values of a table for one thread, 512 MiB: more than a last level of cache.
pub const TABLE: usize = 1 << 27;

/// Bags of a list.
pub const BATCH: usize = 2048;

/// Values of the rows that all lists name together, or nearly: 128 MiB.
pub const NAMED: usize = 1 << 25;

/// How skewed Zipf's ids are: of a million rows, 310 get half of the lookups.
const ZIPF: f64 = 1.05;

/// How ids are drawn.
#[derive(Clone, Copy)]
pub enum Ids {
    /// Each row is as likely.
    Uniform,
    /// The i-th most frequent row has a probability of about i^-1.05; frequent rows lie anywhere.
    Zipf,
    /// One row alone.
    Same,
}

impl Ids {
    pub fn name(self) -> &'static str {
        match self {
            Ids::Uniform => "uniform",
            Ids::Zipf => "zipf",
            Ids::Same => "same",
        }
    }

    /// A row out of `rows`, a power of two.
    fn draw(self, rows: usize, stream: &mut Stream) -> u32 {
        let u = stream.uniform();
        match self {
            Ids::Uniform => (u * rows as f64) as u32,
            Ids::Zipf => {
                // The inverse of the distribution that has the density x^-ZIPF on [1, rows + 1).
                let power = 1.0 - ZIPF;
                let rank = (u * ((rows as f64 + 1.0).powf(power) - 1.0) + 1.0).powf(1.0 / power) as u64 - 1;
                // An odd factor maps a power of two of rows to itself.
                (rank.wrapping_mul(0x9e37_79b9) % rows as u64) as u32
            }
            Ids::Same => rows as u32 / 2,
        }
    }
}

/// Lists of [`BATCH`] bags each.
pub struct Lookups {
    ids: Vec<u32>,
    offsets: Vec<u32>,
    count: usize,
    turn: usize,
}

impl Lookups {
    /// Lists of `lookups` ids a bag, for rows of `dim` values of a table of [`TABLE`] values.
    pub fn new(ids: Ids, dim: usize, lookups: usize) -> Lookups {
        let count = (NAMED / (dim * BATCH * lookups)).max(2);
        let mut stream = Stream::native(7);
        let offsets = (0..=count * BATCH).map(|b| (b * lookups) as u32).collect();
        let ids = (0..count * BATCH * lookups).map(|_| ids.draw(TABLE / dim, &mut stream)).collect();
        Lookups { ids, offsets, count, turn: 0 }
    }

    /// How many lists there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// List `i`.
    pub fn list(&self, i: usize) -> Bags<'_> {
        let bags: Range<usize> = i * BATCH..(i + 1) * BATCH;
        Bags { indices: &self.ids, offsets: &self.offsets, weights: None }.slice(bags)
    }

    /// The list whose turn it is.
    pub fn next(&mut self) -> Bags<'_> {
        self.turn = (self.turn + 1) % self.count;
        self.list(self.turn)
    }
}
