//! Exchanges that go on while the caller computes: a thread of its own does them, one after the other.

use super::{Parts, Transport};
use crate::error::{Error, Result};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one kind of exchange has moved and taken so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How often.
    pub exchanges: u64,
    /// Bytes that went to other ranks.
    pub bytes: u64,
    /// From when each began until it was done here, with the wait for the slowest rank.
    pub time: Duration,
    /// The part of it that somebody waited for, doing nothing else.
    pub waited: Duration,
}

/// A kind of exchange, for [`Traffic`].
pub(super) type Kind = &'static str;

/// What was moved, by kind, in the order of first use.
pub(super) type Ledger = Arc<Mutex<Vec<(Kind, Traffic)>>>;

/// An exchange that is to be done.
type Job = Box<dyn FnOnce(&mut dyn Transport) + Send>;

/// The thread that owns the transport.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<Job>,
    pub ledger: Ledger,
    thread: JoinHandle<()>,
}

/// Something that is on its way.
#[derive(Debug)]
#[must_use = "an exchange is over when someone has waited for it"]
pub struct Pending<T> {
    kind: Kind,
    result: Receiver<Result<T>>,
    ledger: Ledger,
}

impl<T> Pending<T> {
    /// Waits until it is there.
    ///
    /// # Errors
    /// [`Error::Rank`] if a rank has ended.
    pub fn wait(self) -> Result<T> {
        let start = Instant::now();
        let result = self.result.recv();
        account(&self.ledger, self.kind, |traffic| traffic.waited += start.elapsed());
        // The worker goes on whatever happens in a job, but for a panic of its transport.
        result.unwrap_or_else(|_| Err(Error::Config(format!("{}: the exchange was given up", self.kind))))
    }
}

fn account(ledger: &Ledger, kind: Kind, add: impl FnOnce(&mut Traffic)) {
    let mut all = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().position(|(k, _)| *k == kind).unwrap_or_else(|| {
        all.push((kind, Traffic::default()));
        all.len() - 1
    });
    add(&mut all[at].1);
}

impl Worker {
    /// A thread that makes its transport itself, and keeps it to its end. Returns the rank and the number of ranks too.
    pub fn start_with<T: Transport>(make: impl FnOnce() -> Result<T> + Send + 'static) -> Result<(Self, [usize; 2])> {
        let (jobs, todo) = channel::<Job>();
        let (made, is_made) = sync_channel(1);
        let ledger = Ledger::default();
        let work = move || {
            let mut transport = match make() {
                Ok(transport) => transport,
                Err(error) => return drop(made.send(Err(error))),
            };
            if made.send(Ok([transport.rank(), transport.size()])).is_ok() {
                todo.into_iter().for_each(|job| job(&mut transport));
            }
        };
        let thread = std::thread::Builder::new().name("dlrm-comm".into()).spawn(work);
        let thread = thread.map_err(|e| Error::Config(format!("no thread for exchanges: {e}")))?;
        let ended = || Err(Error::Config("the thread for exchanges ended before it began".into()));
        let rank = is_made.recv().unwrap_or_else(|_| ended())?;
        Ok((Worker { jobs, ledger, thread }, rank))
    }

    /// Does what is left to do, and ends the thread.
    pub fn finish(self) {
        drop(self.jobs);
        // A panic there was told when it happened.
        let _ = self.thread.join();
    }

    /// Has the thread do `work` after what it was given before. `work` returns what it made, and how many bytes went
    /// to other ranks.
    pub fn start<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&mut dyn Transport) -> (Result<T>, u64) + Send + 'static,
    ) -> Pending<T> {
        let (sender, result): (SyncSender<Result<T>>, _) = sync_channel(1);
        let ledger = self.ledger.clone();
        let job = Box::new(move |transport: &mut dyn Transport| {
            let start = Instant::now();
            let (made, bytes) = work(transport);
            // Before who waits goes on: what they waited for is in the ledger.
            account(&ledger, kind, |traffic| {
                traffic.exchanges += 1;
                traffic.bytes += bytes;
                traffic.time += start.elapsed();
            });
            // Nobody may be waiting any more.
            let _ = sender.send(made);
        });
        // If the thread is gone, the wait says so.
        let _ = self.jobs.send(job);
        Pending { kind, result, ledger: self.ledger.clone() }
    }
}

/// Bytes of `send` for other ranks than `rank`.
pub(super) fn outgoing(send: &Parts, rank: usize) -> u64 {
    (send.all().len() - send.part(rank).len()) as u64
}
