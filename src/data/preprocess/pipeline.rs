//! Groups of chunks to words, in order, and from where an earlier call stopped.

use super::chunk::{Rows, WORDS, in_file};
use super::columns::Columns;
use super::finish::finish;
use super::input::{Chunk, Place, send_chunks};
use super::journal::{Group, Groups, Journal};
use super::{Numbering, Options, Phase, Progress, Summary};
use crate::data::binary::{PRELUDE, RowWriter};
use crate::data::criteo::SPARSE_FEATURES;
use crate::error::{Error, Result};
use crate::partial::{check_apart, check_output};
use crate::random::mix;
use crc32fast::Hasher;
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

/// Chunks a group, for each thread: enough that a group's small steps cost nothing.
const CHUNKS: usize = 2;

/// Bytes of a row.
pub(super) const ROW_BYTES: u64 = 4 * WORDS as u64;

/// Makes a binary dataset of `options.inputs`, and tells `on_progress` how far it is.
///
/// Goes on where an earlier call with the same options and inputs was stopped. Uses the threads of the
/// pool that it is called in.
///
/// # Errors
/// [`Error::Config`] for options that make no sense, [`Error::Row`] for a bad row (unless they are skipped),
/// [`Error::File`] for damaged compressed data or if there are too few rows, [`Error::Io`] if a file cannot be
/// read or written, such as on a full disk. What was done so far is kept for the next call, unless the input is to blame.
pub fn preprocess(options: &Options, on_progress: &mut dyn FnMut(Progress)) -> Result<Summary> {
    options.validate()?;
    let state = State::start(options)?;
    let made = make(state, on_progress);
    let is_folder = |e: &io::Error| e.kind() == io::ErrorKind::IsADirectory;
    let mistaken = match &made {
        Err(Error::Io { source, .. }) => is_folder(source),
        made => made.is_err(),
    };
    if mistaken {
        // The input has to change, and what was made of it is of no use then.
        for what in ["partial", "journal"] {
            let _ = fs::remove_file(options.beside(what));
        }
    }
    made
}

fn make(mut state: State, on_progress: &mut dyn FnMut(Progress)) -> Result<Summary> {
    let resumed = state.rows();
    state.read(on_progress)?;
    let spilled = state.at.columns.columns().iter().filter(|column| column.deferred_from.is_some()).count();
    let summary = Summary { rows: state.rows(), resumed, skipped: state.at.skipped, spilled };
    finish(state, on_progress)?;
    Ok(summary)
}

impl Options {
    fn validate(&self) -> Result<()> {
        let bad = |message: String| Err(Error::Config(message));
        if self.inputs.is_empty() {
            return bad("no --input, expected one file or more".into());
        }
        check_output(&self.output)?;
        check_apart(&self.inputs, &self.output)?;
        if !(0.0..=1.0).contains(&self.sub_sample_rate) {
            return bad(format!("--sub-sample-rate {}, expected a probability", self.sub_sample_rate));
        }
        if self.numbering == Numbering::Hash(0) {
            return bad("--hash-size 0, expected 1 or more".into());
        }
        if self.days < 2 {
            return bad(format!("--days {}, expected 2 or more: the last one is to test on", self.days));
        }
        Ok(())
    }
}

/// How far rows were read.
#[derive(Debug)]
pub(super) struct Position {
    pub columns: Columns,
    next: Place,
    /// Of the file that is read: lines, rows, rows kept.
    lines: u64,
    seen: u64,
    rows_of_file: u64,
    /// Rows of each file that was read.
    pub days: Vec<u64>,
    /// The least integer, and 0 for what is missing.
    pub min: i32,
    pub skipped: u64,
}

impl Position {
    fn start(options: &Options) -> Position {
        let columns = Columns::new(options.numbering);
        Position {
            columns,
            next: Place::default(),
            lines: 0,
            seen: 0,
            rows_of_file: 0,
            days: Vec::new(),
            min: 0,
            skipped: 0,
        }
    }

    /// Takes note of a group that is done.
    fn done(&mut self, group: &Group) {
        if group.next.file > self.next.file {
            self.days.push(group.rows_of_file);
            (self.lines, self.seen, self.rows_of_file) = (0, 0, 0);
        } else {
            (self.lines, self.seen, self.rows_of_file) = (group.lines, group.seen, group.rows_of_file);
        }
        self.next = group.next;
        self.skipped += group.skipped;
        self.min = self.min.min(group.min);
    }

    /// Takes groups as done whose words are as they were written; returns their rows, and the bytes of their
    /// records.
    fn restore(&mut self, mut groups: Groups, mut words: File, options: &Options) -> io::Result<(u64, u64)> {
        words.seek(SeekFrom::Start(PRELUDE as u64))?;
        let (mut rows, mut len) = (0, groups.len);
        while let Some(group) = groups.next() {
            let mut crc = Hasher::new();
            if !sum(&mut words, group.rows * ROW_BYTES, &mut crc) || crc.finalize() != group.crc {
                break;
            }
            for c in (0..SPARSE_FEATURES).filter(|c| group.deferred >> c & 1 == 1) {
                self.columns.defer(c, rows);
            }
            for (c, fresh) in group.fresh.iter().enumerate() {
                self.columns.restore(c, fresh);
            }
            self.done(&group);
            (rows, len) = (rows + group.rows, groups.len);
            if let Some(limit) = options.memory_limit {
                self.columns.shrink(limit, rows);
            }
        }
        Ok((rows, len))
    }
}

/// A run of the first pass.
#[derive(Debug)]
pub(super) struct State<'a> {
    pub options: &'a Options,
    pub at: Position,
    pub writer: RowWriter,
    journal: Journal,
    /// Bytes of each input.
    pub sizes: Vec<u64>,
    /// What was asked for, as the journal knows it.
    pub asked: String,
}

impl<'a> State<'a> {
    /// As far as an earlier call came, or at the beginning.
    fn start(options: &'a Options) -> Result<State<'a>> {
        let mut sizes = Vec::new();
        let mut asked = options.describe();
        for path in &options.inputs {
            let meta = fs::metadata(path).map_err(|e| Error::io(path, e))?;
            let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
            asked += &format!("\n{} {} {modified:?}", path.display(), meta.len());
            sizes.push(meta.len());
        }
        let (partial, journal) = (options.beside("partial"), options.beside("journal"));
        let mut at = Position::start(options);
        let mut records = Journal::open(&journal)?;
        let earlier = Groups::open(&journal, &asked)?.zip(File::open(&partial).ok());
        let writer = match earlier {
            None => {
                let writer = RowWriter::create(&partial, WORDS)?;
                records.restart(&asked)?;
                writer
            }
            Some((groups, words)) => {
                let (rows, len) = at.restore(groups, words, options).map_err(|e| Error::io(&partial, e))?;
                records.resume(len)?;
                RowWriter::resume(&partial, WORDS, rows, rows * ROW_BYTES)?
            }
        };
        Ok(State { options, at, writer, journal: records, sizes, asked })
    }

    pub fn rows(&self) -> u64 {
        self.writer.rows()
    }

    fn read(&mut self, on_progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let group_len = CHUNKS * rayon::current_num_threads();
        let (to, chunks) = sync_channel(group_len);
        let read = Arc::new(AtomicU64::new(self.sizes[..self.at.next.file].iter().sum()));
        let total = self.sizes.iter().sum();
        let (paths, from) = (&self.options.inputs, self.at.next);
        std::thread::scope(|scope| {
            let count = read.clone();
            scope.spawn(move || send_chunks(paths, from, &count, &to));
            // Gone when this ends, for whatever reason: the other thread would wait for room for ever.
            let chunks = chunks;
            while let Some(group) = next_group(&chunks, group_len)? {
                self.group(group)?;
                let bytes = read.load(Ordering::Relaxed).min(total);
                on_progress(Progress { rows: self.rows(), bytes, total, phase: Phase::Reading });
            }
            Ok(())
        })
    }

    /// Chunks of one file, in order.
    fn group(&mut self, chunks: Vec<Chunk>) -> Result<()> {
        let last = chunks.last().expect("a group has a chunk");
        let (file, next) = (last.file, Place { file: last.file + usize::from(last.last), offset: last.end });
        let next = if last.last { Place { offset: 0, ..next } } else { next };
        let (path, bad_rows) = (&self.options.inputs[file], self.options.bad_rows);
        let parsed: Vec<Result<Rows>> = chunks.par_iter().map(|chunk| Rows::parse(chunk, path, bad_rows)).collect();
        drop(chunks);
        let (mut rows, mut lines) = (Vec::new(), self.at.lines);
        for parsed in parsed {
            let parsed = parsed.map_err(|e| in_file(e, lines))?;
            lines += parsed.lines;
            rows.push(parsed);
        }
        let mut seen = self.at.seen;
        if self.options.sub_sample_rate > 0.0 {
            let starts: Vec<u64> = rows
                .iter()
                .map(|rows| {
                    seen += rows.len() as u64;
                    seen - rows.len() as u64
                })
                .collect();
            let Options { seed, sub_sample_rate: rate, .. } = *self.options;
            rows.par_iter_mut().zip(starts).for_each(|(rows, start)| {
                rows.retain(|i, label| label == 1 || uniform(seed, file as u64, start + i as u64) >= rate);
            });
        }
        self.at.columns.number(&mut rows);
        let words: Vec<Vec<u32>> = rows.par_iter().map(Rows::words).collect();
        let count = rows.iter().map(|rows| rows.len() as u64).sum();
        let mut crc = Hasher::new();
        for words in &words {
            crc.update(bytemuck::cast_slice(words));
            self.writer.write((words.len() / WORDS) as u64, words)?;
        }
        self.writer.flush()?;
        let group = Group {
            rows: count,
            crc: crc.finalize(),
            next,
            lines,
            seen,
            rows_of_file: self.at.rows_of_file + count,
            skipped: rows.iter().map(|rows| rows.skipped).sum(),
            min: rows.iter().map(Rows::min).min().unwrap_or(0),
            deferred: self.deferred(),
            fresh: self.at.columns.take_fresh(),
        };
        self.at.done(&group);
        self.journal.append(&group)?;
        if let Some(limit) = self.options.memory_limit {
            self.at.columns.shrink(limit, self.writer.rows());
        }
        Ok(())
    }

    /// A bit for each column that waits.
    fn deferred(&self) -> u32 {
        let waits = self.at.columns.columns().iter().enumerate().filter(|(_, column)| column.deferred_from.is_some());
        waits.fold(0, |bits, (c, _)| bits | 1 << c)
    }
}

/// Up to `len` chunks of one file; none at the end.
fn next_group(chunks: &Receiver<Result<Chunk>>, len: usize) -> Result<Option<Vec<Chunk>>> {
    let mut group = Vec::new();
    while group.len() < len {
        let Ok(chunk) = chunks.recv() else { break };
        group.push(chunk?);
        if group.last().is_some_and(|chunk: &Chunk| chunk.last) {
            break;
        }
    }
    Ok((!group.is_empty()).then_some(group))
}

/// Whether so many bytes could be read and summed.
fn sum(file: &mut impl Read, bytes: u64, crc: &mut Hasher) -> bool {
    let mut piece = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let piece = &mut piece[..left.min(1 << 20) as usize];
        if file.read_exact(piece).is_err() {
            return false;
        }
        crc.update(piece);
        left -= piece.len() as u64;
    }
    true
}

/// A number in [0, 1) that depends on its arguments alone: the steps of SplitMix64.
fn uniform(seed: u64, file: u64, row: u64) -> f64 {
    let step = 0x9e37_79b9_7f4a_7c15u64;
    let key = mix(mix(seed.wrapping_add(step)).wrapping_add(file.wrapping_mul(step)));
    (mix(key.wrapping_add(row.wrapping_mul(step))) >> 11) as f64 / (1u64 << 53) as f64
}
