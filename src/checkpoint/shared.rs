//! A file that several ranks write at once.

use super::files::{FileSystem, Output};
use super::fill::sum_up;
use super::ranks::agree;
use super::sum::{PartSum, crc};
use super::{NamedTensor, PIECE, writer};
use crate::comm::Communicator;
use crate::error::{Error, Result};
use crate::partial::folder_of;
use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that several ranks write at once: each its parts of tensors where they belong, rank 0 what all have, and in the
/// end the header, when it has everybody's checksums.
///
/// [`begin`](Self::begin) on all ranks, then [`write`](Self::write) on each, then, when all have said that they have
/// done so, [`publish`](Self::publish) on rank 0. If anything goes wrong anywhere, rank 0 [gives up](Self::give_up).
#[derive(Debug)]
pub(crate) struct SharedFile {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    /// Where it lies until it is whole.
    part: PathBuf,
    rank: usize,
    metadata: BTreeMap<String, String>,
    /// Where the numbers begin.
    data_at: u64,
    /// All tensors, in their order.
    tensors: Vec<NamedTensor<()>>,
}

impl SharedFile {
    /// Begins the file `path`, which is `part` until it is whole. All ranks call it, with the same tensors; the metadata
    /// are those of rank 0.
    ///
    /// # Errors
    /// The same on all ranks: if `part` is an error on one, or rank 0 cannot make it.
    pub fn begin<V>(
        comm: &Communicator,
        files: Arc<dyn FileSystem>,
        [path, part]: [&Path; 2],
        metadata: BTreeMap<String, String>,
        tensors: &[NamedTensor<V>],
    ) -> Result<Self> {
        let tensors: Vec<_> = tensors.iter().map(|tensor| tensor.map(|_| ())).collect();
        let mut header = writer::header(metadata.clone(), &tensors, &vec![0; tensors.len()]);
        let mine = match comm.rank() {
            0 => files.create(part).map(|_| header.sealed().len()).map_err(|e| Error::io(path, e)),
            _ => Ok(0),
        };
        let all = agree(comm, mine.map(|len| (len as u64).to_le_bytes().to_vec()))?;
        let data_at = u64::from_le_bytes(all[0][..].try_into().expect("of a number"));
        let [path, part] = [path, part].map(Path::to_owned);
        Ok(SharedFile { files, path, part, rank: comm.rank(), metadata, data_at, tensors })
    }

    /// What it is called when it is whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it is whole.
    pub fn bytes(&self) -> u64 {
        self.data_at + self.tensors.iter().map(NamedTensor::bytes).sum::<u64>()
    }

    /// Writes what this rank has of the tensors, and brings it to the disk. Returns what [`publish`](Self::publish)
    /// needs to know of it. No other rank takes part in this.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] if the file that rank 0 has begun is not there.
    pub fn write(&self, tensors: &[NamedTensor<&[f32]>]) -> Result<Vec<u8>> {
        let mut file = self.files.open(&self.part).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::file(
                &self.path,
                "the file that rank 0 has begun is not there, expected a file system that all ranks see",
            ),
            _ => Error::io(&self.path, e),
        })?;
        let mut write = || {
            let (mut at, mut sums) = (self.data_at, Vec::new());
            for tensor in tensors {
                let mine = !tensor.replicated || self.rank == 0;
                sums.push(if mine { write_tensor(&mut *file, at, tensor)? } else { 0 });
                at += tensor.bytes();
            }
            file.sync()?;
            Ok(sums)
        };
        let sums: Vec<u32> = write().map_err(|e| Error::io(&self.path, e))?;
        Ok(sums.iter().flat_map(|sum| sum.to_le_bytes()).collect())
    }

    /// Writes the header when all ranks have written, of which `sums` are what they made, and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish(&self, sums: &[Vec<u8>]) -> Result<()> {
        let mut all = sum_up(sums);
        all.iter_mut().zip(&self.tensors).for_each(|(sum, tensor)| *sum = crc(*sum, tensor.bytes()));
        let header = writer::header(self.metadata.clone(), &self.tensors, &all).sealed();
        let publish = || {
            let mut file = self.files.open(&self.part)?;
            file.write_all(&header)?;
            file.sync()?;
            self.files.rename(&self.part, &self.path)?;
            self.files.sync_dir(folder_of(&self.path))
        };
        publish().map_err(|e| Error::io(&self.path, e))
    }

    /// Removes what was written, when nobody writes it any more.
    pub fn give_up(&self) {
        if self.rank == 0 {
            // It may not be there.
            let _ = self.files.remove(&self.part);
        }
    }

    /// Writes and publishes it, all ranks together.
    ///
    /// # Errors
    /// The same on all ranks: [`Error::Rank`] with what the first that failed says.
    pub fn finish(&self, comm: &Communicator, tensors: &[NamedTensor<&[f32]>]) -> Result<()> {
        let written = agree(comm, self.write(tensors));
        let published = written.and_then(|sums| {
            let mine = if self.rank == 0 { self.publish(&sums) } else { Ok(()) };
            agree(comm, mine.map(|()| Vec::new())).map(drop)
        });
        published.inspect_err(|_| self.give_up())
    }
}

/// Writes the parts of a tensor that begins at byte `start`; returns the remainder of its checksum.
fn write_tensor(file: &mut dyn Output, start: u64, tensor: &NamedTensor<&[f32]>) -> io::Result<u32> {
    let (width, len) = (tensor.width(), tensor.bytes());
    let mut all = 0;
    for (block, values) in &tensor.parts {
        let mut sum = PartSum::default();
        // Rows that are here as a whole follow one another in the file too.
        let run = if block.columns.len() == width { values.len() } else { block.columns.len() };
        for (i, run) in values.chunks(run.max(1)).enumerate() {
            let at = 4 * ((block.rows.start + i) * width + block.columns.start) as u64;
            file.seek(SeekFrom::Start(start + at))?;
            sum.skip_to(at);
            for piece in run.chunks(PIECE).map(bytemuck::cast_slice) {
                file.write_all(piece)?;
                sum.update(piece);
            }
        }
        all ^= sum.remainder(len);
    }
    Ok(all)
}
