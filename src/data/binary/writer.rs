//! Rows to a file.

use super::header::Prelude;
use super::{BLOCK, Header, Keys, PRELUDE};
use crate::error::{Error, Result};
use crc32fast::Hasher;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes a binary dataset: rows first, what is known of them last.
///
/// Until [`finish`](Self::finish) the file is no dataset: it begins with zeros. To be written under
/// a name of its own, and renamed when it is whole.
#[derive(Debug)]
pub struct RowWriter {
    path: PathBuf,
    file: BufWriter<File>,
    /// Words a row, or 0.
    words: usize,
    rows: u64,
    bytes: u64,
}

impl RowWriter {
    /// A new file of rows of `words` words, 0 if they differ in length; what was at `path` is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: &Path, words: usize) -> Result<RowWriter> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        let mut file = file.map_err(|e| Error::io(path, e))?;
        file.write_all(&[0; PRELUDE]).map_err(|e| Error::io(path, e))?;
        Ok(RowWriter { path: path.to_owned(), file: buffered(file), words, rows: 0, bytes: 0 })
    }

    /// Goes on with a file that has `rows` rows in `bytes` bytes or more; what lies behind them is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn resume(path: &Path, words: usize, rows: u64, bytes: u64) -> Result<RowWriter> {
        let open = || {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(PRELUDE as u64 + bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|e| Error::io(path, e))?;
        Ok(RowWriter { path: path.to_owned(), file: buffered(file), words, rows, bytes })
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of these rows.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends `rows` rows.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Panics
    /// If all rows have a length and `words` is not so many of them.
    pub fn write(&mut self, rows: u64, words: &[u32]) -> Result<()> {
        assert!(self.words == 0 || words.len() as u64 == rows * self.words as u64, "RowWriter: {} words", words.len());
        let bytes: &[u8] = bytemuck::cast_slice(words);
        self.file.write_all(bytes).map_err(|e| Error::io(&self.path, e))?;
        self.rows += rows;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| Error::io(&self.path, e))
    }

    /// Writes what is known of the rows, the vocabulary of one column after the other, and waits until
    /// everything is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self, header: &Header, keys: impl Iterator<Item = io::Result<Keys>>) -> Result<()> {
        let path = std::mem::take(&mut self.path);
        self.finish_file(&path, header, keys).map_err(|e| Error::io(path, e))
    }

    fn finish_file(
        mut self,
        path: &Path,
        header: &Header,
        keys: impl Iterator<Item = io::Result<Keys>>,
    ) -> io::Result<()> {
        self.file.flush()?;
        let ends_at = PRELUDE as u64 + self.bytes;
        let mut out = Summed { file: self.file, crc: Hasher::new() };
        let ragged = self.words == 0;
        let (mut ends, mut sums) = (Ends::default(), Vec::new());
        // One more look at the rows, while what it gives is written behind them.
        blocks(path, self.bytes, |block| {
            sums.push(crc32fast::hash(block));
            let words = block.as_chunks().0.iter().filter(|_| ragged);
            let mut ended = words.filter_map(|word| ends.next(u32::from_le_bytes(*word)));
            ended.try_for_each(|end| out.write_all(&end.to_le_bytes()))
        })?;
        assert!(!ragged || ends.rows == self.rows, "RowWriter: {} rows counted, {} found", self.rows, ends.rows);
        let keys_at = out.file.stream_position()?;
        let mut bytes = Vec::new();
        for keys in keys {
            bytes.clear();
            keys?.encode(&mut bytes);
            out.write_all(&bytes)?;
        }
        let sums_at = out.file.stream_position()?;
        out.write_all(bytemuck::cast_slice(&sums))?;
        let text = toml::to_string(header).map_err(io::Error::other)?;
        let header_at = out.file.stream_position()?;
        out.write_all(text.as_bytes())?;

        let header_len = text.len() as u32;
        let prelude =
            Prelude { words: self.words as u32, rows: self.rows, ends_at, keys_at, sums_at, header_at, header_len };
        let prelude = prelude.encode();
        let mut crc = Hasher::new();
        crc.update(&prelude);
        crc.combine(&out.crc);
        let mut file = out.file;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&prelude)?;
        file.write_all(&crc.finalize().to_le_bytes())?;
        file.flush()?;
        file.get_ref().sync_all()
    }
}

fn buffered(file: File) -> BufWriter<File> {
    BufWriter::with_capacity(BLOCK, file)
}

/// A file, and the checksum of what was written.
struct Summed {
    file: BufWriter<File>,
    crc: Hasher,
}

impl Summed {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.file.write_all(bytes)
    }
}

/// Gives `take` the `bytes` bytes of rows of a file, block by block.
fn blocks(path: &Path, bytes: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(PRELUDE as u64))?;
    let (mut block, mut left) = (vec![0; BLOCK], bytes);
    while left > 0 {
        let block = &mut block[..left.min(BLOCK as u64) as usize];
        file.read_exact(block)?;
        take(block)?;
        left -= block.len() as u64;
    }
    Ok(())
}

/// Where rows end, from their lengths.
#[derive(Default)]
struct Ends {
    rows: u64,
    /// Words of these rows.
    end: u64,
    /// Words looked at.
    seen: u64,
}

impl Ends {
    /// Looks at the next word; if it is a row's length, where that row ends.
    fn next(&mut self, word: u32) -> Option<u64> {
        let first = self.seen == self.end;
        self.seen += 1;
        first.then(|| {
            self.rows += 1;
            self.end += u64::from(word);
            self.end
        })
    }
}
