//! Text to a [binary dataset](crate::data::binary), at any size.
//!
//! ```text
//! one thread      reads the files, decompressed if need be, in chunks of whole lines
//! for groups of chunks, in order
//!     all threads     chunks to rows                        a bad row stops here, with its line
//!     all threads     columns: ids to numbers, in the order of the rows
//!     all threads     rows to words
//!     one write       the words, then a record in a journal beside them
//! once more over the words, only if ids are to be counted or did not fit into memory
//! vocabulary, checksums and header; the file gets its name
//! ```
//!
//! Numbers are given by first occurrence in the order of the rows, as the reference does
//! (`data_utils.py`, `convertDicts`), whatever the number of threads: chunks are parsed side by side, and
//! columns numbered side by side, but a column sees its chunks one after the other.
//!
//! **Memory** is the vocabulary, 10 to 18 bytes for each different id (a hash table of 8 bytes a slot, between
//! half and seven eighths full, and twice that while it grows), and a constant: 60 MB, and 30 more a
//! thread. With [`memory_limit`](Options::memory_limit) tables that do not fit are left for a second pass over the
//! words, which partitions a column's ids on disk.
//!
//! **Interrupted** at any moment, the next call with the same options goes on after the last group whose record
//! and words are whole, and the result has the same bytes. Nothing has the name of the output before it is
//! complete and on the disk: until then it is called `.NAME.partial`, and the journal `.NAME.journal`,
//! which is locked: of two calls for one output at a time the second is refused.

mod chunk;
mod columns;
mod finish;
mod input;
mod journal;
mod new_rows;
mod pipeline;
mod spill;

pub use new_rows::NewRows;
pub use pipeline::preprocess;

use crate::data::criteo::BadRows;
use crate::data::schema::Transform;
use std::path::PathBuf;

/// What to make of what.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Files of labelled rows in order of time, plain, .gz or .zst.
    pub inputs: Vec<PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// How many days a single file is cut into, as the reference does with Kaggle's; of several files each
    /// is a day.
    pub days: usize,
    /// What a model will see of the integers.
    pub transform: Transform,
    /// How ids become numbers.
    pub numbering: Numbering,
    /// The probability with which a row without a click is left out, as the reference's
    /// `--data-sub-sample-rate`; it depends on the seed, the file and the row.
    pub sub_sample_rate: f64,
    /// For that.
    pub seed: u64,
    /// What to do about bad rows.
    pub bad_rows: BadRows,
    /// Bytes that vocabularies may take while rows are read.
    pub memory_limit: Option<u64>,
}

/// How ids become numbers of embedding rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// By first occurrence.
    Vocabulary {
        /// If above 0, ids modulo this are numbered, as the reference's `--max-ind-range`.
        max_ind_range: u32,
        /// Ids seen fewer times than this on all days but the last share row 0; up to 1, every id has a row.
        min_count: u32,
    },
    /// By a hash of the id and its column, modulo this: no vocabulary, the same number for the same id in any
    /// dataset, and collisions.
    Hash(u32),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows so far.
    pub rows: u64,
    /// Bytes of input so far, as they lie on the disk.
    pub bytes: u64,
    /// Bytes of input in all.
    pub total: u64,
    /// What is done.
    pub phase: Phase,
}

/// What is done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Text to words.
    Reading,
    /// Numbers that had to wait, and counts.
    Numbering,
    /// Checksums, vocabulary, header.
    Finishing,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Rows in the file.
    pub rows: u64,
    /// Of these, rows that an earlier call had read.
    pub resumed: u64,
    /// Bad rows that were passed over.
    pub skipped: u64,
    /// Columns whose vocabulary did not fit into memory.
    pub spilled: usize,
}

impl Options {
    /// Kaggle's `train.txt` to `output`, as the reference makes it.
    pub fn new(inputs: Vec<PathBuf>, output: PathBuf) -> Options {
        Options {
            inputs,
            output,
            days: 7,
            transform: Transform::Log,
            numbering: Numbering::Vocabulary { max_ind_range: 0, min_count: 1 },
            sub_sample_rate: 0.0,
            seed: 0,
            bad_rows: BadRows::Stop,
            memory_limit: None,
        }
    }

    /// What the result depends on besides the inputs: for the header, and to know it again.
    fn describe(&self) -> String {
        let numbering = match self.numbering {
            Numbering::Vocabulary { max_ind_range, min_count } => {
                format!("--max-ind-range {max_ind_range} --min-count {}", min_count.max(1))
            }
            Numbering::Hash(size) => format!("--hash-size {size}"),
        };
        let skip = if self.bad_rows == BadRows::Skip { " --skip-bad-rows" } else { "" };
        let sampling = if self.sub_sample_rate > 0.0 {
            format!(" --sub-sample-rate {} --seed {}", self.sub_sample_rate, self.seed)
        } else {
            String::new()
        };
        format!("--days {} {numbering}{sampling}{skip}", self.days)
    }

    /// Names beside the output.
    fn beside(&self, what: &str) -> PathBuf {
        let name = self.output.file_name().unwrap_or_default().to_string_lossy();
        self.output.with_file_name(format!(".{name}.{what}"))
    }
}
