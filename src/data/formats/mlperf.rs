//! MLPerf's binary file: rows of 40 `i32`, little-endian and with nothing before, between or after them.
//!
//! A row is its label (0 or 1), 13 integers, negative ones as 0 and no logarithm taken, and 26 numbers of embedding
//! rows. The reference makes it in `data_loader_terabyte.py`, `numpy_to_binary`, and reads it in
//! `CriteoBinDataset`; the sizes of the tables lie in another file there.

use super::criteo_rows::CriteoRows;
use super::place::Place;
use super::sink::RowSink;
use crate::data::binary::RowFile;
use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};
use crate::data::schema::{Schema, Transform};
use crate::error::{Error, Result};
use crate::partial::Partial;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// Numbers of a row.
const WORDS: usize = 1 + DENSE_FEATURES + SPARSE_FEATURES;

/// Where the ids begin in a row.
const IDS: usize = 1 + DENSE_FEATURES;

/// Makes a binary dataset at `output` of some files, a day each. Integers get the transform
/// [`Transform::Log`], as the reference's loader has it. A table gets as many rows as its largest id needs.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if a file has no whole number of rows, or none; a label is neither 0 nor 1,
/// or an id is negative.
pub fn read<P: AsRef<Path>>(paths: &[P], output: &Path) -> Result<()> {
    let mut sink = RowSink::create(output, Schema::criteo(Transform::Log))?;
    paths.iter().try_for_each(|path| append(path.as_ref(), &mut sink))?;
    sink.finish()
}

fn append(path: &Path, sink: &mut RowSink) -> Result<()> {
    let io = |e| Error::io(path, e);
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let bytes = WORDS as u64 * 4;
    if len % bytes != 0 {
        return Err(Error::file(path, format!("{len} bytes, expected a multiple of {bytes}: rows of {WORDS} int32")));
    }
    let mut file = BufReader::with_capacity(1 << 20, file);
    let place = Place::new(path, "rows");
    let mut row = [0u32; WORDS];
    for i in 0..len / bytes {
        file.read_exact(bytemuck::cast_slice_mut(&mut row)).map_err(io)?;
        let value = |column: usize| f64::from(row[column] as i32);
        let label = place.label(format_args!("{i}, 0"), value(0))?;
        (IDS..WORDS).try_for_each(|column| place.id(format_args!("{i}, {column}"), value(column), None).map(drop))?;
        sink.push(label, &row[1..IDS], row[IDS..].chunks(1))?;
    }
    sink.end_file(path)
}

/// Writes all rows of a dataset of Criteo's columns.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if the dataset has other columns, a label that is neither 0 nor 1, or an id
/// that is not below the rows of its table or is above 2147483647.
pub fn write(rows: &RowFile, path: &Path) -> Result<()> {
    let rows = CriteoRows::of_integers(rows)?;
    let partial = Partial::written(path, |file| {
        for i in 0..rows.len() {
            let mut row = [0i32; WORDS];
            row[0] = rows.label(i)?;
            row[1..IDS].copy_from_slice(&rows.integers(i));
            row[IDS..].copy_from_slice(&rows.ids(i)?);
            file.write_all(bytemuck::cast_slice(&row)).map_err(|e| Error::io(path, e))?;
        }
        Ok(())
    })?;
    partial.publish()
}
