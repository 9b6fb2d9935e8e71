//! TorchRec's three `.npy` files of a day.
//!
//! | file | shape | dtype | what |
//! |---|---|---|---|
//! | `PREFIX_dense.npy` | N × 13 | `f32` | `ln(x - min + 2)`, with the least of all integers of the file |
//! | `PREFIX_sparse.npy` | N × 26 | `i32` | numbers of embedding rows |
//! | `PREFIX_labels.npy` | N × 1 | `i32` | 0 or 1 |
//!
//! TorchRec makes them in `torchrec/datasets/criteo.py`, `BinaryCriteoUtils.tsv_to_npys`. The ids are numbers of
//! embedding rows only after `sparse_to_contiguous`: what `tsv_to_npys` itself leaves are Criteo's hashes as `i32`,
//! half of which are negative, and which are not taken here.

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
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

const DENSE: &str = "dense";
const SPARSE: &str = "sparse";
const LABELS: &str = "labels";

/// Makes a binary dataset at `output` of the files of some prefixes, such as `day_0`, a day each. Dense columns become
/// real numbers that no transform is made of. A table gets as many rows as its largest id needs.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if a file is no `.npy` or a damaged one, has another dtype or shape than above, or
/// differs in rows from another; there is no row; a label is neither 0 nor 1, an id negative, or a dense number
/// infinite or NaN.
pub fn read<P: AsRef<Path>>(prefixes: &[P], output: &Path) -> Result<()> {
    let mut schema = Schema::criteo(Transform::Identity);
    schema.dense.iter_mut().for_each(|column| column.number = Number::Real);
    let mut sink = RowSink::create(output, schema)?;
    for prefix in prefixes {
        let prefix = prefix.as_ref();
        let triple = Triple {
            labels: array(prefix, LABELS, 1, Dtype::Int32, output)?,
            dense: array(prefix, DENSE, DENSE_FEATURES, Dtype::Float32, output)?,
            ids: array(prefix, SPARSE, SPARSE_FEATURES, Dtype::Int32, output)?,
        };
        triple.append(&file(prefix, DENSE), Number::Real, None, &mut sink)?;
    }
    sink.finish()
}

/// `PREFIX_what.npy`.
fn file(prefix: &Path, what: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!("_{what}.npy"));
    path.into()
}

fn array(prefix: &Path, what: &str, columns: usize, dtype: Dtype, output: &Path) -> Result<Array<BufReader<File>>> {
    let path = file(prefix, what);
    let io = |e| Error::io(&path, e);
    let file = File::open(&path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let expected = Expected { columns, dtypes: &[dtype] };
    Array::open(BufReader::with_capacity(1 << 16, file), len, Place::new(&path, what), &expected, output)
}

/// Writes all rows of a dataset of Criteo's columns to the three files of `prefix`. Of integers, and of real numbers
/// with a transform, `ln(x - min + 2)` is taken with the least of all dense columns of the dataset; real numbers without
/// are what they are, as [`read`] makes them.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if the dataset has other columns, a label that is neither 0 nor 1, an id
/// that is not below the rows of its table or is above 2147483647, or a dense number that comes out infinite or NaN.
pub fn write(rows: &RowFile, prefix: &Path) -> Result<()> {
    let rows = CriteoRows::new(rows)?;
    let n = rows.len();
    let matrix = |dtype, columns: usize| Header::new(dtype, &[n, columns as u64]);
    let ids = (0..n).map(|i| rows.ids(i));
    let dense = (0..n).map(|i| rows.log_shifted(i));
    let labels = (0..n).map(|i| rows.label(i).map(|label| [label]));
    // None has its name before all are whole.
    let files = [
        write_array(&file(prefix, SPARSE), &matrix(Dtype::Int32, SPARSE_FEATURES), ids)?,
        write_array(&file(prefix, DENSE), &matrix(Dtype::Float32, DENSE_FEATURES), dense)?,
        write_array(&file(prefix, LABELS), &matrix(Dtype::Int32, 1), labels)?,
    ];
    files.into_iter().try_for_each(Partial::publish)
}

fn write_array<T: bytemuck::NoUninit>(
    path: &Path,
    header: &Header,
    rows: impl Iterator<Item = Result<T>>,
) -> Result<Partial> {
    Partial::written(path, |file| {
        let io = |e| Error::io(path, e);
        file.write_all(&header.encode()).map_err(io)?;
        for row in rows {
            file.write_all(bytemuck::bytes_of(&row?)).map_err(io)?;
        }
        Ok(())
    })
}
