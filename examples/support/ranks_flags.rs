//! Ranks that compute one model together: threads of this process, or processes that `mpirun` starts in a build with the
//! feature `mpi`.

use clap::Args;
use dlrm::comm::{Communicator, threads};
use dlrm::{Error, Result};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{available_parallelism, scope};

#[derive(Args)]
pub struct RanksFlags {
    /// Compute on so many ranks, which are threads of this process: each has its share of every batch, some tables or parts
    /// of them, and its share of --threads.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub ranks: Option<u16>,
    /// The same on the processes that mpirun starts, of which this is one, in a build with --features mpi; --threads is then
    /// of each process.
    #[arg(long, conflicts_with = "ranks")]
    pub mpi: bool,
}

impl RanksFlags {
    /// The flag that was given, if one was.
    pub fn given(&self) -> Option<&'static str> {
        if self.mpi { Some("--mpi") } else { self.ranks.map(|_| "--ranks") }
    }

    /// What the ranks are.
    pub fn are(&self) -> &'static str {
        if self.mpi { "processes" } else { "threads" }
    }

    /// Runs `work` on each rank, and returns what it made on rank 0, if that is in this process. `work` leaves no clone of
    /// its communicator behind.
    ///
    /// Where one rank fails, the others end too; the error is what happened to that one. Under MPI a rank that fails ends
    /// alone, and what makes the others end is that `main` returns without [`Communicator::finish`].
    pub fn run<T: Send>(&self, work: impl Fn(Arc<Communicator>) -> Result<T> + Sync) -> Result<Option<T>> {
        if self.mpi {
            return mpi(&work);
        }
        let ends: Vec<Result<T>> = scope(|scope| {
            let start = |transport| scope.spawn(|| rank(Communicator::new(transport), &work));
            let ranks: Vec<_> = threads(self.ranks.map_or(1, usize::from)).into_iter().map(start).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        // Of those that failed, most only say that another has ended.
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        ends.into_iter().for_each(|end| end.map_or_else(|e| failed.push(e), |end| made.push(end)));
        failed.sort_by_key(|error| matches!(error, Error::Rank { .. }));
        failed.into_iter().next().map_or(Ok(made.into_iter().next()), Err)
    }

    /// Threads of this rank, where `--threads` is `asked`; 0 means one for each processor. Processors that several ranks may
    /// use are shared out among them.
    pub fn threads(&self, comm: &Communicator, asked: usize) -> Result<usize> {
        let processors = available_parallelism().map_or(1, usize::from);
        if !self.mpi {
            let all = if asked == 0 { processors } else { asked };
            return Ok(comm.share(all, comm.rank()).len().max(1));
        }
        let mine = usable_processors();
        let all = comm.all_gather(mine.as_bytes())?;
        let here = (0..comm.size()).filter(|&rank| all.part(rank) == mine.as_bytes()).count();
        Ok(if asked == 0 { (processors / here).max(1) } else { asked })
    }
}

/// One rank, from its beginning to its end.
fn rank<T>(comm: Communicator, work: &impl Fn(Arc<Communicator>) -> Result<T>) -> Result<T> {
    let comm = Arc::new(comm);
    let made = work(comm.clone())?;
    Arc::into_inner(comm).expect("no clone is left").finish();
    Ok(made)
}

#[cfg(feature = "mpi")]
fn mpi<T>(work: &impl Fn(Arc<Communicator>) -> Result<T>) -> Result<Option<T>> {
    let comm = dlrm::comm::Mpi::communicator()?;
    let number = comm.rank();
    let made = rank(comm, work).inspect_err(|_| {
        // A mistake in a flag is made by all: the others wait until mpirun ends them because of the first.
        if number > 0 {
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
    })?;
    Ok((number == 0).then_some(made))
}

#[cfg(not(feature = "mpi"))]
fn mpi<T>(_: &impl Fn(Arc<Communicator>) -> Result<T>) -> Result<Option<T>> {
    Err(Error::Config("--mpi: this build has no MPI, expected one built with --features mpi".into()))
}

/// The machine, and those of its processors that this process may use, where Linux tells.
fn usable_processors() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let allowed = status.lines().find(|line| line.starts_with("Cpus_allowed_list"));
    read("/proc/sys/kernel/hostname") + allowed.unwrap_or_default()
}
