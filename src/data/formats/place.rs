//! Where a number stands, and what it may be there.

use crate::error::{Error, Result};
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// An array of a file.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    array: String,
}

impl Place {
    pub fn new(path: &Path, array: &str) -> Place {
        Place { path: path.to_owned(), array: array.to_owned() }
    }

    /// Its name.
    pub fn array(&self) -> &str {
        &self.array
    }

    /// The array as a whole is wrong.
    pub fn fault(&self, message: impl Display) -> Error {
        Error::file(&self.path, format!("{} {message}", self.array))
    }

    /// The array cannot be read.
    pub fn unreadable(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault("is cut short, expected as many bytes as its shape says"),
            // What the decoder says of bytes that are none of its own.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                self.fault(format_args!("is damaged ({error}), expected it as it was written"))
            }
            _ => Error::io(&self.path, error),
        }
    }

    /// The number at `index` is wrong.
    fn number(&self, index: impl Display, value: f64, expected: impl Display) -> Error {
        Error::file(&self.path, format!("{}[{index}] is {value}, expected {expected}", self.array))
    }

    /// The label of row `row`.
    pub fn label(&self, row: impl Display, value: f64) -> Result<f32> {
        if value == 0.0 || value == 1.0 {
            return Ok(value as f32);
        }
        Err(self.number(row, value, "0 or 1"))
    }

    /// An `i32`.
    pub fn integer(&self, index: impl Display, value: f64) -> Result<i32> {
        // The cast saturates, so that only what an i32 can hold comes back as it was.
        if f64::from(value as i32) == value {
            return Ok(value as i32);
        }
        Err(self.number(index, value, "a whole number of 32 bits"))
    }

    /// An `f32` that is neither infinite nor no number.
    pub fn finite(&self, index: impl Display, value: f64) -> Result<f32> {
        if (value as f32).is_finite() {
            return Ok(value as f32);
        }
        Err(self.number(index, value, "a finite number"))
    }

    /// An id, which is not negative, and below the `size` of its table if that is known.
    pub fn id(&self, index: impl Display, value: f64, size: Option<u64>) -> Result<u32> {
        let id = value as i32;
        if id < 0 || f64::from(id) != value {
            return Err(self.number(index, value, "an id: a whole number from 0 to 2147483647"));
        }
        match size {
            Some(size) if id as u64 >= size => {
                Err(self.number(index, value, format_args!("an id below {size}, the size of its table")))
            }
            _ => Ok(id as u32),
        }
    }

    /// The number of ids of column `column`.
    pub fn count(&self, column: usize, value: f64) -> Result<u64> {
        if value.fract() == 0.0 && (1.0..=f64::from(1u32 << 31)).contains(&value) {
            return Ok(value as u64);
        }
        Err(self.number(column, value, "a whole number from 1 to 2147483648"))
    }
}
