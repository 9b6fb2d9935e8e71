//! The reference's `.npz`: a zip archive of NumPy arrays.
//!
//! | array | shape | what |
//! |---|---|---|
//! | `X_int` | N × 13 | integers, negative ones as 0, no logarithm taken |
//! | `X_cat` | N × 26 | numbers of embedding rows |
//! | `y` | N | labels, 0 or 1 |
//! | `counts` | 26 | rows of each table; only in the file of all days |
//!
//! The reference makes it in `data_utils.py`, `processCriteoAdData` and `concatCriteoAdData`. There the same
//! numbers are `i32`, `i64` or `f64`, and rows or columns lie together, depending on how the arrays came about. So
//! `read` takes each array as `i32`, `i64`, `f32` or `f64` in either order, stored or deflated. `write` makes
//! `i32` in rows, deflated; the same dataset gives the same bytes.

use super::array::{Array, Expected};
use super::criteo_rows::CriteoRows;
use super::npy::{Dtype, Header};
use super::place::Place;
use super::sink::RowSink;
use super::triple::Triple;
use crate::data::binary::RowFile;
use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};
use crate::data::schema::{Number, Schema, Transform};
use crate::error::{Error, Result};
use crate::partial::Partial;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

type Archive = ZipArchive<BufReader<File>>;
type Member<'a> = zip::read::ZipFile<'a, BufReader<File>>;

/// Makes a binary dataset at `output` of some files, a day each. Integers get the transform [`Transform::Log`], as in
/// the reference's `transformCriteoAdData`. A table gets as many rows as `counts` says or, in files without, as its
/// largest id needs.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if a file is no zip archive or a damaged one, an array is missing, has another dtype
/// or shape than above, or differs in rows from another; there is no row; a number is not whole, a label neither 0 nor
/// 1, an id negative or not below its count.
pub fn read<P: AsRef<Path>>(paths: &[P], output: &Path) -> Result<()> {
    let mut sink = RowSink::create(output, Schema::criteo(Transform::Log))?;
    paths.iter().try_for_each(|path| append(path.as_ref(), output, &mut sink))?;
    sink.finish()
}

fn append(path: &Path, output: &Path, sink: &mut RowSink) -> Result<()> {
    // An archive for each array, so that all are read at the same time.
    let (mut labels, mut dense, mut ids) = (open(path)?, open(path)?, open(path)?);
    let counts = counts(&mut labels, path, output)?;
    sink.at_least(counts.as_deref().unwrap_or_default());
    let triple = Triple {
        labels: array(&mut labels, path, "y", 1, output)?,
        dense: array(&mut dense, path, "X_int", DENSE_FEATURES, output)?,
        ids: array(&mut ids, path, "X_cat", SPARSE_FEATURES, output)?,
    };
    triple.append(path, Number::Integer, counts.as_deref(), sink)
}

fn open(path: &Path) -> Result<Archive> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    if path.is_dir() {
        // To look for its end, as for that of an archive, would be an "invalid argument".
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    ZipArchive::new(BufReader::new(file)).map_err(|e| match e {
        ZipError::Io(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Error::io(path, e),
        e => Error::file(path, format!("not a whole .npz ({e}), expected a zip archive of arrays")),
    })
}

fn array<'a>(
    archive: &'a mut Archive,
    path: &Path,
    name: &str,
    columns: usize,
    output: &Path,
) -> Result<Array<Member<'a>>> {
    let place = Place::new(path, name);
    let member = archive.by_name(&format!("{name}.npy")).map_err(|e| match e {
        ZipError::FileNotFound => place.fault("is missing, expected the arrays X_int, X_cat and y"),
        ZipError::Io(e) => place.unreadable(e),
        e => place.fault(format_args!("cannot be unpacked ({e}), expected it stored or deflated")),
    })?;
    let len = member.size();
    Array::open(member, len, place, &Expected { columns, dtypes: &Dtype::ALL }, output)
}

/// Rows of each table, if the archive says.
fn counts(archive: &mut Archive, path: &Path, output: &Path) -> Result<Option<Vec<u64>>> {
    if archive.index_for_name("counts.npy").is_none() {
        return Ok(None);
    }
    let mut array = array(archive, path, "counts", 1, output)?;
    let place = array.place().clone();
    if array.rows() != SPARSE_FEATURES as u64 {
        return Err(place.fault(format_args!("has {} numbers, expected {SPARSE_FEATURES}", array.rows())));
    }
    let mut numbers = Vec::new();
    array.read(SPARSE_FEATURES, &mut numbers)?;
    array.finish()?;
    numbers.into_iter().enumerate().map(|(column, count)| place.count(column, count)).collect::<Result<_>>().map(Some)
}

/// Writes all rows of a dataset of Criteo's columns, with `counts`.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if the dataset has other columns, a label that is neither 0 nor 1, an id
/// that is not below the rows of its table, or a table of more than 2147483647 rows.
pub fn write(rows: &RowFile, path: &Path) -> Result<()> {
    let counts = rows.header().num_embeddings.iter().map(|&n| i32::try_from(n)).collect::<Result<Vec<_>, _>>();
    let counts =
        counts.map_err(|_| Error::file(rows.path(), "a table of more than 2147483647 rows, expected fewer"))?;
    let rows = CriteoRows::of_integers(rows)?;
    let n = rows.len();
    let partial = Partial::written(path, |file| {
        let mut out = Arrays { zip: ZipWriter::new(file), path };
        out.array("X_int", &[n, DENSE_FEATURES as u64], (0..n).map(|i| Ok(rows.integers(i))))?;
        out.array("X_cat", &[n, SPARSE_FEATURES as u64], (0..n).map(|i| rows.ids(i)))?;
        out.array("y", &[n], (0..n).map(|i| rows.label(i).map(|label| [label])))?;
        out.array("counts", &[SPARSE_FEATURES as u64], std::iter::once(Ok(counts)))?;
        out.zip.finish().map(drop).map_err(|e| Error::io(path, e.into()))
    })?;
    partial.publish()
}

/// An archive in the making.
struct Arrays<'a> {
    zip: ZipWriter<&'a mut BufWriter<File>>,
    path: &'a Path,
}

impl Arrays<'_> {
    /// Appends an array of `i32`, some of its numbers after the other.
    fn array<T: AsRef<[i32]>>(
        &mut self,
        name: &str,
        shape: &[u64],
        numbers: impl Iterator<Item = Result<T>>,
    ) -> Result<()> {
        let io = |e| Error::io(self.path, e);
        // NumPy too makes every member one that may exceed 4 GiB. The fastest level takes a tenth of the time of the
        // usual one, and makes files of generated rows 7 % larger.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        let options = options.compression_level(Some(1)).large_file(true);
        self.zip.start_file(format!("{name}.npy"), options).map_err(|e| io(e.into()))?;
        let mut out = BufWriter::with_capacity(1 << 16, &mut self.zip);
        out.write_all(&Header::new(Dtype::Int32, shape).encode()).map_err(io)?;
        for some in numbers {
            out.write_all(bytemuck::cast_slice(some?.as_ref())).map_err(io)?;
        }
        out.flush().map_err(io)
    }
}
