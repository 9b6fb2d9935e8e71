//! A directory of the checkpoints of one run.

mod ranks;

use super::files::{Disk, FileSystem};
use super::reader::Checkpoint;
use super::{Snapshot, writer};
use crate::comm::Communicator;
use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of the checkpoints of one run: `step-0000001000.safetensors` is of step 1000.
///
/// A file is written as `.step-0000001000.safetensors.part`, and gets its name when all of it is on the disk; then the
/// directory is brought to the disk as well. Whenever a process or the machine stops, what has such a name is whole.
/// After each save the newest files stay, as many as were asked for, and the one of the best test.
///
/// One process has the directory at a time, by a lock on the file `.lock` in it, which the system takes away when the
/// process ends, however it does. So whatever is left there of files without a name is nobody's, and is removed.
#[derive(Debug)]
pub struct CheckpointDir {
    path: PathBuf,
    keep: NonZeroUsize,
    files: Arc<dyn FileSystem>,
    /// None where the file system has no locks.
    _lock: Option<File>,
    /// Whether it was not there before.
    made: bool,
    /// The ranks that have it together.
    comm: Option<Arc<Communicator>>,
}

/// Around the step in a file's name.
const NAME: [&str; 2] = ["step-", ".safetensors"];

const LOCK: &str = ".lock";

/// Behind the name of a file that is being written.
const PART: &str = ".part";

impl CheckpointDir {
    /// Makes a directory if it is not there, and removes what an earlier process has left half-written. Of the
    /// checkpoints the `keep` newest will stay.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] if it is a file, or another process has it.
    pub fn open(path: impl AsRef<Path>, keep: NonZeroUsize) -> Result<CheckpointDir> {
        let path = path.as_ref();
        if path.exists() && !path.is_dir() {
            return Err(Error::file(path, "not a directory, expected one for checkpoints"));
        }
        let made = !path.exists();
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(|e| Error::io(&lock_path, e))?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => {
                let message = "another process that runs keeps its checkpoints there, expected a directory for each";
                return Err(Error::file(path, message));
            }
            Err(TryLockError::Error(_)) => None,
        };
        let mut dir = CheckpointDir::with_files(path, keep, Arc::new(Disk), lock)?;
        dir.made = made;
        Ok(dir)
    }

    pub(super) fn with_files(
        path: &Path,
        keep: NonZeroUsize,
        files: Arc<dyn FileSystem>,
        lock: Option<File>,
    ) -> Result<CheckpointDir> {
        let dir = CheckpointDir { path: path.to_owned(), keep, files, _lock: lock, made: false, comm: None };
        for name in dir.list()? {
            let left = name.strip_prefix('.').and_then(|name| name.strip_suffix(PART));
            if left.and_then(step_of).is_some() {
                // It takes room on the disk, no more.
                let _ = dir.files.remove(&dir.path.join(name));
            }
        }
        Ok(dir)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the checkpoint of a step is, if it is there.
    pub fn file(&self, step: u64) -> PathBuf {
        self.path.join(name(step))
    }

    /// Where it lies until it is whole.
    fn part(&self, step: u64) -> PathBuf {
        self.path.join(format!(".{}{PART}", name(step)))
    }

    /// The steps there are checkpoints of, by their names, oldest first.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn steps(&self) -> Result<Vec<u64>> {
        let mut steps: Vec<u64> = self.list()?.iter().filter_map(|name| step_of(name)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The newest checkpoint that is whole, if there is any; those that are newer and torn, cut short, changed or
    /// foreign are told to `refused`. Each is read from front to back for that. Ranks all call it, read a share each,
    /// and find the same.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] if there are checkpoints, and none of them is good. [`Error::Rank`] if a rank can
    /// no longer be reached.
    pub fn newest(&self, mut refused: impl FnMut(&Error)) -> Result<Option<Checkpoint>> {
        let steps = self.agreed_steps()?;
        for &step in steps.iter().rev() {
            match self.good(step) {
                Ok(file) => return Ok(Some(file)),
                Err(e) => refused(&e),
            }
        }
        match steps.len() {
            0 => Ok(None),
            n => {
                Err(Error::file(&self.path, format!("none of the {n} checkpoints is good, expected one to go on from")))
            }
        }
    }

    fn good(&self, step: u64) -> Result<Checkpoint> {
        let path = self.file(step);
        let mut file = match &self.comm {
            None => Checkpoint::open(path)?,
            Some(comm) => Checkpoint::open_on_ranks(path, comm)?,
        };
        let found = file.step()?;
        if found != step {
            return Err(Error::file(file.path(), format!("of step {found}, expected that of its name")));
        }
        match &self.comm {
            None => file.verify()?,
            Some(comm) => file.verify_on_ranks(comm)?,
        }
        Ok(file)
    }

    /// Writes all of a copy as the checkpoint of a step, and returns how many bytes it has.
    pub(crate) fn save(&self, step: u64, snapshot: &Snapshot) -> Result<u64> {
        self.write(step, |file| writer::write(file, snapshot.metadata().clone(), &snapshot.tensors()))
    }

    /// Writes the checkpoint of a step, and returns how many bytes it has. If anything goes wrong, nothing has its
    /// name that did not have it before, or it is whole.
    fn write(&self, step: u64, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u64> {
        let (path, part) = (self.file(step), self.part(step));
        let written = || {
            let mut file = Counted(BufWriter::with_capacity(1 << 20, self.files.create(&part)?), 0);
            write(&mut file)?;
            file.flush()?;
            file.0.get_ref().sync()?;
            self.files.rename(&part, &path)?;
            self.files.sync_dir(&self.path)?;
            Ok(file.1)
        };
        written().map_err(|e| {
            // It may not be there; if it stays, the next process removes it.
            let _ = self.files.remove(&part);
            Error::io(&path, e)
        })
    }

    /// Removes the checkpoints before `step` that are neither among the newest nor of the `best` test. Later ones are
    /// of another time: they are not good, or the run would have gone on from them.
    pub(crate) fn prune(&self, step: u64, best: Option<u64>) -> Result<()> {
        let mut steps = self.steps()?;
        steps.retain(|&other| other <= step);
        for &old in steps.iter().rev().skip(self.keep.get()).filter(|&&old| Some(old) != best) {
            let path = self.file(old);
            self.files.remove(&path).map_err(|e| Error::io(&path, e))?;
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>> {
        self.files.list(&self.path).map_err(|e| Error::io(&self.path, e))
    }
}

impl Drop for CheckpointDir {
    /// Of a run that has ended before its first checkpoint nothing stays.
    fn drop(&mut self) {
        if self.made && self.steps().is_ok_and(|steps| steps.is_empty()) {
            // What is left is empty, and in nobody's way.
            let _ = std::fs::remove_file(self.path.join(LOCK));
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

fn name(step: u64) -> String {
    let [before, after] = NAME;
    format!("{before}{step:010}{after}")
}

/// The step in a file's name, if it is one of a checkpoint.
fn step_of(file: &str) -> Option<u64> {
    let [before, after] = NAME;
    let step = file.strip_prefix(before)?.strip_suffix(after)?.parse().ok()?;
    (name(step) == file).then_some(step)
}

/// Counts what is written.
struct Counted<W>(W, u64);

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1 += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests;
