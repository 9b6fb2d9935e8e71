//! Parquet, with the feature `parquet`.
//!
//! Columns are found by their names in a [`Schema`](crate::data::schema::Schema), in any order; others are passed over.
//!
//! | column | written as | also read |
//! |---|---|---|
//! | label | `float` | `boolean`, `int32`, `int64`, `double` |
//! | dense integers | `int32` | the same, if the numbers are whole |
//! | dense real numbers | `float` | the same |
//! | an id | `int32`, unsigned | the same, if the numbers are whole |
//! | a list of ids | list of `int32`, unsigned | lists of the same; a missing list is an empty one |
//!
//! Ids are numbers of embedding rows from 0 to 2147483647. `write` makes groups of 65536 rows, and both hold the
//! numbers of so many rows at most, beside a page of each column. Pages may be plain or Snappy-compressed, as most
//! programs write them; `write` compresses.
//!
//! At some damaged bytes the `parquet` crate panics. `read` gives the error all the same, after what the panic hook
//! says.

mod leaf;
mod reading;
mod writing;

pub use reading::read;
pub use writing::write;

use crate::error::{Error, Result};
use ::parquet::errors::ParquetError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What the decoder makes of a file. It panics at some damaged bytes, which is an error like any other here.
fn decoded<T>(path: &Path, decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    // What the panic may have left half done is not looked at again.
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(done) => done.map_err(|e| refused(path, &e)),
        Err(_) => Err(Error::file(path, "damaged Parquet, expected whole columns, plain or Snappy-compressed")),
    }
}

/// What Parquet's decoder or encoder says of a file, in a line.
fn refused(path: &Path, error: &ParquetError) -> Error {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    Error::file(path, format!("not usable as Parquet ({line}), expected whole columns, plain or Snappy-compressed"))
}
