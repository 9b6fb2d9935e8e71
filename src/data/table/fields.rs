//! A file to fields, with bounded memory whatever it holds.

use crate::data::criteo::reader::{Input, open};
use crate::error::{Error, Result};
use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use std::io::{self, BufRead, ErrorKind};
use std::path::{Path, PathBuf};

/// Bytes of the longest field.
const MAX_FIELD: usize = 64 * 1024;

/// The fields of a file, one after the other.
pub(super) struct Fields {
    path: PathBuf,
    input: Input,
    reader: Reader,
    /// Of the field in hand; a byte longer than any is allowed to be, so that it is never full.
    buffer: Box<[u8]>,
    /// Bytes of the field in hand.
    len: usize,
    /// The line, from 1, that reading has come to.
    line: u64,
    /// The line in which the row in hand began.
    row_line: u64,
    /// Fields of the row in hand.
    column: usize,
}

impl Fields {
    pub fn open(path: &Path, separator: u8, quoted: bool) -> Result<Fields> {
        Ok(Fields {
            path: path.to_owned(),
            input: open(path).map_err(|e| Error::io(path, e))?,
            reader: ReaderBuilder::new().delimiter(separator).quoting(quoted).build(),
            buffer: vec![0; MAX_FIELD + 1].into(),
            len: 0,
            line: 1,
            row_line: 1,
            column: 0,
        })
    }

    /// Goes to the next line that has anything in it; false if there is none.
    pub fn next_row(&mut self) -> Result<bool> {
        self.column = 0;
        loop {
            let buffer = match fill(&mut self.input) {
                Ok(buffer) => buffer,
                Err(e) => return Err(self.input_error(e)),
            };
            let ends = buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
            let (newlines, len) = (newlines(&buffer[..ends]), buffer.len());
            self.line += newlines;
            self.row_line = self.line;
            self.input.consume(ends);
            if ends < len || len == 0 {
                return Ok(len > 0);
            }
        }
    }

    /// Goes to the next field of the row; true if it is the last.
    pub fn next_field(&mut self) -> Result<bool> {
        self.column += 1;
        self.len = 0;
        loop {
            let input = match fill(&mut self.input) {
                Ok(input) => input,
                Err(e) => return Err(self.input_error(e)),
            };
            let (result, read, written) = self.reader.read_field(input, &mut self.buffer[self.len..]);
            self.line += newlines(&input[..read]);
            self.input.consume(read);
            self.len += written;
            if self.len > MAX_FIELD {
                let expected = "expected fewer (a quote that is not closed takes up all that follows)";
                return Err(self.error(self.column, format!("a field of more than {MAX_FIELD} bytes, {expected}")));
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => return Ok(record_end),
                ReadFieldResult::End => return Ok(true),
            }
        }
    }

    /// The field in hand, without quotes and white space around it.
    pub fn field(&self) -> &[u8] {
        self.buffer[..self.len].trim_ascii()
    }

    /// Its number, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// A mistake in a field of the row in hand.
    #[cold]
    pub fn error(&self, column: usize, message: String) -> Error {
        Error::Row { path: self.path.clone(), line: self.row_line, column, message }
    }

    /// A decompressor reports bad data by these three kinds; the system never does for a file.
    #[cold]
    fn input_error(&self, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                let message = format!("the compressed data are cut short or corrupt here ({error})");
                self.error(self.column.max(1), message)
            }
            _ => Error::io(&self.path, error),
        }
    }
}

/// What is to be read next; nothing at the end. (It is asked for twice because a loop cannot lend it out.)
fn fill(input: &mut Input) -> io::Result<&[u8]> {
    while let Err(e) = input.fill_buf() {
        if e.kind() != ErrorKind::Interrupted {
            return Err(e);
        }
    }
    input.fill_buf()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}
