//! Ranks that are processes, on one machine or many, started by `mpirun`.

use super::{Communicator, Parts, Transport};
use crate::error::{Error, Result};
use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::traits::{Communicator as _, CommunicatorCollectives};

/// A rank among the processes of an MPI job.
///
/// All calls of MPI are made by the thread that owns it, one after the other. A process that ends without
/// [`Communicator::finish`] ends the job: `mpirun` says so, and stops the others.
pub struct Mpi {
    universe: Universe,
    /// Bytes to each rank, and where they begin; then the same of what comes.
    counts: [Vec<i32>; 4],
    received: Vec<u8>,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mpi(rank {} of {})", self.rank(), self.size())
    }
}

impl Mpi {
    /// This process as a rank of the job that it was started in; alone, if it was started without `mpirun`. Once a
    /// process.
    ///
    /// # Errors
    /// [`Error::Config`] if MPI was used in this process before, or its library does not let one thread of several
    /// call it.
    pub fn communicator() -> Result<Communicator> {
        Communicator::start(|| {
            let universe = mpi::initialize_with_threading(Threading::Serialized);
            let (universe, _) =
                universe.filter(|&(_, threading)| threading >= Threading::Serialized).ok_or_else(|| {
                    Error::Config("MPI: was begun before, or its library has no MPI_THREAD_SERIALIZED".into())
                })?;
            Ok(Mpi { universe, counts: Default::default(), received: Vec::new() })
        })
    }
}

/// Where runs of so many bytes begin.
fn starts(counts: &[i32], starts: &mut Vec<i32>) -> Result<usize> {
    starts.clear();
    let mut end = 0i32;
    for &count in counts {
        starts.push(end);
        end = end.checked_add(count).ok_or_else(too_much)?;
    }
    Ok(end as usize)
}

fn too_much() -> Error {
    Error::Config("ranks: an exchange of more than 2 GiB a rank, expected a smaller batch".into())
}

impl Transport for Mpi {
    fn rank(&self) -> usize {
        self.universe.world().rank() as usize
    }

    fn size(&self) -> usize {
        self.universe.world().size() as usize
    }

    fn all_to_all(&mut self, send: &Parts, receive: &mut Parts) -> Result<()> {
        let (world, size) = (self.universe.world(), self.size());
        assert_eq!(send.len(), size, "all_to_all: parts and ranks");
        let Mpi { counts: [to, to_at, from, from_at], received, .. } = self;
        to.clear();
        for rank in 0..size {
            to.push(send.part(rank).len().try_into().map_err(|_| too_much())?);
        }
        starts(to, to_at)?;
        from.resize(size, 0);
        world.all_to_all_into(&to[..], &mut from[..]);
        received.resize(starts(from, from_at)?, 0);
        // No bytes at all must have an address all the same: Rust's for an empty list is 1, which Open MPI takes for
        // MPI_IN_PLACE.
        received.reserve(1);
        let bytes = if send.all().is_empty() { &[0][..0] } else { send.all() };
        let all = Partition::new(bytes, &to[..], &to_at[..]);
        world.all_to_all_varcount_into(&all, &mut PartitionMut::new(&mut received[..], &from[..], &from_at[..]));
        receive.clear();
        for (&count, &start) in from.iter().zip(&*from_at) {
            receive.extend(&received[start as usize..][..count as usize]);
            receive.end();
        }
        Ok(())
    }
}
