//! New rows by a vocabulary that is kept.

use super::records::Records;
use super::row::Row;
use super::schema::TableSchema;
use super::vocabulary::Vocabulary;
use crate::batch::Batch;
use crate::data::binary::RowFile;
use crate::error::{Error, Result};
use std::path::Path;

/// A schema with the vocabulary of a dataset that was made by it: what it takes to map new rows to the same ids.
#[derive(Debug)]
pub struct Table {
    schema: TableSchema,
    vocabularies: Vec<Vocabulary>,
    shared_row: bool,
    min_dense: f32,
}

impl Table {
    /// `schema` with the vocabulary of `dataset`.
    ///
    /// Columns and their transforms have to be those that the dataset was made with; how a file is written
    /// (separator, header, what is missing) may differ.
    ///
    /// # Errors
    /// [`Error::File`] if the dataset has other columns, no words, or is damaged.
    pub fn open(schema: TableSchema, dataset: &RowFile) -> Result<Table> {
        let header = dataset.header();
        if header.schema != schema.columns() {
            let message = format!("has other columns than {}, expected the same", schema.path.display());
            return Err(Error::file(dataset.path(), message));
        }
        let vocabularies = (0..schema.categorical.len()).map(|column| Vocabulary::of(dataset, column));
        Ok(Table {
            vocabularies: vocabularies.collect::<Result<_>>()?,
            shared_row: header.shared_row,
            min_dense: header.min_dense as f32,
            schema,
        })
    }

    /// The rows of a file, plain or .gz.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Row`] or [`Error::File`] if its first line lacks a column; the
    /// label's may be absent.
    pub fn rows(&self, path: impl AsRef<Path>) -> Result<TableRows<'_>> {
        let records = Records::open(&self.schema, path.as_ref(), false)?;
        Ok(TableRows { table: self, records, row: Row::default() })
    }

    fn number(&self, column: usize, word: &str) -> Result<u32, String> {
        match self.vocabularies[column].get(word) {
            Some(number) => Ok(number),
            None if self.shared_row => Ok(0),
            None => Err(format!("words of the dataset, which {word:?} is not (nor has it a row for rare ones)")),
        }
    }
}

/// The rows of a file, by the vocabulary of a [`Table`].
pub struct TableRows<'a> {
    table: &'a Table,
    records: Records<'a>,
    row: Row,
}

impl TableRows<'_> {
    /// Refills `batch` with the next rows, at most `rows` of them; returns how many there were.
    ///
    /// Dense columns are transformed; a number below all of the dataset counts as the least of them where the
    /// transform depends on that. Labels are 0 if the file has none. A word that the dataset does not know is row
    /// 0, if that stands for rare words.
    ///
    /// # Errors
    /// [`Error::Row`] at a row that the schema does not allow, or at an unknown word without a row to go to;
    /// [`Error::Io`].
    pub fn fill(&mut self, rows: usize, batch: &mut Batch) -> Result<usize> {
        let TableRows { table, records, row } = self;
        let schema = &table.schema;
        batch.clear(schema.dense.len(), schema.categorical.len());
        while batch.len() < rows && records.next_row()? {
            row.read(schema, records, |column, word| table.number(column, word))?;
            row.push(schema, table.min_dense, batch);
        }
        Ok(batch.len())
    }
}
