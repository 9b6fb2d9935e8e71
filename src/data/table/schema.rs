//! A file to a schema.

use super::check;
use crate::data::schema::{CategoricalColumn, DenseColumn, Number, Schema, Transform};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The label's place among the names.
pub(super) const LABEL: usize = 0;

/// Bytes of the longest schema.
const MAX_SCHEMA: u64 = 1 << 20;

/// What the columns of a table are, and which of its rows test; see the [module](super).
#[derive(Debug, Clone)]
pub struct TableSchema {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) separator: u8,
    pub(super) quoted: bool,
    /// The names of all columns, if files do not begin with them.
    pub(super) columns: Option<Vec<String>>,
    pub(super) missing: Vec<String>,
    /// The columns that are read, each once; the first is the label's.
    pub(super) names: Vec<String>,
    pub(super) label: LabelRule,
    pub(super) dense: Vec<Dense>,
    pub(super) categorical: Vec<Categorical>,
    pub(super) split: Option<Split>,
}

/// How a field becomes a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LabelRule {
    Words { positive: Vec<String>, negative: Option<Vec<String>> },
    Threshold(f64),
    Number,
}

#[derive(Debug, Clone)]
pub(super) struct Dense {
    /// Of `names`.
    pub name: usize,
    pub transform: Transform,
    pub missing: f32,
}

#[derive(Debug, Clone)]
pub(super) struct Categorical {
    /// Of `names`.
    pub name: usize,
    pub min_count: u32,
    pub multi_hot: Option<String>,
    pub missing: Option<String>,
}

/// Which rows test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Split {
    /// This share, the last ones.
    Last(f64),
    /// Each with this probability, by this seed.
    Drawn(f64, u64),
    /// Those of so many of the last files.
    Files(usize),
}

impl TableSchema {
    /// Reads the schema in the file `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::File`] if it is longer than 1 MiB or not UTF-8, and as
    /// [`parse`](Self::parse).
    pub fn open(path: impl AsRef<Path>) -> Result<TableSchema> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        file.take(MAX_SCHEMA + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        if bytes.len() as u64 > MAX_SCHEMA {
            return Err(Error::file(path, format!("more than {MAX_SCHEMA} bytes, expected a schema")));
        }
        let text = String::from_utf8(bytes);
        TableSchema::parse(&text.map_err(|_| Error::file(path, "not UTF-8, expected a schema"))?, path)
    }

    /// The schema that `text` is; errors call it `path`.
    ///
    /// # Errors
    /// [`Error::Row`] with the place of the first mistake and what was expected.
    pub fn parse(text: &str, path: impl Into<PathBuf>) -> Result<TableSchema> {
        let path = path.into();
        check::parse(text, &path).map_err(|mistake| {
            let before = text.get(..mistake.at).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Error::Row {
                path,
                line: 1 + before.matches('\n').count() as u64,
                column: 1 + before[line_start..].chars().count(),
                message: mistake.message,
            }
        })
    }

    /// Whether it puts rows aside to test on.
    pub fn has_split(&self) -> bool {
        self.split.is_some()
    }

    /// The columns as a binary dataset has them.
    pub(super) fn columns(&self) -> Schema {
        let name = |i: usize| self.names[i].clone();
        let dense =
            |column: &Dense| DenseColumn { name: name(column.name), number: Number::Real, transform: column.transform };
        let categorical =
            |column: &Categorical| CategoricalColumn { name: name(column.name), multi_hot: column.multi_hot.is_some() };
        Schema {
            label: name(LABEL),
            dense: self.dense.iter().map(dense).collect(),
            categorical: self.categorical.iter().map(categorical).collect(),
        }
    }

    /// Whether row 0 of each table stands for rare words.
    pub(super) fn shared_row(&self) -> bool {
        self.categorical.iter().any(|column| column.min_count > 1)
    }

    /// Whether rows differ in length.
    pub(super) fn ragged(&self) -> bool {
        self.categorical.iter().any(|column| column.multi_hot.is_some())
    }

    /// Words a row in a binary dataset, 0 if rows differ in length.
    pub(super) fn row_words(&self) -> usize {
        if self.ragged() { 0 } else { 1 + self.dense.len() + self.categorical.len() }
    }

    pub(super) fn is_missing(&self, field: &str) -> bool {
        self.missing.iter().any(|missing| missing == field)
    }
}
