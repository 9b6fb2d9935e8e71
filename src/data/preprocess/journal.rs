//! What was done, beside the words: so that it need not be done again.
//!
//! A record is its length (`u32`), the CRC-32 of what follows (`u32`), and that: of the first, what was asked
//! for; of the others, a group of rows. Records are appended and never changed; one that is not whole ends the
//! journal.

use super::input::Place;
use crate::data::criteo::SPARSE_FEATURES;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A group of rows that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Rows in it, and the checksum of their words.
    pub rows: u64,
    pub crc: u32,
    /// Where the next group begins, after how many lines of the file and how many of the rows before sampling.
    pub next: Place,
    pub lines: u64,
    pub seen: u64,
    /// Rows of the file that are in the output.
    pub rows_of_file: u64,
    /// Bad rows, of this group.
    pub skipped: u64,
    /// The least integer in it.
    pub min: i32,
    /// A bit for each column whose ids wait from this group on.
    pub deferred: u32,
    /// Ids that got a number, by column.
    pub fresh: Vec<Vec<u32>>,
}

impl Group {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let wide = [
            self.rows,
            self.next.file as u64,
            self.next.offset,
            self.lines,
            self.seen,
            self.rows_of_file,
            self.skipped,
        ];
        wide.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        let narrow = [self.crc, self.min as u32, self.deferred];
        narrow.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        for ids in &self.fresh {
            bytes.extend_from_slice(&(ids.len() as u32).to_le_bytes());
            bytes.extend_from_slice(bytemuck::cast_slice(ids));
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Group> {
        let mut wide = || Some(u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?));
        let [rows, file, offset, lines, seen, rows_of_file, skipped] =
            [wide()?, wide()?, wide()?, wide()?, wide()?, wide()?, wide()?];
        let mut narrow = || Some(u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?));
        let [crc, min, deferred] = [narrow()?, narrow()?, narrow()?];
        let mut list = || {
            let len = u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?) as usize;
            let words = bytes.split_off(..len.checked_mul(4)?)?.as_chunks().0;
            Some(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
        };
        let fresh = (0..SPARSE_FEATURES).map(|_| list()).collect::<Option<_>>()?;
        let next = Place { file: usize::try_from(file).ok()?, offset };
        let min = min as i32;
        bytes.is_empty().then_some(Group { rows, crc, next, lines, seen, rows_of_file, skipped, min, deferred, fresh })
    }
}

/// A journal that records are appended to, by one process at a time.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal at `path`, or a new one, for this process alone.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::File`] if another process has it open.
    pub fn open(path: &Path) -> Result<Journal> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|e| Error::io(path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Journal { path: path.to_owned(), file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::file(path, "another process makes this dataset now: wait for it, or stop it"))
            }
            Err(TryLockError::Error(e)) => Err(Error::io(path, e)),
        }
    }

    /// Begins it anew.
    pub fn restart(&mut self, asked: &str) -> Result<()> {
        self.resume(0)?;
        self.append_bytes(asked.as_bytes())
    }

    /// Goes on behind byte `len`.
    pub fn resume(&mut self, len: u64) -> Result<()> {
        let cut = self.file.set_len(len).and_then(|()| self.file.seek(SeekFrom::End(0)));
        cut.map(drop).map_err(|e| Error::io(&self.path, e))
    }

    pub fn append(&mut self, group: &Group) -> Result<()> {
        self.append_bytes(&group.encode())
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let mut record = Vec::with_capacity(8 + bytes.len());
        record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        record.extend_from_slice(bytes);
        self.file.write_all(&record).map_err(|e| Error::io(&self.path, e))
    }
}

/// The groups of a journal, in order, as far as records are whole.
pub(super) struct Groups {
    file: BufReader<File>,
    /// Bytes of whole records.
    pub len: u64,
}

impl Groups {
    /// The groups of the journal at `path`; none if there is no journal, or something else was `asked` for.
    pub fn open(path: &Path, asked: &str) -> Result<Option<Groups>> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| Error::io(path, e))?,
        };
        let mut groups = Groups { file: BufReader::with_capacity(1 << 20, file), len: 0 };
        Ok(groups.record().is_some_and(|first| first == asked.as_bytes()).then_some(groups))
    }

    fn record(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 8];
        self.file.read_exact(&mut head).ok()?;
        let (len, crc) = head.split_at(4);
        let len = u64::from(u32::from_le_bytes(*len.first_chunk()?));
        let mut bytes = Vec::new();
        self.file.by_ref().take(len).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 != len || crc32fast::hash(&bytes).to_le_bytes() != crc {
            return None;
        }
        self.len += 8 + len;
        Some(bytes)
    }
}

impl Iterator for Groups {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        let before = self.len;
        let group = self.record().and_then(|bytes| Group::decode(&bytes));
        if group.is_none() {
            self.len = before;
        }
        group
    }
}
