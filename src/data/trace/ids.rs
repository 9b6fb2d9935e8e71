//! The trace file: the ids themselves.

use super::file::{joined, numbers};
use crate::error::{Error, Result};
use std::path::Path;

/// How a trace lies in a file (the reference's `--trace-file-binary-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceFormat {
    /// One line of numbers separated by commas.
    Text,
    /// Eight bytes a number, little-endian.
    Binary,
}

/// Reads a trace (the reference's `read_trace_from_file`).
///
/// # Errors
/// [`Error::Io`]; [`Error::Row`], with the position in the line, for what is no number;
/// [`Error::File`] if the text hasn't one line, or the binary file is no multiple of eight bytes.
pub fn read_trace(path: impl AsRef<Path>, format: TraceFormat) -> Result<Vec<u64>> {
    let path = path.as_ref();
    match format {
        TraceFormat::Text => {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            match text.lines().collect::<Vec<_>>()[..] {
                [line] => numbers(path, 1, line),
                ref lines => Err(Error::file(path, format!("{} lines, expected one with all ids", lines.len()))),
            }
        }
        TraceFormat::Binary => {
            let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
            match bytes.as_chunks() {
                (ids, []) => Ok(ids.iter().map(|&id| u64::from_le_bytes(id)).collect()),
                _ => Err(Error::file(path, format!("{} bytes, expected a multiple of 8", bytes.len()))),
            }
        }
    }
}

/// Writes a trace (the reference's `write_trace_to_file`); [`read_trace`] gives back the same, but
/// for an empty one as text, which is no number.
///
/// # Errors
/// [`Error::Io`].
pub fn write_trace(path: impl AsRef<Path>, trace: &[u64], format: TraceFormat) -> Result<()> {
    let bytes = match format {
        TraceFormat::Text => joined(trace).into_bytes(),
        TraceFormat::Binary => trace.iter().flat_map(|id| id.to_le_bytes()).collect(),
    };
    std::fs::write(&path, bytes).map_err(|e| Error::io(path, e))
}
