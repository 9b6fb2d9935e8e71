//! A chunk of text to rows.

use super::input::Chunk;
use crate::data::criteo::row::BadField;
use crate::data::criteo::scan::Scanner;
use crate::data::criteo::{BadRows, DENSE_FEATURES, Row, SPARSE_FEATURES};
use crate::error::{Error, Result};
use dlrm_kernels::Isa;
use std::path::Path;

/// Words of a row: label, integers, numbers of embedding rows.
pub(super) const WORDS: usize = 1 + DENSE_FEATURES + SPARSE_FEATURES;

/// The rows of a chunk, ids by column.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub labels: Vec<u8>,
    pub ints: Vec<[i32; DENSE_FEATURES]>,
    /// Ids as they stand in the file, and then numbers of embedding rows.
    pub ids: [Vec<u32>; SPARSE_FEATURES],
    /// Lines, good and bad.
    pub lines: u64,
    pub skipped: u64,
}

impl Rows {
    /// The rows of `chunk`. Errors count lines from the chunk's first.
    pub fn parse(chunk: &Chunk, path: &Path, bad_rows: BadRows) -> Result<Rows> {
        let mut rows = Rows::default();
        let expected = chunk.text.len() / 200;
        rows.labels.reserve(expected);
        rows.ints.reserve(expected);
        rows.ids.iter_mut().for_each(|column| column.reserve(expected));
        Scanner::new(Isa::best()).for_each(&chunk.text, |line| {
            rows.lines += 1;
            match (line.parse(), bad_rows) {
                (Ok(row), _) => rows.push(&row),
                (Err(_), BadRows::Skip) => rows.skipped += 1,
                (Err(bad), BadRows::Stop) => {
                    let BadField { column, message } = bad;
                    return Err(Error::Row { path: path.to_owned(), line: rows.lines, column, message });
                }
            }
            Ok(())
        })?;
        Ok(rows)
    }

    fn push(&mut self, row: &Row) {
        self.labels.push(row.label.unwrap_or(0));
        self.ints.push(row.ints);
        for (column, id) in self.ids.iter_mut().zip(row.ids) {
            column.push(id);
        }
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Keeps the rows of which `keep` says so: by number in this chunk and label.
    pub fn retain(&mut self, keep: impl Fn(usize, u8) -> bool) {
        let keep: Vec<bool> = self.labels.iter().enumerate().map(|(i, &label)| keep(i, label)).collect();
        fn pick<T>(list: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            list.retain(|_| *keep.next().expect("one for each row"));
        }
        pick(&mut self.labels, &keep);
        pick(&mut self.ints, &keep);
        self.ids.iter_mut().for_each(|column| pick(column, &keep));
    }

    /// The least integer.
    pub fn min(&self) -> i32 {
        self.ints.as_flattened().iter().copied().min().unwrap_or(i32::MAX)
    }

    /// The words of all rows.
    pub fn words(&self) -> Vec<u32> {
        let mut words = vec![0; self.len() * WORDS];
        for (i, row) in words.chunks_exact_mut(WORDS).enumerate() {
            row[0] = f32::from(self.labels[i]).to_bits();
            for (to, x) in row[1..].iter_mut().zip(self.ints[i]) {
                *to = x as u32;
            }
            for (to, column) in row[1 + DENSE_FEATURES..].iter_mut().zip(&self.ids) {
                *to = column[i];
            }
        }
        words
    }
}

/// An error of a chunk, whose lines are counted from the file's first.
pub(super) fn in_file(error: Error, lines_before: u64) -> Error {
    match error {
        Error::Row { path, line, column, message } => Error::Row { path, line: line + lines_before, column, message },
        other => other,
    }
}
