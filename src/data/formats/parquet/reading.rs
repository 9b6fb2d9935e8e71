//! Parquet to a binary dataset.

use super::decoded;
use super::leaf::{Leaf, Numbers};
use crate::data::formats::sink::RowSink;
use crate::data::formats::triple::dense_word;
use crate::data::schema::Schema;
use crate::error::{Error, Result};
use ::parquet::column::reader::ColumnReader;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use ::parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::path::Path;

/// Rows that are worked on at a time.
const BLOCK: u64 = 1 << 13;

/// Makes a binary dataset at `output` of the columns that `schema` names in some files, a day each. A table gets as many
/// rows as its largest id needs.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if a file is no Parquet or a damaged one, a column is missing or of another
/// structure or type, or has a row without a number; there is no row; a label or real number is infinite or NaN, an integer
/// is not whole, or an id negative.
pub fn read<P: AsRef<Path>>(paths: &[P], schema: &Schema, output: &Path) -> Result<()> {
    let mut sink = RowSink::create(output, schema.clone())?;
    paths.iter().try_for_each(|path| append(path.as_ref(), schema, &mut sink))?;
    sink.finish()
}

fn append(path: &Path, schema: &Schema, sink: &mut RowSink) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let len = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let reader = decoded(path, || SerializedFileReader::new(file))?;
    let columns = Columns::find(path, reader.metadata().file_metadata().schema_descr(), schema)?;
    for i in 0..reader.num_row_groups() {
        let group = decoded(path, || reader.get_row_group(i))?;
        columns.append(path, len, group.as_ref(), schema, sink)?;
    }
    sink.end_file(path)
}

/// The columns of a schema: the label, the dense ones, the categorical ones.
struct Columns(Vec<Leaf>);

impl Columns {
    fn find(path: &Path, file: &SchemaDescriptor, schema: &Schema) -> Result<Columns> {
        let dense = schema.dense.iter().map(|column| (&column.name, false));
        let categorical = schema.categorical.iter().map(|column| (&column.name, column.multi_hot));
        let names = std::iter::once((&schema.label, false)).chain(dense).chain(categorical);
        names.map(|(name, list)| Leaf::find(path, file, name, list)).collect::<Result<_>>().map(Columns)
    }

    /// Appends the rows of a group.
    fn append(
        &self,
        path: &Path,
        len: u64,
        group: &dyn RowGroupReader,
        schema: &Schema,
        sink: &mut RowSink,
    ) -> Result<()> {
        let mut readers = self.0.iter().map(|leaf| leaf.open(group, len)).collect::<Result<Vec<ColumnReader>>>()?;
        let mut numbers: Vec<Numbers> = self.0.iter().map(|_| Numbers::default()).collect();
        let rows = u64::try_from(group.metadata().num_rows());
        let rows = rows.map_err(|_| Error::file(path, "a group of fewer than 0 rows, expected at least 0"))?;
        let (mut dense, mut ids) = (Vec::new(), vec![Vec::new(); schema.categorical.len()]);
        for first in (0..rows).step_by(BLOCK as usize) {
            let len = (rows - first).min(BLOCK) as usize;
            for ((leaf, reader), numbers) in self.0.iter().zip(&mut readers).zip(&mut numbers) {
                leaf.read(reader, len, numbers)?;
            }
            // A mistake is named by its row in the file, not in the group.
            let before = sink.rows_of_file();
            for i in 0..len {
                self.row(i, before + i as u64, &numbers, schema, &mut dense, &mut ids)?;
                let label = self.0[0].place().finite(before + i as u64, numbers[0].values[i])?;
                sink.push(label, &dense, ids.iter().map(Vec::as_slice))?;
            }
        }
        Ok(())
    }

    /// The words of row `i` of a block, row `index` of the file.
    fn row(
        &self,
        i: usize,
        index: u64,
        numbers: &[Numbers],
        schema: &Schema,
        dense: &mut Vec<u32>,
        ids: &mut [Vec<u32>],
    ) -> Result<()> {
        let (leaves, numbers) = (&self.0[1..], &numbers[1..]);
        let (dense_leaves, id_leaves) = leaves.split_at(schema.dense.len());
        let (dense_numbers, id_numbers) = numbers.split_at(schema.dense.len());
        dense.clear();
        for ((leaf, numbers), column) in dense_leaves.iter().zip(dense_numbers).zip(&schema.dense) {
            dense.push(dense_word(leaf.place(), index, numbers.values[i], column.number)?);
        }
        for ((leaf, numbers), ids) in id_leaves.iter().zip(id_numbers).zip(ids) {
            ids.clear();
            for &id in &numbers.values[numbers.row(i)] {
                ids.push(leaf.place().id(index, id, None)?);
            }
        }
        Ok(())
    }
}
