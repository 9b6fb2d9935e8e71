//! Arrays of `.npy` files, some rows at a time.

use super::npy::{Dtype, Header};
use super::place::Place;
use crate::error::{Error, Result};
use crate::partial::Partial;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// An array whose rows have not been read yet.
pub(super) struct Array<R> {
    place: Place,
    dtype: Dtype,
    rows: u64,
    columns: usize,
    at: u64,
    numbers: Numbers<R>,
    /// Those of the rows read last.
    bytes: Vec<u8>,
}

enum Numbers<R> {
    /// Row after row.
    Rows(R),
    /// Column after column, copied to a file where every column can be found.
    Columns(File, Partial),
}

/// What an array is expected to be.
pub(super) struct Expected<'a> {
    /// Columns of a matrix; a vector counts as a matrix of 1.
    pub columns: usize,
    pub dtypes: &'a [Dtype],
}

impl<R: Read> Array<R> {
    /// The array in the `len` bytes of `reader`. What has to be copied is copied beside `output`.
    ///
    /// # Errors
    /// Another dtype or shape, or another length than these say.
    pub fn open(mut reader: R, len: u64, place: Place, expected: &Expected, output: &Path) -> Result<Array<R>> {
        let (header, start) = Header::read(&mut reader, &place, expected.dtypes)?;
        let columns = expected.columns as u64;
        let rows = match header.shape[..] {
            [rows] if columns == 1 => rows,
            [rows, n] if n == columns => rows,
            _ => {
                return Err(place.fault(format_args!(
                    "has shape {}, expected {}",
                    header.shape_text(),
                    shape(columns)
                )));
            }
        };
        let (expected_len, found) = (header.data_len(), len.checked_sub(start));
        if expected_len.is_none() || expected_len != found {
            let expected_len = expected_len.map_or("more than there can be".into(), |len| len.to_string());
            return Err(place.fault(format_args!(
                "has {} bytes of numbers, expected {expected_len}: {} of {}",
                found.unwrap_or(0),
                header.shape_text(),
                header.dtype.descr()
            )));
        }
        let numbers = match header.fortran && columns > 1 && rows > 1 {
            false => Numbers::Rows(reader),
            true => columns_of(&mut reader, len - start, &place, output)?,
        };
        let (dtype, columns) = (header.dtype, expected.columns);
        Ok(Array { place, dtype, rows, columns, at: 0, numbers, bytes: Vec::new() })
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Replaces `numbers` by those of the next `rows` rows, row after row. What an `i64` has beyond 53 bits is lost.
    ///
    /// # Errors
    /// If they cannot be read.
    ///
    /// # Panics
    /// If there are not so many rows.
    pub fn read(&mut self, rows: usize, numbers: &mut Vec<f64>) -> Result<()> {
        assert!(rows as u64 <= self.rows - self.at, "Array: {rows} rows after {} of {}", self.at, self.rows);
        let (size, columns) = (self.dtype.size(), self.columns);
        self.bytes.resize(rows * columns * size as usize, 0);
        match &mut self.numbers {
            Numbers::Rows(reader) => {
                reader.read_exact(&mut self.bytes).map_err(|e| self.place.unreadable(e))?;
                numbers.clear();
                decode(self.dtype, &self.bytes, |x| numbers.push(x));
            }
            Numbers::Columns(file, partial) => {
                numbers.resize(rows * columns, 0.0);
                for (column, part) in self.bytes.chunks_exact_mut(rows * size as usize).enumerate() {
                    let start = (column as u64 * self.rows + self.at) * size;
                    let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(part));
                    read.map_err(|e| Error::io(partial.path(), e))?;
                    let mut place = column;
                    decode(self.dtype, part, |x| {
                        numbers[place] = x;
                        place += columns;
                    });
                }
            }
        }
        self.at += rows as u64;
        Ok(())
    }

    /// Reads on to the end, where a reader of an archive compares checksums.
    ///
    /// # Errors
    /// If they do not fit, or there is more than the array.
    pub fn finish(mut self) -> Result<()> {
        match &mut self.numbers {
            Numbers::Rows(reader) => at_end(reader, &self.place),
            Numbers::Columns(..) => Ok(()),
        }
    }
}

fn shape(columns: u64) -> String {
    if columns == 1 { "(N,) or (N, 1)".into() } else { format!("(N, {columns})") }
}

fn at_end(reader: &mut impl Read, place: &Place) -> Result<()> {
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(place.fault("goes on after its last number, expected its end")),
        Err(e) => Err(place.unreadable(e)),
    }
}

/// Copies `len` bytes to a file beside `output`.
fn columns_of<R: Read>(reader: &mut R, len: u64, place: &Place, output: &Path) -> Result<Numbers<R>> {
    let partial = Partial::beside(output, place.array())?;
    let io = |e| Error::io(partial.path(), e);
    let mut file =
        File::options().read(true).write(true).create(true).truncate(true).open(partial.path()).map_err(io)?;
    let mut block = vec![0; 1 << 16];
    let mut left = len;
    while left > 0 {
        let block = &mut block[..left.min(1 << 16) as usize];
        reader.read_exact(block).map_err(|e| place.unreadable(e))?;
        file.write_all(block).map_err(io)?;
        left -= block.len() as u64;
    }
    at_end(reader, place)?;
    Ok(Numbers::Columns(file, partial))
}

/// Calls `each` with each number of `bytes`.
fn decode(dtype: Dtype, bytes: &[u8], mut each: impl FnMut(f64)) {
    match dtype {
        Dtype::Int32 => bytes.as_chunks().0.iter().for_each(|b| each(f64::from(i32::from_le_bytes(*b)))),
        Dtype::Int64 => bytes.as_chunks().0.iter().for_each(|b| each(i64::from_le_bytes(*b) as f64)),
        Dtype::Float32 => bytes.as_chunks().0.iter().for_each(|b| each(f64::from(f32::from_le_bytes(*b)))),
        Dtype::Float64 => bytes.as_chunks().0.iter().for_each(|b| each(f64::from_le_bytes(*b))),
    }
}
