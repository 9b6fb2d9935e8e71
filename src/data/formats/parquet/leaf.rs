//! A column of a file, some rows at a time.

use super::decoded;
use crate::data::formats::place::Place;
use crate::error::{Error, Result};
use ::parquet::basic::ConvertedType;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::file::reader::RowGroupReader;
use ::parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where the numbers of a column are in a file.
pub(super) struct Leaf {
    path: PathBuf,
    place: Place,
    index: usize,
    column: ColumnDescPtr,
}

/// The numbers of some rows.
#[derive(Default)]
pub(super) struct Numbers {
    pub values: Vec<f64>,
    /// Where each row ends in `values`.
    ends: Vec<usize>,
    def_levels: Vec<i16>,
    rep_levels: Vec<i16>,
}

impl Numbers {
    /// Where row `i` lies in `values`.
    pub fn row(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        start..self.ends[i]
    }
}

impl Leaf {
    /// The column `name`, of lists or of numbers.
    pub fn find(path: &Path, schema: &SchemaDescriptor, name: &str, list: bool) -> Result<Leaf> {
        let mut found = schema.columns().iter().enumerate().filter(|(_, column)| column.path().parts()[0] == name);
        let kind = if list { "a list of numbers in each row" } else { "a number in each row" };
        let (index, column) =
            found.next().ok_or_else(|| Error::file(path, format!("no column {name}, expected {kind}")))?;
        if found.next().is_some() || column.max_rep_level() != i16::from(list) {
            return Err(Error::file(path, format!("column {name} has another structure, expected {kind}")));
        }
        Ok(Leaf { path: path.to_owned(), place: Place::new(path, name), index, column: column.clone() })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The numbers of a group of rows in a file of `len` bytes.
    pub fn open(&self, group: &dyn RowGroupReader, len: u64) -> Result<ColumnReader> {
        // The decoder trusts these.
        let chunk = group.metadata().column(self.index);
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
        if end.and_then(|(start, bytes)| start.checked_add(bytes)).is_none_or(|end| end > len) {
            return Err(self.place.fault(format_args!("lies outside of the file's {len} bytes, expected it in them")));
        }
        decoded(&self.path, || group.get_column_reader(self.index))
    }

    /// Replaces `numbers` by those of the next `rows` rows.
    pub fn read(&self, reader: &mut ColumnReader, rows: usize, numbers: &mut Numbers) -> Result<()> {
        use ConvertedType::*;
        let kind = self.column.converted_type();
        if !matches!(kind, NONE | INT_8 | INT_16 | INT_32 | INT_64 | UINT_8 | UINT_16 | UINT_32 | UINT_64) {
            return Err(self.no_numbers(kind)); // dates and decimals lie in integers too
        }
        let unsigned = kind == UINT_32;
        let path = &self.path;
        match reader {
            ColumnReader::BoolColumnReader(r) => decode(path, r, rows, numbers, |x| f64::from(u8::from(x))),
            ColumnReader::Int32ColumnReader(r) if unsigned => decode(path, r, rows, numbers, |x| f64::from(x as u32)),
            ColumnReader::Int32ColumnReader(r) => decode(path, r, rows, numbers, f64::from),
            ColumnReader::Int64ColumnReader(r) => decode(path, r, rows, numbers, |x| x as f64),
            ColumnReader::FloatColumnReader(r) => decode(path, r, rows, numbers, f64::from),
            ColumnReader::DoubleColumnReader(r) => decode(path, r, rows, numbers, |x| x),
            _ => Err(self.no_numbers(self.column.physical_type())),
        }?;
        self.find_ends(rows, numbers)
    }

    fn no_numbers(&self, kind: impl Display) -> Error {
        self.place.fault(format_args!("is of type {kind}, expected numbers or booleans"))
    }

    /// Where rows end, from what is said of each place where a number may be: how much of its path is there, and
    /// whether it begins a row.
    fn find_ends(&self, rows: usize, numbers: &mut Numbers) -> Result<()> {
        let Numbers { values, ends, def_levels, rep_levels } = numbers;
        let (whole, list) = (self.column.max_def_level(), self.column.max_rep_level() == 1);
        ends.clear();
        if whole == 0 {
            ends.extend(1..=values.len());
        }
        let null_in_list = self.column.self_type().is_optional().then(|| whole - 1);
        let mut end = 0;
        for (i, &level) in def_levels.iter().enumerate() {
            if level != whole && (!list || Some(level) == null_in_list) {
                return Err(self.place.fault("has rows without a number, expected one in each"));
            }
            end += usize::from(level == whole);
            if list && rep_levels.get(i) == Some(&1) {
                ends.pop();
            }
            ends.push(end);
        }
        if ends.len() != rows || ends.last().is_some_and(|&end| end != values.len()) {
            return Err(self.place.fault(format_args!("has {} rows in a group, expected {rows}", ends.len())));
        }
        Ok(())
    }
}

fn decode<T: DataType>(
    path: &Path,
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    numbers: &mut Numbers,
    number: impl Fn(T::T) -> f64,
) -> Result<()> {
    let Numbers { values, def_levels, rep_levels, .. } = numbers;
    def_levels.clear();
    rep_levels.clear();
    let mut read = Vec::new();
    decoded(path, || reader.read_records(rows, Some(def_levels), Some(rep_levels), &mut read))?;
    values.clear();
    values.extend(read.into_iter().map(number));
    Ok(())
}
