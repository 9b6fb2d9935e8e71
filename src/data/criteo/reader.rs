//! A file to rows, one by one; what happens to bad rows.

use super::SPARSE_FEATURES;
use super::lines::{Lines, MAX_LINE};
use super::row::{BadField, Labels, Row, field_at_end};
use super::zst::Frames;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

/// What to do about a line that is not a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BadRows {
    /// Stop with an [`Error::Row`].
    #[default]
    Stop,
    /// Count it and go on.
    Skip,
}

/// Streams rows from `R` without allocating for each.
///
/// As an iterator it ends after the first error.
#[derive(Debug)]
pub struct RowReader<R> {
    lines: Lines<R>,
    path: PathBuf,
    labels: Labels,
    bad_rows: BadRows,
    line: u64,
    skipped: u64,
    failed: bool,
}

/// A file that is open, decompressed on the way if need be.
pub type Input = Box<dyn BufRead + Send>;

/// Bytes read, or decompressed, at a time.
const BUFFER: usize = 256 * 1024;

impl RowReader<Input> {
    /// Opens a file of rows, plain, .gz or .zst: its first bytes tell, not its name.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened or read.
    pub fn open(path: impl AsRef<Path>, labels: Labels, bad_rows: BadRows) -> Result<Self> {
        let path = path.as_ref();
        let input = open(path).map_err(|e| Error::io(path, e))?;
        Ok(RowReader::new(input, path, labels, bad_rows))
    }
}

/// A file, plain or .gz: its first two bytes tell, not its name.
pub(in crate::data) fn open(path: &Path) -> io::Result<Input> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let head = file.fill_buf()?;
    Ok(if head.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(BufReader::with_capacity(BUFFER, Frames::new(file)))
    } else {
        Box::new(file)
    })
}

impl<R: BufRead> RowReader<R> {
    /// Rows of `input`, which errors call `path`.
    pub fn new(input: R, path: impl Into<PathBuf>, labels: Labels, bad_rows: BadRows) -> Self {
        let lines = Lines::new(input);
        RowReader { lines, path: path.into(), labels, bad_rows, line: 0, skipped: 0, failed: false }
    }

    /// The line, from 1, of the last row; 0 before the first.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Bad rows passed over so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next row, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Row`] at a bad row (unless such are skipped), and, whether or not bad rows are
    /// skipped, where compressed data are corrupt or cut short. [`Error::Io`] if the file cannot
    /// be read on.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            let parsed = match self.lines.next_line() {
                Ok(None) => return Ok(None),
                Ok(Some(line)) if line.len() > MAX_LINE => Err(BadField::overlong(line)),
                Ok(Some(line)) => Row::parse(line, self.labels),
                Err(e) => return Err(self.input_error(e)),
            };
            self.line += 1;
            match (parsed, self.bad_rows) {
                (Ok(row), _) => return Ok(Some(row)),
                (Err(_), BadRows::Skip) => self.skipped += 1,
                (Err(bad), BadRows::Stop) => return Err(self.row_error(self.line, bad)),
            }
        }
    }

    /// An error about the id of a categorical column in the last row.
    pub(in crate::data) fn error_at_id(&self, column: usize, message: String) -> Error {
        let column = self.labels.fields() - SPARSE_FEATURES + column + 1;
        self.row_error(self.line, BadField { column, message })
    }

    fn row_error(&self, line: u64, bad: BadField) -> Error {
        Error::Row { path: self.path.clone(), line, column: bad.column, message: bad.message }
    }

    /// A decompressor reports bad data by these three kinds; the system never does for a file.
    fn input_error(&self, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                let column = field_at_end(self.lines.unfinished());
                let message = format!("the compressed data are cut short or corrupt here ({error})");
                self.row_error(self.line + 1, BadField { column, message })
            }
            _ => Error::io(&self.path, error),
        }
    }
}

impl<R: BufRead> Iterator for RowReader<R> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = self.next_row();
        self.failed = row.is_err();
        row.transpose()
    }
}
