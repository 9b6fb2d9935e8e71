//! A file to rows.

use super::header::Prelude;
use super::{BLOCK, Header, Keys, PRELUDE, checksum};
use crate::batch::Batch;
use crate::data::schema::Number;
use crate::error::{Error, Result};
use dlrm_kernels::MappedFile;
use rayon::prelude::*;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A binary dataset, mapped into memory: the system reads its rows as they are looked at, so that it may be
/// larger than memory.
#[derive(Debug)]
pub struct RowFile {
    path: PathBuf,
    bytes: MappedFile,
    prelude: Prelude,
    header: Header,
    /// Where the keys of each categorical column lie.
    keys: Vec<Range<usize>>,
}

impl RowFile {
    /// Opens a file and checks all but the rows ([`verify`](Self::verify) checks those). It must not be
    /// written to as long as it is open.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::File`] if it is no binary dataset, or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<RowFile> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let len = file.metadata().map_err(|e| Error::io(path, e))?.len();
        if len < PRELUDE as u64 {
            return Err(Error::file(path, format!("no binary dataset: {len} bytes, expected {PRELUDE} or more")));
        }
        let bytes = MappedFile::new(&file).map_err(|e| Error::io(path, e))?;
        let damaged = |what: &str| Error::file(path, format!("a damaged binary dataset ({what}); make it again"));
        let (prelude, rest) = bytes.split_first_chunk::<{ PRELUDE - 4 }>().expect("as long as a prelude");
        let decoded = Prelude::decode(prelude).map_err(|e| Error::file(path, e))?;
        let tail = usize::try_from(decoded.ends_at).ok().filter(|&at| at >= PRELUDE).and_then(|at| bytes.get(at..));
        let tail = tail.ok_or_else(|| damaged("it is cut short"))?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(prelude);
        crc.update(tail);
        if crc.finalize().to_le_bytes() != rest[..4] {
            return Err(damaged("the checksum of its header does not fit"));
        }
        // From here on everything is as it was written: by this library, if nobody meant to deceive it.
        let (header, keys) = parse(&bytes, &decoded).ok_or_else(|| damaged("its header contradicts itself"))?;
        Ok(RowFile { path: path.to_owned(), prelude: decoded, header, keys, bytes })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.prelude.rows
    }

    /// What is known of the rows.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The vocabulary of categorical column `column`.
    ///
    /// # Errors
    /// [`Error::File`] if it is not what was written.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn keys(&self, column: usize) -> Result<Keys> {
        let keys = Keys::decode(&mut &self.bytes[self.keys[column].clone()]);
        keys.ok_or_else(|| Error::file(&self.path, format!("the vocabulary of column {column} is damaged")))
    }

    /// A checksum of the columns and the vocabulary: what a model that was trained on these rows depends on.
    pub fn vocabulary_checksum(&self) -> u32 {
        checksum(&self.header, self.keys.iter().map(|keys| &self.bytes[keys.clone()]))
    }

    /// The words of row `i`; see the [module](super).
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, i: u64) -> &[u32] {
        &self.words()[self.row_range(i)]
    }

    fn words(&self) -> &[u32] {
        bytemuck::cast_slice(&self.bytes[PRELUDE..self.prelude.ends_at as usize])
    }

    fn row_range(&self, i: u64) -> Range<usize> {
        assert!(i < self.rows(), "RowFile: row {i} of {}", self.rows());
        let i = i as usize;
        match self.prelude.words as usize {
            0 => {
                let ends = self.bytes[self.prelude.ends_at as usize..self.prelude.keys_at as usize].as_chunks().0;
                let end = |i: usize| u64::from_le_bytes(ends[i]) as usize;
                if i == 0 { 0..end(0) } else { end(i - 1)..end(i) }
            }
            words => i * words..(i + 1) * words,
        }
    }

    /// Compares all rows with their checksums, on all threads of the pool.
    ///
    /// # Errors
    /// [`Error::File`] that names the first rows that are not as they were written.
    pub fn verify(&self) -> Result<()> {
        let rows = &self.bytes[PRELUDE..self.prelude.ends_at as usize];
        let sums = self.bytes[self.prelude.sums_at as usize..self.prelude.header_at as usize].as_chunks().0;
        let bad = rows
            .par_chunks(BLOCK)
            .zip(sums)
            .position_first(|(block, sum)| crc32fast::hash(block) != u32::from_le_bytes(*sum));
        bad.map_or(Ok(()), |block| {
            let (from, to) = (PRELUDE + block * BLOCK, (PRELUDE + (block + 1) * BLOCK).min(PRELUDE + rows.len()));
            Err(Error::file(&self.path, format!("damaged between bytes {from} and {to}: the checksum does not fit")))
        })
    }

    /// Refills `batch` with the given rows, dense columns transformed.
    ///
    /// # Errors
    /// [`Error::File`] if a row is damaged: is cut short, or holds a number that is NaN or infinite, or an id that is not
    /// below the rows of its table.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn fill(&self, rows: impl Iterator<Item = u64>, batch: &mut Batch) -> Result<()> {
        let schema = &self.header.schema;
        batch.clear(schema.dense.len(), schema.categorical.len());
        rows.into_iter().try_for_each(|i| self.push(i, batch))
    }

    /// Asks the system to read these rows soon, so that a disk has all of them to read at once. Rows that follow
    /// one another are better read without: the system sees that coming.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn will_need(&self, rows: impl IntoIterator<Item = u64>) {
        const PAGE: usize = 4096;
        let mut asked = None;
        for row in rows {
            let words = self.row_range(row);
            let bytes = PRELUDE + 4 * words.start..PRELUDE + 4 * words.end;
            let pages = Some((bytes.start / PAGE, bytes.end / PAGE));
            if std::mem::replace(&mut asked, pages) == pages {
                continue; // with the row before
            }
            self.bytes.will_need(bytes);
        }
    }

    fn push(&self, i: u64, batch: &mut Batch) -> Result<()> {
        let damaged = || Error::file(&self.path, format!("row {i} is damaged; make the dataset again"));
        let schema = &self.header.schema;
        let mut words = self.row(i);
        if self.prelude.words == 0 {
            words = words.get(1..).ok_or_else(damaged)?;
        }
        let (label, rest) = words.split_first().ok_or_else(damaged)?;
        batch.labels.push(f32::from_bits(*label));
        let (dense, mut rest) = rest.split_at_checked(schema.dense.len()).ok_or_else(damaged)?;
        let min = self.header.min_dense as f32;
        batch.dense.extend(dense.iter().zip(&schema.dense).map(|(&word, column)| {
            let x = match column.number {
                Number::Integer => word as i32 as f32,
                Number::Real => f32::from_bits(word),
            };
            column.transform.apply(x, min)
        }));
        let numbers = &batch.dense[batch.dense.len() - schema.dense.len()..];
        if let Some((column, x)) = schema.dense.iter().zip(numbers).find(|(_, x)| !x.is_finite()) {
            return Err(self.bad_number(i, &column.name, *x));
        }
        if let Some(label) = batch.labels.last().filter(|label| !label.is_finite()) {
            return Err(self.bad_number(i, &schema.label, *label));
        }
        let columns = schema.categorical.iter().zip(&self.header.num_embeddings);
        for ((column, &limit), bags) in columns.zip(&mut batch.sparse) {
            let len = if column.multi_hot { *rest.split_off_first().ok_or_else(damaged)? as usize } else { 1 };
            let ids = rest.split_off(..len).ok_or_else(damaged)?;
            if let Some(id) = ids.iter().find(|&&id| u64::from(id) >= limit) {
                let what = format!("row {i}: {} has id {id}, but its table has {limit} rows", column.name);
                return Err(Error::file(&self.path, format!("{what}; make the dataset again")));
            }
            bags.push_bag(ids);
        }
        Ok(())
    }

    fn bad_number(&self, row: u64, column: &str, x: f32) -> Error {
        let message = format!("row {row}: {column} is {x}, expected a finite number; make the dataset again");
        Error::file(&self.path, message)
    }
}

/// Header and vocabulary, if lengths and places fit each other.
fn parse(bytes: &[u8], prelude: &Prelude) -> Option<(Header, Vec<Range<usize>>)> {
    let Prelude { words, rows, ends_at, keys_at, sums_at, header_at, header_len } = *prelude;
    let places = [PRELUDE as u64, ends_at, keys_at, sums_at, header_at, bytes.len() as u64];
    let rows_len = ends_at.checked_sub(PRELUDE as u64)?;
    let fits = places.is_sorted()
        && rows_len % 4 == 0
        && header_at + u64::from(header_len) == bytes.len() as u64
        && (header_at - sums_at) == rows_len.div_ceil(BLOCK as u64) * 4
        && match words {
            0 => keys_at - ends_at == rows.checked_mul(8)?,
            words => rows_len == rows.checked_mul(u64::from(words) * 4)? && keys_at == ends_at,
        };
    if !fits {
        return None;
    }
    let header: Header = toml::from_str(std::str::from_utf8(&bytes[header_at as usize..]).ok()?).ok()?;
    let columns = header.schema.categorical.len();
    let mut at = keys_at as usize;
    let mut next = || {
        let start = at;
        at += Keys::encoded_len(&bytes[at..sums_at as usize])?;
        Some(start..at)
    };
    let keys = (0..columns).map(|_| next()).collect::<Option<Vec<_>>>()?;
    let ends = bytes[ends_at as usize..keys_at as usize].as_chunks().0;
    let ends_fit = ends.is_sorted_by_key(|end| u64::from_le_bytes(*end))
        && ends.last().is_none_or(|end| u64::from_le_bytes(*end).checked_mul(4) == Some(rows_len));
    let row_words = 1 + header.schema.dense.len() + columns;
    let agrees = ends_fit
        && at == sums_at as usize
        && header.num_embeddings.len() == columns
        && header.days.iter().try_fold(0u64, |sum, &day| sum.checked_add(day)) == Some(rows)
        && (words == 0) == header.schema.multi_hot()
        && (words == 0 || words as usize == row_words);
    agrees.then_some((header, keys))
}
