//! Rows of another format to a binary dataset.

use crate::data::binary::{Header, Keys, RowWriter, Source};
use crate::data::schema::{Number, Schema};
use crate::error::{Error, Result};
use crate::partial::Partial;
use std::path::Path;

/// A binary dataset in the making.
pub(super) struct RowSink {
    writer: RowWriter,
    header: Header,
    /// The words of the row that was pushed last.
    words: Vec<u32>,
    /// Rows of the files that are whole.
    earlier: u64,
    /// The last field, so that the writer has closed the file before it is removed.
    partial: Partial,
}

impl RowSink {
    /// No row yet.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::File`] if `output` can be no file's name.
    pub fn create(output: &Path, schema: Schema) -> Result<RowSink> {
        let partial = Partial::beside(output, "part")?;
        let words = if schema.multi_hot() { 0 } else { 1 + schema.dense.len() + schema.categorical.len() };
        let header = Header {
            days: Vec::new(),
            num_embeddings: vec![1; schema.categorical.len()],
            shared_row: false,
            min_dense: f64::INFINITY,
            source: Source::default(),
            schema,
        };
        let writer = RowWriter::create(partial.path(), words)?;
        Ok(RowSink { writer, header, words: Vec::new(), earlier: 0, partial })
    }

    /// Appends a row: the words of its dense columns, and the ids of each categorical column.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn push<'a>(&mut self, label: f32, dense: &[u32], bags: impl Iterator<Item = &'a [u32]>) -> Result<()> {
        let Header { schema, num_embeddings, min_dense, .. } = &mut self.header;
        let jagged = schema.multi_hot();
        self.words.clear();
        self.words.extend(jagged.then_some(0));
        self.words.push(label.to_bits());
        self.words.extend_from_slice(dense);
        for (&word, column) in dense.iter().zip(&schema.dense) {
            *min_dense = min_dense.min(match column.number {
                Number::Integer => f64::from(word as i32),
                Number::Real => f64::from(f32::from_bits(word)),
            });
        }
        for ((ids, column), size) in bags.zip(&schema.categorical).zip(num_embeddings) {
            self.words.extend(column.multi_hot.then_some(ids.len() as u32));
            self.words.extend_from_slice(ids);
            *size = ids.iter().fold(*size, |size, &id| size.max(u64::from(id) + 1));
        }
        if jagged {
            self.words[0] = self.words.len() as u32;
        }
        self.writer.write(1, &self.words)
    }

    /// Tables have at least these rows.
    pub fn at_least(&mut self, counts: &[u64]) {
        self.header.num_embeddings.iter_mut().zip(counts).for_each(|(size, &count)| *size = (*size).max(count));
    }

    /// Rows since the last file ended.
    #[cfg(feature = "parquet")]
    pub fn rows_of_file(&self) -> u64 {
        self.writer.rows() - self.earlier
    }

    /// The rows since the last call are those of the file at `path`, and a day.
    ///
    /// # Errors
    /// [`Error::File`] if there are none.
    pub fn end_file(&mut self, path: &Path) -> Result<()> {
        let rows = self.writer.rows() - self.earlier;
        if rows == 0 {
            return Err(Error::file(path, "no row, expected at least one"));
        }
        self.earlier += rows;
        self.header.days.push(rows);
        let bytes = path.metadata().map_err(|e| Error::io(path, e))?.len();
        self.header.source.files.push(path.display().to_string());
        self.header.source.bytes.push(bytes);
        Ok(())
    }

    /// Writes what is known of the rows, and gives the dataset its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<()> {
        if self.header.schema.dense.is_empty() {
            self.header.min_dense = 0.0;
        }
        self.writer.finish(&self.header, self.header.schema.categorical.iter().map(|_| Ok(Keys::None)))?;
        self.partial.publish()
    }
}
