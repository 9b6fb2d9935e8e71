//! The numbers of a file to their places, and what of them is damaged.

use super::ranks::agree;
use super::reader::Checkpoint;
use super::sum::{PartSum, crc};
use super::tensor::Block;
use super::{NamedTensor, PIECE};
use crate::comm::Communicator;
use crate::error::{Error, Result};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Has what it is given filled with numbers.
type Fill<'a> = &'a mut dyn FnMut(&mut [f32]);

impl Checkpoint {
    /// Opens a file that the ranks of a group are to read together, who all call it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), the same on all ranks: [`Error::Rank`] if one of them cannot open it, or finds
    /// another file there than rank 0.
    pub fn open_on_ranks(path: impl AsRef<Path>, comm: &Communicator) -> Result<Checkpoint> {
        let path = path.as_ref();
        let mut opened = None;
        let mine = Checkpoint::open(path).map(|file| opened.insert(file).header_sum.to_le_bytes().to_vec());
        let all = agree(comm, mine)?;
        let file = opened.expect("nobody failed");
        let same = match all[comm.rank()] == all[0] {
            true => Ok(Vec::new()),
            false => Err(file.fault("another file than that of rank 0, expected a file system that all ranks see")),
        };
        agree(comm, same).map(|_| file)
    }

    /// Reads the parts of tensors that are in the file to where `place` has each of them filled. Of a group of ranks
    /// each reads its own; whether a tensor is damaged that several have parts of, they find out together.
    ///
    /// # Errors
    /// [`Error::File`] that names what is damaged, [`Error::Io`]; the same on all ranks.
    ///
    /// # Panics
    /// If a tensor is not in the file, or what is to be filled has not as many numbers as the part.
    pub(crate) fn fill(
        &mut self,
        tensors: &[NamedTensor<usize>],
        comm: Option<&Communicator>,
        mut place: impl FnMut(usize, Fill<'_>),
    ) -> Result<()> {
        let remainders =
            tensors.iter().map(|tensor| self.fill_tensor(tensor, &mut place)).collect::<Result<Vec<u32>>>();
        let Some(comm) = comm else { return self.check_all(tensors, &remainders?) };
        let mine = remainders.map(|mut remainders| {
            let replicated = remainders.iter_mut().zip(tensors).filter(|(_, tensor)| tensor.replicated);
            replicated.filter(|_| comm.rank() > 0).for_each(|(remainder, _)| *remainder = 0);
            to_bytes(&remainders)
        });
        self.check_all(tensors, &sum_up(&agree(comm, mine)?))
    }

    /// Reads what is here of a tensor; returns the remainder of that. If that is all, it is checked at once.
    fn fill_tensor(&mut self, tensor: &NamedTensor<usize>, place: &mut impl FnMut(usize, Fill<'_>)) -> Result<u32> {
        let (mut all, len) = (0, tensor.bytes());
        for (block, i) in &tensor.parts {
            let mut filled = None;
            place(*i, &mut |to| filled = Some(self.fill_part(tensor, block, to)));
            all ^= filled.expect("it has it filled")?.remainder(len);
        }
        if tensor.is_whole() {
            self.check_sum(&tensor.name, crc(all, len))?;
        }
        Ok(all)
    }

    fn fill_part(&mut self, tensor: &NamedTensor<usize>, block: &Block, to: &mut [f32]) -> Result<PartSum> {
        let (name, width) = (&tensor.name[..], tensor.width());
        assert_eq!(to.len(), block.rows.len() * block.columns.len(), "fill: numbers of {name}");
        let first = block.rows.start * width;
        let mut sum = self.seek(name, first)?;
        if block.columns.len() == width {
            for (i, piece) in to.chunks_mut(PIECE).enumerate() {
                self.next_piece(name, first + i * PIECE, piece, &mut sum)?;
            }
            return Ok(sum);
        }
        // Whole rows in few calls, rather than each run of columns in one; then they are zeros but for ours.
        let rows_at_a_time = (PIECE / width).max(1);
        let mut room = vec![0.0; width * rows_at_a_time.min(block.rows.len())];
        for (i, to) in to.chunks_mut(rows_at_a_time * block.columns.len()).enumerate() {
            let rows = &mut room[..to.len() / block.columns.len() * width];
            self.read_numbers(rows)?;
            for (row, to) in rows.chunks_mut(width).zip(to.chunks_mut(block.columns.len())) {
                to.copy_from_slice(&row[block.columns.clone()]);
                row[..block.columns.start].fill(0.0);
                row[block.columns.end..].fill(0.0);
            }
            sum.update(bytemuck::cast_slice(rows));
            self.check_finite(name, first + i * rows_at_a_time * width, rows)?;
        }
        Ok(sum)
    }

    fn read_numbers(&mut self, to: &mut [f32]) -> Result<()> {
        self.file.read_exact(bytemuck::cast_slice_mut(to)).map_err(|e| Error::io(self.path(), e))
    }

    /// Goes to number `first` of a tensor.
    pub(super) fn seek(&mut self, name: &str, first: usize) -> Result<PartSum> {
        let first = 4 * first as u64;
        let at = self.data_at + self.header.tensors[name].data_offsets[0] + first;
        self.file.seek(SeekFrom::Start(at)).map_err(|e| Error::io(self.path(), e))?;
        let mut sum = PartSum::default();
        sum.skip_to(first);
        Ok(sum)
    }

    /// Compares the checksums of tensors with those in the metadata.
    fn check_all<V>(&self, tensors: &[NamedTensor<V>], remainders: &[u32]) -> Result<()> {
        let mut all = crc32fast::Hasher::new();
        for (tensor, &remainder) in tensors.iter().zip(remainders) {
            let (len, sum) = (tensor.bytes(), crc(remainder, tensor.bytes()));
            self.check_sum(&tensor.name, sum)?;
            all.combine(&crc32fast::Hasher::new_with_initial_len(sum, len));
        }
        self.check_whole_sum(all.finalize())
    }

    /// Reads the whole file, and compares it with its checksums. The ranks of a group all call it, and read a share each.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify), the same on all ranks.
    pub(crate) fn verify_on_ranks(&mut self, comm: &Communicator) -> Result<()> {
        let tensors = self.all_tensors()?;
        let mine = tensors.iter().map(|tensor| self.remainder(tensor, comm.share(tensor.numbers(), comm.rank())));
        let mine = mine.collect::<Result<Vec<u32>>>();
        let all = sum_up(&agree(comm, mine.map(|remainders| to_bytes(&remainders)))?);
        tensors.iter().zip(all).try_for_each(|(tensor, sum)| self.check_sum(&tensor.name, crc(sum, tensor.bytes())))
    }
}

fn to_bytes(remainders: &[u32]) -> Vec<u8> {
    remainders.iter().flat_map(|sum| sum.to_le_bytes()).collect()
}

/// The sum of each rank's remainders of tensors.
pub(super) fn sum_up(of_ranks: &[Vec<u8>]) -> Vec<u32> {
    let mut all = Vec::new();
    for remainders in of_ranks {
        let remainders = remainders.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes));
        all.resize(all.len().max(remainders.len()), 0);
        all.iter_mut().zip(remainders).for_each(|(sum, remainder)| *sum ^= remainder);
    }
    all
}
