//! Labels, dense numbers and ids in an array each, to rows.

use super::array::Array;
use super::place::Place;
use super::sink::RowSink;
use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};
use crate::data::schema::Number;
use crate::error::{Error, Result};
use std::fmt::Display;
use std::io::Read;
use std::path::Path;

/// Rows that are worked on at a time: 7 MB of bytes and numbers.
const BLOCK: u64 = 1 << 13;

/// The arrays of some rows.
pub(super) struct Triple<R> {
    pub labels: Array<R>,
    pub dense: Array<R>,
    pub ids: Array<R>,
}

impl<R: Read> Triple<R> {
    /// Appends all rows to `sink`, and ends the file at `path`. The numbers of dense columns are to be stored as
    /// `number`, ids to be below `counts` if these are known.
    ///
    /// # Errors
    /// [`Error::File`] if the arrays differ in rows, or a number is none that its column can hold.
    pub fn append(mut self, path: &Path, number: Number, counts: Option<&[u64]>, sink: &mut RowSink) -> Result<()> {
        let rows = self.labels.rows();
        if (self.dense.rows(), self.ids.rows()) != (rows, rows) {
            let (dense, ids) = (self.dense.rows(), self.ids.rows());
            let message = format!("{rows} labels, {dense} rows of dense numbers and {ids} of ids, expected as many");
            return Err(Error::file(path, message));
        }
        let (mut labels, mut dense, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let (mut dense_words, mut id_words) = ([0; DENSE_FEATURES], [0; SPARSE_FEATURES]);
        for first in (0..rows).step_by(BLOCK as usize) {
            let len = (rows - first).min(BLOCK) as usize;
            self.labels.read(len, &mut labels)?;
            self.dense.read(len, &mut dense)?;
            self.ids.read(len, &mut ids)?;
            let of_row = dense.as_chunks::<DENSE_FEATURES>().0.iter().zip(ids.as_chunks::<SPARSE_FEATURES>().0);
            for ((row, &label), (dense, ids)) in (first..).zip(&labels).zip(of_row) {
                let label = self.labels.place().label(row, label)?;
                for (column, (word, &x)) in dense_words.iter_mut().zip(dense).enumerate() {
                    *word = dense_word(self.dense.place(), format_args!("{row}, {column}"), x, number)?;
                }
                for (column, (word, &id)) in id_words.iter_mut().zip(ids).enumerate() {
                    *word = self.ids.place().id(
                        format_args!("{row}, {column}"),
                        id,
                        counts.map(|counts| counts[column]),
                    )?;
                }
                sink.push(label, &dense_words, id_words.chunks(1))?;
            }
        }
        self.labels.finish()?;
        self.dense.finish()?;
        self.ids.finish()?;
        sink.end_file(path)
    }
}

/// A dense number as a word of a row.
pub(super) fn dense_word(place: &Place, index: impl Display, x: f64, number: Number) -> Result<u32> {
    match number {
        Number::Integer => place.integer(index, x).map(|x| x as u32),
        Number::Real => place.finite(index, x).map(f32::to_bits),
    }
}
