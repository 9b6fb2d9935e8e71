//! Columns whose vocabulary does not fit into memory: numbered on disk, one after the other.
//!
//! ```text
//! 1. split     (row, id) of the column to partitions, by the id's upper bits
//! 2. look up   partition by partition, whose vocabulary fits: the number of an id that has one, or its place
//!              among the partition's new ids, whose first rows are listed
//! 3. merge     the lists by first row: that is the order of the new numbers, and of the vocabulary
//! 4. number    partition by partition: places to numbers
//! ```
//!
//! Then the numbers of a row's columns come from the partitions of their ids, each read front to back.

use super::chunk::WORDS;
use super::finish::{IDS, Words, journal_keys};
use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Partitions of a column: of the largest that Criteo has, 292 million ids, one takes 330 MB.
const PARTITIONS: usize = 16;

/// Marks a place among a partition's new ids.
const NEW: u32 = 1 << 31;

fn partition(id: u32) -> usize {
    // Ids below --max-ind-range have no upper bits: these are of a product.
    (id.wrapping_mul(0x9e37_79b9) >> 28) as usize
}

/// A folder of partitions.
pub(super) struct Spill<'a> {
    folder: PathBuf,
    journal: PathBuf,
    asked: &'a str,
}

impl<'a> Spill<'a> {
    /// An empty one: what an earlier call left is made again.
    pub fn new(folder: PathBuf, journal: PathBuf, asked: &'a str) -> Result<Spill<'a>> {
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(folder, e)),
            _ => Ok(Spill { folder, journal, asked }),
        }
    }

    /// Numbers the ids of column `c` from row `from` on; `known` ids have numbers. Returns how many have
    /// numbers then.
    pub fn number(&self, c: usize, from: u64, known: u32, words: &Words) -> Result<u32> {
        fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        self.split(c, from, words)?;
        let keys = journal_keys(&self.journal, self.asked, c).map_err(|e| Error::io(&self.journal, e))?;
        (0..PARTITIONS).try_for_each(|p| self.look_up(c, p, &keys))?;
        drop(keys);
        let all = self.merge(c, known)?;
        (0..PARTITIONS).try_for_each(|p| self.places_to_numbers(c, p))?;
        Ok(all)
    }

    fn split(&self, c: usize, from: u64, words: &Words) -> Result<()> {
        let mut out = self.all(|p| self.write("split", c, p))?;
        words.for_each(from, words.rows, &mut |first, words| {
            for (row, words) in (first..).zip(words.chunks_exact(WORDS)) {
                let id = words[IDS + c];
                out[partition(id)].put(&[row as u32, (row >> 32) as u32, id])?;
            }
            Ok(())
        })?;
        out.into_iter().try_for_each(Out::close)
    }

    fn look_up(&self, c: usize, p: usize, keys: &[u32]) -> Result<()> {
        let mut numbers: FxHashMap<u32, u32> = FxHashMap::default();
        numbers.extend(keys.iter().copied().zip(0..).filter(|&(id, _)| partition(id) == p));
        let (mut records, mut places, mut fresh) =
            (self.read("split", c, p)?, self.write("places", c, p)?, self.write("fresh", c, p)?);
        let mut count = NEW;
        while let Some([low, high, id]) = records.get()? {
            let place = *numbers.entry(id).or_insert(count);
            if place == count {
                count += 1;
                fresh.put(&[low, high, id])?;
            }
            places.put(&[place])?;
        }
        places.close()?;
        fresh.close()?;
        self.remove("split", c, p)
    }

    fn merge(&self, c: usize, known: u32) -> Result<u32> {
        let mut fresh = self.all(|p| self.read("fresh", c, p))?;
        let mut numbers = self.all(|p| self.write("new", c, p))?;
        let mut keys = self.write("keys", c, 0)?;
        let mut heads = fresh.iter_mut().map(In::get::<3>).collect::<Result<Vec<_>>>()?;
        let row = |[low, high, _]: [u32; 3]| u64::from(high) << 32 | u64::from(low);
        let mut next = known;
        while let Some(p) = (0..PARTITIONS).filter(|&p| heads[p].is_some()).min_by_key(|&p| heads[p].map(row)) {
            let [_, _, id] = heads[p].expect("a partition with a head");
            keys.put(&[id])?;
            numbers[p].put(&[next])?;
            next += 1;
            heads[p] = fresh[p].get()?;
        }
        keys.close()?;
        numbers.into_iter().try_for_each(Out::close)?;
        (0..PARTITIONS).try_for_each(|p| self.remove("fresh", c, p))?;
        Ok(next)
    }

    fn places_to_numbers(&self, c: usize, p: usize) -> Result<()> {
        let (mut new, mut list) = (self.read("new", c, p)?, Vec::new());
        while let Some([number]) = new.get()? {
            list.push(number);
        }
        let (mut places, mut out) = (self.read("places", c, p)?, self.write("numbers", c, p)?);
        while let Some([place]) = places.get()? {
            out.put(&[if place < NEW { place } else { list[(place - NEW) as usize] }])?;
        }
        out.close()?;
        self.remove("places", c, p)?;
        self.remove("new", c, p)
    }

    /// The numbers of the deferred columns, in the order of the rows.
    pub fn numbers(&self, deferred: &[(usize, u64)]) -> Result<Numbers> {
        let parts = deferred.iter().map(|&(c, from)| Ok((from, self.all(|p| self.read("numbers", c, p))?)));
        Ok(Numbers { parts: parts.collect::<Result<_>>()? })
    }

    /// The vocabulary of column `c`.
    pub fn keys(&self, c: usize) -> io::Result<Vec<u32>> {
        let mut keys = journal_keys(&self.journal, self.asked, c)?;
        if let Ok(bytes) = fs::read(self.path("keys", c, 0)) {
            keys.extend(bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)));
        }
        Ok(keys)
    }

    fn path(&self, what: &str, c: usize, p: usize) -> PathBuf {
        self.folder.join(format!("{what}.{c}.{p}"))
    }

    fn read(&self, what: &str, c: usize, p: usize) -> Result<In> {
        let path = self.path(what, c, p);
        let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
        Ok(In { file: BufReader::with_capacity(BUFFER, file), path })
    }

    fn write(&self, what: &str, c: usize, p: usize) -> Result<Out> {
        let path = self.path(what, c, p);
        let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Out { file: BufWriter::with_capacity(BUFFER, file), path })
    }

    fn remove(&self, what: &str, c: usize, p: usize) -> Result<()> {
        let path = self.path(what, c, p);
        fs::remove_file(&path).map_err(|e| Error::io(path, e))
    }

    fn all<T>(&self, one: impl Fn(usize) -> Result<T>) -> Result<Vec<T>> {
        (0..PARTITIONS).map(one).collect()
    }
}

/// Of each file: 416 of them may be open.
const BUFFER: usize = 64 << 10;

/// Records of words, read one after the other.
pub(super) struct In {
    file: BufReader<File>,
    path: PathBuf,
}

impl In {
    fn get<const N: usize>(&mut self) -> Result<Option<[u32; N]>> {
        let mut words = [0; N];
        match self.file.read_exact(bytemuck::cast_slice_mut(&mut words)) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(|()| Some(words)).map_err(|e| Error::io(&self.path, e)),
        }
    }
}

/// Records of words, written one after the other.
struct Out {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Out {
    fn put(&mut self, words: &[u32]) -> Result<()> {
        self.file.write_all(bytemuck::cast_slice(words)).map_err(|e| Error::io(&self.path, e))
    }

    fn close(mut self) -> Result<()> {
        self.file.flush().map_err(|e| Error::io(&self.path, e))
    }
}

/// The numbers of deferred columns, partition by partition, and the row they begin with.
pub(super) struct Numbers {
    parts: Vec<(u64, Vec<In>)>,
}

impl Numbers {
    /// Puts numbers in the place of ids, in `columns` of the rows from `first` on, which follow those of the
    /// last call.
    pub fn fill(&mut self, first: u64, columns: &[usize], words: &mut [u32]) -> Result<()> {
        for (&c, (from, parts)) in columns.iter().zip(&mut self.parts) {
            let skip = from.saturating_sub(first).min((words.len() / WORDS) as u64) as usize;
            for row in words.chunks_exact_mut(WORDS).skip(skip) {
                let id = &mut row[IDS + c];
                let file = &mut parts[partition(*id)];
                let [number] = file.get()?.ok_or_else(|| lost(&file.path))?;
                *id = number;
            }
        }
        Ok(())
    }
}

fn lost(path: &Path) -> Error {
    Error::file(path, "cut short while it was used")
}
