//! Where batches come from.
//!
//! ```text
//! Samples      rows that can be had by number: a Dataset in memory, a RowFile on the disk
//!    │
//! RowSource    some of them in an Order, as batches, from any Position on
//!    │
//! Prefetch     the same batches, made ahead on a thread of their own
//! ```

mod change;
mod mailbox;
mod order;
mod permutation;
mod prefetch;
mod rows;
mod samples;

pub use change::{Change, Changed};
pub use order::Order;
pub use prefetch::Prefetch;
pub use rows::RowSource;
pub use samples::Samples;

use crate::batch::Batch;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Batches, pass after pass over the same samples.
///
/// The training loop and evaluation know no more than this, so that rows in memory, a binary
/// file, a thread that reads ahead or one rank's share can stand behind it.
pub trait BatchSource {
    /// The number of samples in one pass.
    fn rows(&self) -> usize;

    /// How far it is: what is given out next begins here.
    fn position(&self) -> Position;

    /// Goes on from `position`, with the batches that came after it or would have come: they
    /// depend on it, and on nothing that happened before.
    ///
    /// # Errors
    /// If a pass has no such position, or the samples cannot be had again.
    fn seek(&mut self, position: Position) -> Result<()>;

    /// Refills `batch` with the next samples and returns true, or returns false at the end of
    /// the pass.
    ///
    /// # Errors
    /// If the samples cannot be read.
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool>;

    /// Begins pass `epoch`, from 0.
    ///
    /// # Errors
    /// Those of [`seek`](Self::seek).
    fn start_epoch(&mut self, epoch: u64) -> Result<()> {
        self.seek(Position { pass: epoch, rows: 0 })
    }

    /// How long [`next_batch`](Self::next_batch) has waited in all for another thread to have
    /// the batch ready. A source that makes its batches itself waits for nobody.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

impl Position {
    /// The number of the batch that begins here, in passes of `rows` samples in batches of `batch_size`.
    ///
    /// # Errors
    /// [`Error::Config`] if none does, and it is not the end of a pass.
    pub(super) fn batch(self, rows: usize, batch_size: usize) -> Result<u64> {
        let (at, rows, size) = (self.rows, rows as u64, batch_size as u64);
        if at > rows || (at < rows && !at.is_multiple_of(size)) {
            let message = format!("{at} rows into a pass, but a pass has {rows}, in batches of {size}");
            return Err(Error::Config(message));
        }
        Ok(at.div_ceil(size))
    }
}

/// A place in the passes of a [`BatchSource`], small enough to be kept with a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The pass, from 0.
    pub pass: u64,
    /// Samples of this pass that were given out.
    pub rows: u64,
}
