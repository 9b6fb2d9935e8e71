//! Ids to rows of the embedding tables.

use super::{Row, SPARSE_FEATURES};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// For each categorical column, which row of its embedding table an id has.
///
/// Rows are numbered in order of first appearance, as the reference numbers them
/// (`data_utils.py`, `convertDicts`). With a shared row, row 0 stands for every id that is not
/// in the vocabulary, and the others are numbered from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    columns: [FxHashMap<u32, u32>; SPARSE_FEATURES],
    shared_row: bool,
}

impl Vocabulary {
    /// The vocabulary whose ids, in order of their rows, are `hashes`: what
    /// [`hashes`](Self::hashes) gives for each column.
    ///
    /// Of an id that is there twice the last row counts.
    pub fn from_hashes(hashes: [Vec<u32>; SPARSE_FEATURES], shared_row: bool) -> Self {
        let first = u32::from(shared_row);
        Vocabulary { columns: hashes.map(|column| column.into_iter().zip(first..).collect()), shared_row }
    }

    /// The ids of `column` in order of their rows, without the shared row: what to save.
    pub fn hashes(&self, column: usize) -> Vec<u32> {
        let mut pairs: Vec<_> = self.columns[column].iter().map(|(&hash, &row)| (row, hash)).collect();
        pairs.sort_unstable();
        pairs.into_iter().map(|(_, hash)| hash).collect()
    }

    /// Whether row 0 of each table is shared by the ids that have none of their own.
    pub fn shared_row(&self) -> bool {
        self.shared_row
    }

    /// Rows of the embedding table of `column`.
    pub fn num_embeddings(&self, column: usize) -> usize {
        self.columns[column].len() + usize::from(self.shared_row)
    }

    /// The row of `hash` in `column`'s table; for an id never seen the shared row, or `None` if
    /// there is none.
    pub fn row_of(&self, column: usize, hash: u32) -> Option<u32> {
        self.columns[column].get(&hash).copied().or(self.shared_row.then_some(0))
    }

    /// Gives each id of `rows` its table row, a new one where it is the first of its kind, and
    /// writes those of column `c` to `out[c]`.
    ///
    /// Columns are independent of one another, so they are spread over threads; within a column
    /// the order is that of the rows.
    pub(super) fn extend(&mut self, rows: &[Row], out: &mut [Vec<u32>; SPARSE_FEATURES]) {
        self.columns.par_iter_mut().zip(out.par_iter_mut()).enumerate().for_each(|(c, (column, out))| {
            out.clear();
            out.extend(rows.iter().map(|row| {
                let next = column.len() as u32;
                *column.entry(row.ids[c]).or_insert(next)
            }));
        });
    }

    /// Keeps the ids that `counts[c][row]` says were seen at least `min_count` times, closes the
    /// gaps in order, makes row 0 the shared one, and returns the new row for each old one.
    pub(super) fn keep_frequent(
        &mut self,
        counts: [Vec<u32>; SPARSE_FEATURES],
        min_count: u32,
    ) -> [Vec<u32>; SPARSE_FEATURES] {
        let new_rows = counts.map(|mut column| {
            let mut kept = 0;
            for entry in &mut column {
                let frequent = *entry >= min_count;
                kept += u32::from(frequent);
                *entry = if frequent { kept } else { 0 };
            }
            column
        });
        for (column, new_rows) in self.columns.iter_mut().zip(&new_rows) {
            column.retain(|_, row| {
                *row = new_rows[*row as usize];
                *row != 0
            });
        }
        self.shared_row = true;
        new_rows
    }
}
