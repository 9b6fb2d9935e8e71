//! The checkpoints of a run: when they are saved, and by whom.

mod together;

use super::observer::Observer;
use super::state::{RunState, Setting, check_settings};
use crate::backend::Backend;
use crate::checkpoint::{About, Checkpoint, CheckpointDir, NamedTensor, Snapshot, agree};
use crate::error::{Error, Result};
use crate::memory::MemoryPlan;
use crate::nn::ShardedEmbeddings;
use serde::Serialize;
use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use together::Together;

/// Saves a run as it goes: at the end of each pass, after each test that is the best so far, when the run is
/// [interrupted](Observer::interrupted) or ends, and every so many steps.
///
/// Training stands still for as long as a copy takes, made in memory by all threads of the backend. A thread of its own
/// brings the copy to the disk while training goes on; a save that is due before it has done so waits for it. The
/// memory of the copy, [`Trainer::checkpoint_bytes`](super::Trainer::checkpoint_bytes), is kept from save to save.
///
/// Ranks that train a model together save it together, in a directory that is
/// [open on all of them](CheckpointDir::open_on_ranks): each copies and writes its own part of one file. While they do,
/// they tell one another after each step how far they are; when all are done, rank 0 gives the file its name. A failure
/// of one is told to the observers of all, in the same words.
#[derive(Debug)]
pub struct Checkpoints {
    dir: Arc<CheckpointDir>,
    every: Option<u64>,
    about: About,
    settings: Vec<Setting>,
    /// The memory of the copy, while nobody writes it.
    snapshot: Option<Snapshot>,
    writing: Option<Writing>,
}

/// A save that is under way.
#[derive(Debug)]
struct Writing {
    step: u64,
    pause: Duration,
    waited: Duration,
    work: Work,
}

/// Who writes.
#[derive(Debug)]
enum Work {
    /// A thread of this process, all of it.
    Alone(JoinHandle<(Snapshot, Written)>),
    /// All ranks.
    Together(Box<Together>),
}

/// How it went.
#[derive(Debug)]
struct Written {
    bytes: Result<u64>,
    pruned: Result<()>,
    time: Duration,
}

/// A checkpoint that is on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The step after which it was made.
    pub step: u64,
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// How long training stood still for it.
    pub pause: Duration,
    /// Of that, how long it waited for the save before.
    pub waited: Duration,
    /// How long the thread of its own took to write it, bring it to the disk and remove older ones.
    pub written: Duration,
}

impl Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [pause, waited, written] = [self.pause, self.waited, self.written].map(|time| time.as_secs_f64());
        let megabytes = 1e-6 * self.bytes as f64;
        write!(f, "saved step {}: {megabytes:.1} MB, pause {pause:.3} s", self.step)?;
        if self.waited >= Duration::from_millis(1) {
            write!(f, " (of that {waited:.3} s for the save before)")?;
        }
        write!(f, ", written in {written:.2} s")
    }
}

impl Checkpoints {
    /// Checkpoints in `dir` of a model of this `config`, trained on rows of this vocabulary. `settings` are names and
    /// values of whatever else the result depends on, and a run that goes on from one has to have the same.
    ///
    /// # Panics
    /// If `config` cannot be JSON.
    pub fn new(
        dir: CheckpointDir,
        config: &impl Serialize,
        vocabulary: Option<u32>,
        settings: Vec<Setting>,
    ) -> Checkpoints {
        let about = About::new(config, vocabulary);
        Checkpoints {
            dir: Arc::new(dir),
            every: None,
            about,
            settings,
            snapshot: Some(Snapshot::default()),
            writing: None,
        }
    }

    /// Saves every so many steps as well.
    #[must_use]
    pub fn every(mut self, steps: u64) -> Self {
        self.every = Some(steps);
        self
    }

    /// Where they are.
    pub fn dir(&self) -> &CheckpointDir {
        &self.dir
    }

    /// Whether a run can go on from a file: the settings, the model's shape and the vocabulary are the same.
    ///
    /// # Errors
    /// [`Error::File`] that names what is not, and both values.
    pub fn check(&self, file: &Checkpoint) -> Result<()> {
        let state: RunState = file.run()?;
        check_settings(&state.settings[0], &self.settings).map_err(|message| Error::file(file.path(), message))?;
        file.check_config(&self.about.config)?;
        self.about.vocabulary.map_or(Ok(()), |crc| file.check_vocabulary(crc))
    }

    /// Whether the directory is that of the ranks that have the model's tables, if several have them.
    pub(super) fn check_ranks(&self, shards: Option<&ShardedEmbeddings>) -> Result<()> {
        match self.dir.comm() {
            None if shards.is_some() => {
                let message = "of this process alone, expected a directory that is open on all ranks of the model";
                Err(Error::file(self.dir.path(), message))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is memory for the copy, on all ranks.
    pub(super) fn check_memory(&self, backend: &dyn Backend, bytes: u64) -> Result<()> {
        let plan = MemoryPlan { checkpoint: bytes, ..MemoryPlan::default() };
        let enough = plan.check("a copy for checkpoints needs", backend.available_memory());
        match self.dir.comm() {
            None => enough,
            Some(comm) => agree(comm, enough.map(|()| Vec::new())).map(drop),
        }
    }

    /// Makes a first copy before the first step, so that none of those that are saved has to wait for memory.
    pub(super) fn reserve(&mut self, backend: &dyn Backend, tensors: &[NamedTensor<&[f32]>]) {
        self.snapshot.get_or_insert_default().copy(backend, tensors);
    }

    /// What the caller has set.
    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Whether a save is due after `step`.
    pub(super) fn due(&self, step: u64) -> bool {
        self.every.is_some_and(|n| step.is_multiple_of(n))
    }

    /// Copies everything, and has it written.
    ///
    /// # Errors
    /// [`Error::Device`] if what was copied is worthless; nothing is written then.
    pub(super) fn save(
        &mut self,
        backend: &dyn Backend,
        state: &RunState,
        tensors: &[NamedTensor<&[f32]>],
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let start = Instant::now();
        self.finish(observer);
        let waited = start.elapsed();
        let mut snapshot = self.snapshot.take().unwrap_or_default();
        snapshot.describe(&self.about, state.steps, state);
        snapshot.copy(backend, tensors);
        backend.status()?;
        let (step, best) = (state.steps, state.best.as_ref().map(|best| best.step));
        let work = match self.dir.comm() {
            None => alone(self.dir.clone(), step, best, snapshot),
            Some(comm) => Together::start(comm.clone(), self.dir.clone(), step, best, snapshot)
                .map(|together| Work::Together(Box::new(together))),
        };
        match work {
            Ok(work) => self.writing = Some(Writing { step, pause: start.elapsed(), waited, work }),
            Err(e) => observer.on_save_failure(&e),
        }
        Ok(())
    }

    /// Tells of a save that has come to its end. Ranks all come here after the same steps.
    pub(super) fn poll(&mut self, observer: &mut dyn Observer) {
        let over = match &mut self.writing {
            None => false,
            Some(Writing { work: Work::Alone(thread), .. }) => thread.is_finished(),
            Some(Writing { work: Work::Together(together), .. }) => together.poll(),
        };
        if over {
            self.finish(observer);
        }
    }

    /// Waits for the save that is under way, if one is, and tells of it.
    pub(super) fn finish(&mut self, observer: &mut dyn Observer) {
        let Some(Writing { step, pause, waited, work }) = self.writing.take() else { return };
        let (snapshot, Written { bytes, pruned, time }) = match work {
            Work::Alone(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Work::Together(together) => together.finish(),
        };
        self.snapshot = Some(snapshot);
        match bytes {
            Err(e) => observer.on_save_failure(&e),
            Ok(bytes) => {
                let path = self.dir.file(step);
                observer.on_save(&Saved { step, path, bytes, pause, waited, written: time });
            }
        }
        if let Err(e) = pruned {
            observer.on_save_failure(&e);
        }
    }
}

/// Has a thread write all of it, and remove what is old.
fn alone(dir: Arc<CheckpointDir>, step: u64, best: Option<u64>, snapshot: Snapshot) -> Result<Work> {
    let path = dir.file(step);
    let write = move || {
        let start = Instant::now();
        let bytes = dir.save(step, &snapshot);
        let pruned = if bytes.is_ok() { dir.prune(step, best) } else { Ok(()) };
        (snapshot, Written { bytes, pruned, time: start.elapsed() })
    };
    spawn(write).map(Work::Alone).map_err(|e| Error::io(path, e))
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name("dlrm-save".into()).spawn(work)
}

impl Drop for Checkpoints {
    /// Waits for the save that is under way, when a run ends by an error. Ranks do not wait for one another then, and give
    /// it up.
    fn drop(&mut self) {
        // If it panicked, the run that ends has worse to tell.
        match self.writing.take().map(|writing| writing.work) {
            Some(Work::Alone(thread)) => drop(thread.join()),
            Some(Work::Together(together)) => together.give_up(),
            None => (),
        }
    }
}

#[cfg(test)]
mod tests;
