//! Fields to records: the columns that a schema names, wherever a file has them.

use super::fields::Fields;
use super::schema::{LABEL, TableSchema};
use crate::data::criteo::row::quoted;
use crate::error::{Error, Result};
use std::ops::Range;
use std::path::Path;

/// The rows of a file.
pub(super) struct Records<'a> {
    schema: &'a TableSchema,
    fields: Fields,
    /// Fields a row.
    width: usize,
    /// Where the file has each column that is read, in the order of the file, and its place among the names.
    wanted: Vec<(usize, usize)>,
    /// The row in hand: the bytes of what was wanted.
    bytes: Vec<u8>,
    /// Where each of the names lies in them.
    ranges: Vec<Range<usize>>,
}

impl<'a> Records<'a> {
    /// The rows of the file at `path`, which needs no label column if the label is not needed.
    pub fn open(schema: &'a TableSchema, path: &Path, needs_label: bool) -> Result<Records<'a>> {
        let fields = Fields::open(path, schema.separator, schema.quoted)?;
        let ranges = vec![0..0; schema.names.len()];
        let mut records = Records { schema, fields, width: 0, wanted: Vec::new(), bytes: Vec::new(), ranges };
        match &schema.columns {
            Some(columns) => columns.iter().try_for_each(|name| records.take_name(name.as_bytes()))?,
            None => records.read_header(path, needs_label)?,
        }
        Ok(records)
    }

    fn read_header(&mut self, path: &Path, needs_label: bool) -> Result<()> {
        if !self.fields.next_row()? {
            return Err(Error::file(path, "empty, expected a first line that names the columns"));
        }
        loop {
            let last = self.fields.next_field()?;
            let name = self.fields.field().to_vec();
            self.take_name(&name)?;
            if last {
                break;
            }
        }
        let absent = (0..self.schema.names.len()).find(|&place| !self.has(place) && (needs_label || place != LABEL));
        absent.map_or(Ok(()), |place| {
            let message =
                format!("no column {:?}, expected it among the {} of this line", self.schema.names[place], self.width);
            Err(self.fields.error(self.width, message))
        })
    }

    /// The next column of the file is called so.
    fn take_name(&mut self, name: &[u8]) -> Result<()> {
        if let Some(place) = self.schema.names.iter().position(|wanted| wanted.as_bytes() == name) {
            if self.has(place) {
                let message = format!("a second column {}, expected one of this name", quoted(name));
                return Err(self.fields.error(self.width + 1, message));
            }
            self.wanted.push((self.width, place));
        }
        self.width += 1;
        Ok(())
    }

    /// Whether the file has this one of the names.
    pub fn has(&self, place: usize) -> bool {
        self.wanted.iter().any(|&(_, found)| found == place)
    }

    /// Goes to the next row; false if there is none.
    pub fn next_row(&mut self) -> Result<bool> {
        if !self.fields.next_row()? {
            return Ok(false);
        }
        self.bytes.clear();
        let mut wanted = self.wanted.iter().peekable();
        for column in 0..self.width {
            let last = self.fields.next_field()?;
            if let Some(&(_, place)) = wanted.next_if(|&&(wanted, _)| wanted == column) {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(self.fields.field());
                self.ranges[place] = start..self.bytes.len();
            }
            if last != (column + 1 == self.width) {
                return Err(self.wrong_width(last));
            }
        }
        Ok(true)
    }

    #[cold]
    fn wrong_width(&self, ended: bool) -> Error {
        let (found, expected) = (self.fields.column(), self.width);
        let message = match (ended, found) {
            (true, 1) => format!("one field, {}, expected {expected}", quoted(self.fields.field())),
            (true, _) => format!("{found} fields, expected {expected}"),
            (false, _) => format!("more than {expected} fields, expected {expected}"),
        };
        self.fields.error(if ended { found } else { found + 1 }, message)
    }

    /// What the row in hand has in the column of this one of the names.
    ///
    /// # Errors
    /// [`Error::Row`] if it is not UTF-8.
    pub fn text(&self, place: usize) -> Result<&str> {
        let bytes = &self.bytes[self.ranges[place].clone()];
        std::str::from_utf8(bytes).map_err(|_| self.unexpected(place, "UTF-8"))
    }

    /// That the row in hand has something else there than what was expected.
    #[cold]
    pub fn unexpected(&self, place: usize, expected: &str) -> Error {
        let column = self.wanted.iter().find(|&&(_, wanted)| wanted == place).map_or(0, |&(column, _)| column);
        let found = quoted(&self.bytes[self.ranges[place].clone()]);
        self.fields
            .error(column + 1, format!("{} is {found}, expected {expected}", self.schema.names[place].escape_debug()))
    }
}
