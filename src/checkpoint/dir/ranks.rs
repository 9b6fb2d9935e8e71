//! A directory that the ranks of a group have together.

use super::super::ranks::agree;
use super::super::{SharedFile, Snapshot};
use super::CheckpointDir;
use crate::checkpoint::files::Disk;
use crate::comm::Communicator;
use crate::error::{Error, Result};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A file in which rank 0 writes something that the others have to find there.
const SIGN: &str = ".ranks";

impl CheckpointDir {
    /// The same of the ranks that train a model together, who all call it. Rank 0 makes the directory and removes what
    /// is old; all write their parts of each file. So they have to see one file system.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), the same on all ranks: [`Error::Rank`] with what rank 0 says, or with a rank that
    /// does not see the directory that rank 0 has.
    pub fn open_on_ranks(path: impl AsRef<Path>, keep: NonZeroUsize, comm: Arc<Communicator>) -> Result<CheckpointDir> {
        let (path, sign) = (path.as_ref(), path.as_ref().join(SIGN));
        let mut opened = None;
        let said = match comm.rank() {
            0 => CheckpointDir::open(path, keep).and_then(|dir| {
                opened = Some(dir);
                write_sign(&sign)
            }),
            _ => Ok(Vec::new()),
        };
        let said = agree(&comm, said)?;
        let seen = match fs::read(&sign) {
            Ok(found) if found == said[0] => Ok(Vec::new()),
            _ => Err(Error::file(path, "not the directory that rank 0 has, expected a file system that all ranks see")),
        };
        let agreed = agree(&comm, seen);
        if comm.rank() == 0 {
            // It has served its purpose; where it stays, the next one takes its place.
            let _ = fs::remove_file(&sign);
        }
        agreed?;
        let mut dir = opened.unwrap_or_else(|| CheckpointDir {
            path: path.to_owned(),
            keep,
            files: Arc::new(Disk),
            _lock: None,
            made: false,
            comm: None,
        });
        dir.comm = Some(comm);
        Ok(dir)
    }

    /// The ranks that have it together.
    pub(crate) fn comm(&self) -> Option<&Arc<Communicator>> {
        self.comm.as_ref()
    }

    /// The steps there are checkpoints of, for all ranks those that rank 0 sees.
    pub(super) fn agreed_steps(&self) -> Result<Vec<u64>> {
        let Some(comm) = &self.comm else { return self.steps() };
        let mine = if comm.rank() == 0 { self.steps() } else { Ok(Vec::new()) };
        let all = agree(comm, mine.map(|steps| steps.iter().flat_map(|step| step.to_le_bytes()).collect()))?;
        Ok(all[0].as_chunks().0.iter().map(|&step| u64::from_le_bytes(step)).collect())
    }

    /// Begins the checkpoint of a step that all of `comm` write together.
    ///
    /// # Errors
    /// Those of [`SharedFile::begin`].
    pub(crate) fn begin(&self, comm: &Communicator, step: u64, snapshot: &Snapshot) -> Result<SharedFile> {
        let (path, part) = (self.file(step), self.part(step));
        SharedFile::begin(comm, self.files.clone(), [&path, &part], snapshot.metadata().clone(), &snapshot.tensors())
    }
}

/// Writes what no other directory has in it.
fn write_sign(path: &Path) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let sign = format!("rank 0 was process {} at {now}", std::process::id()).into_bytes();
    fs::write(path, &sign).map_err(|e| Error::io(path, e))?;
    Ok(sign)
}
