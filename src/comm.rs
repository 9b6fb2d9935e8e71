//! Ranks that compute one model together: who they are, and how they exchange numbers.
//!
//! A [`Transport`] moves bytes between the ranks of a group, one exchange after the other; [`threads`] makes one of the
//! threads of this process. A [`Communicator`] makes of it the operations of paper section 3, in a blocking form and in
//! one that goes on while the caller computes.
//!
//! There is one primitive, the personalised all-to-all (the paper's butterfly shuffle). The all-reduce is two of them:
//! each rank gets its share of everybody's numbers, adds them *in the order of the ranks*, and sends the sums around. That
//! moves `2 (N − 1) / N` times the numbers, the least there is, and gives the same bits on all ranks, in every run,
//! whatever moves the bytes.
//!
//! ```
//! use dlrm::comm::{Communicator, threads};
//!
//! let ranks = threads(2).into_iter().map(|transport| {
//!     std::thread::spawn(move || {
//!         let comm = Communicator::new(transport);
//!         let mut numbers = [comm.rank() as f32 + 1.0; 3];
//!         comm.all_reduce(&mut numbers)?;
//!         Ok::<_, dlrm::Error>(numbers)
//!     })
//! });
//! for rank in ranks.collect::<Vec<_>>() {
//!     assert_eq!(rank.join().unwrap()?, [3.0; 3]);
//! }
//! # Ok::<(), dlrm::Error>(())
//! ```

mod agree;
mod exchange;
#[cfg(feature = "mpi")]
mod mpi;
mod parts;
mod threads;
mod worker;

pub use exchange::Communicator;
pub(crate) use exchange::share;
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use parts::Parts;
pub(crate) use parts::numbers;
pub use threads::{Threads, threads};
pub use worker::{Pending, Traffic};

use crate::error::Result;
use std::fmt::Debug;

/// What moves bytes between the ranks of a group.
///
/// Every rank of the group calls the same operations in the same order; a rank that ends, for whatever reason, makes the
/// calls of the others fail instead of wait.
pub trait Transport: Debug + 'static {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are, `N`.
    fn size(&self) -> usize;

    /// The personalised all-to-all: part `r` of `send` goes to rank `r`, and part `r` of `receive` is afterwards what
    /// rank `r` sent here. Parts may be empty and of different lengths.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    ///
    /// # Panics
    /// If `send` has not a part a rank.
    fn all_to_all(&mut self, send: &Parts, receive: &mut Parts) -> Result<()>;
}
