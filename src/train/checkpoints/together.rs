//! A checkpoint that all ranks write, while they train.

use super::{Written, spawn};
use crate::checkpoint::{CheckpointDir, SharedFile, Snapshot, poll};
use crate::comm::Communicator;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A save that all ranks have begun. It has two stages, and ranks come from one to the next together: each writes its
/// parts; rank 0 writes the header, gives the file its name and removes what is old.
///
/// A thread of each rank does the work. What ranks tell one another is exchanged by the thread that trains, since all
/// exchanges have one order.
#[derive(Debug)]
pub(super) struct Together {
    comm: Arc<Communicator>,
    dir: Arc<CheckpointDir>,
    file: Arc<SharedFile>,
    step: u64,
    best: Option<u64>,
    work: Task,
    /// Whether all parts are on the disk.
    is_written: bool,
    snapshot: Snapshot,
    /// How it ended, and how long this rank's threads took.
    end: Option<Result<Pruned>>,
    time: Duration,
}

/// What rank 0 says of the removal of old files, if it went wrong.
type Pruned = Option<String>;

/// This rank's part in a stage.
#[derive(Debug)]
enum Task {
    Runs(JoinHandle<Done>),
    Ended(Result<Vec<u8>>),
}

#[derive(Debug)]
struct Done {
    snapshot: Snapshot,
    made: Result<Vec<u8>>,
    time: Duration,
}

impl Together {
    /// All ranks begin to write their copies.
    ///
    /// # Errors
    /// The same on all ranks, if rank 0 cannot make the file.
    pub fn start(
        comm: Arc<Communicator>,
        dir: Arc<CheckpointDir>,
        step: u64,
        best: Option<u64>,
        snapshot: Snapshot,
    ) -> Result<Self> {
        let file = Arc::new(dir.begin(&comm, step, &snapshot)?);
        let part = file.clone();
        let work = Task::start(&file, snapshot, move |snapshot| part.write(&snapshot.tensors()));
        let (snapshot, time) = Default::default();
        Ok(Together { comm, dir, file, step, best, work, is_written: false, snapshot, end: None, time })
    }

    /// Tells the others how far this rank is; whether all is done.
    pub fn poll(&mut self) -> bool {
        if let Task::Runs(thread) = &self.work
            && thread.is_finished()
        {
            self.join();
        }
        self.exchange();
        self.end.is_some()
    }

    /// Waits for all ranks, and says how it went.
    pub fn finish(mut self) -> (Snapshot, Written) {
        while self.end.is_none() {
            self.join();
            self.exchange();
        }
        let (bytes, pruned) = match self.end.take().expect("it has ended") {
            Err(e) => (Err(e), None),
            Ok(pruned) => (Ok(self.file.bytes()), pruned),
        };
        let pruned = pruned.map_or(Ok(()), |message| Err(Error::Rank { rank: 0, message }));
        (self.snapshot, Written { bytes, pruned, time: self.time })
    }

    /// Ends this rank's part, whatever the others do.
    pub fn give_up(mut self) {
        self.join();
        self.file.give_up();
    }

    /// Waits for this rank's thread.
    fn join(&mut self) {
        let ended = Task::Ended(Ok(Vec::new()));
        self.work = match std::mem::replace(&mut self.work, ended) {
            Task::Runs(thread) => {
                let Done { snapshot, made, time } =
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                self.snapshot = snapshot;
                self.time += time;
                Task::Ended(made)
            }
            ended => ended,
        };
    }

    /// What this rank has to say, to all; the next stage, if all have done this one.
    fn exchange(&mut self) {
        let mine = match &self.work {
            Task::Runs(_) => None,
            Task::Ended(made) => Some(made),
        };
        match poll(&self.comm, mine) {
            Ok(None) => (),
            Err(e) => {
                self.file.give_up();
                self.end = Some(Err(e));
            }
            Ok(Some(all)) if self.is_written => {
                let message = String::from_utf8_lossy(&all[0]).into_owned();
                self.end = Some(Ok(Some(message).filter(|message| !message.is_empty())));
            }
            Ok(Some(sums)) => {
                self.is_written = true;
                self.publish(sums);
            }
        }
    }

    /// The second stage.
    fn publish(&mut self, sums: Vec<Vec<u8>>) {
        if self.comm.rank() > 0 {
            return self.work = Task::Ended(Ok(Vec::new()));
        }
        let Together { dir, file, step, best, .. } = self;
        let (dir, part, step, best) = (dir.clone(), file.clone(), *step, *best);
        self.work = Task::start(&self.file, std::mem::take(&mut self.snapshot), move |_| {
            part.publish(&sums)?;
            let pruned = dir.prune(step, best);
            Ok(pruned.map_or_else(|e| e.to_string().into_bytes(), |()| Vec::new()))
        });
    }
}

impl Task {
    /// Has a thread do it.
    fn start(
        file: &SharedFile,
        snapshot: Snapshot,
        work: impl FnOnce(&Snapshot) -> Result<Vec<u8>> + Send + 'static,
    ) -> Task {
        let run = move || {
            let start = Instant::now();
            let made = work(&snapshot);
            Done { snapshot, made, time: start.elapsed() }
        };
        spawn(run).map_or_else(|e| Task::Ended(Err(Error::io(file.path(), e))), Task::Runs)
    }
}
