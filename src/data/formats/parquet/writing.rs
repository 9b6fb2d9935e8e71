//! A binary dataset to Parquet.

use super::refused;
use crate::data::binary::RowFile;
use crate::data::schema::{Number, Schema};
use crate::error::{Error, Result};
use crate::partial::Partial;
use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{DataType, FloatType, Int32Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::{Type, TypePtr};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Rows of a group.
const GROUP: u64 = 1 << 16;

/// Writes all rows of a dataset.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] if a row is damaged.
pub fn write(rows: &RowFile, path: &Path) -> Result<()> {
    let schema = &rows.header().schema;
    let partial = Partial::written(path, |file| {
        let refused = |e| refused(path, &e);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let message = message(schema).map_err(refused)?;
        let mut writer = SerializedFileWriter::new(file, message, Arc::new(properties)).map_err(refused)?;
        for first in (0..rows.rows()).step_by(GROUP as usize) {
            let mut columns = Columns::new(schema);
            for i in first..rows.rows().min(first + GROUP) {
                let damaged = || Error::file(rows.path(), format!("row {i} is damaged; make the dataset again"));
                columns.push(schema, rows.row(i)).ok_or_else(damaged)?;
            }
            columns.write(schema, &mut writer).map_err(refused)?;
        }
        writer.close().map(drop).map_err(refused)
    })?;
    partial.publish()
}

/// The columns as Parquet describes them.
fn message(schema: &Schema) -> Result<TypePtr, ParquetError> {
    let mut fields = vec![number(&schema.label, Physical::FLOAT, None)?];
    for column in &schema.dense {
        let physical = if column.number == Number::Integer { Physical::INT32 } else { Physical::FLOAT };
        fields.push(number(&column.name, physical, None)?);
    }
    for column in &schema.categorical {
        let unsigned = Some(LogicalType::integer(32, false));
        fields.push(match column.multi_hot {
            true => list(&column.name, number("element", Physical::INT32, unsigned)?)?,
            false => number(&column.name, Physical::INT32, unsigned)?,
        });
    }
    Type::group_type_builder("rows").with_fields(fields).build().map(Arc::new)
}

fn number(name: &str, physical: Physical, logical: Option<LogicalType>) -> Result<TypePtr, ParquetError> {
    let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
    builder.with_logical_type(logical).build().map(Arc::new)
}

fn list(name: &str, element: TypePtr) -> Result<TypePtr, ParquetError> {
    let inner = Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]);
    let outer = Type::group_type_builder(name).with_repetition(Repetition::REQUIRED);
    outer.with_logical_type(Some(LogicalType::List)).with_fields(vec![Arc::new(inner.build()?)]).build().map(Arc::new)
}

/// The words of some rows, column after column: label, dense, categorical.
struct Columns(Vec<Column>);

#[derive(Default)]
struct Column {
    words: Vec<u32>,
    /// Of lists: whether there is a number here, and whether it goes on with a row.
    levels: Option<(Vec<i16>, Vec<i16>)>,
}

impl Columns {
    fn new(schema: &Schema) -> Columns {
        let plain = (0..1 + schema.dense.len()).map(|_| Column::default());
        let categorical = schema
            .categorical
            .iter()
            .map(|column| Column { levels: column.multi_hot.then(Default::default), ..Column::default() });
        Columns(plain.chain(categorical).collect())
    }

    /// Appends a row; `None` if it is not as the schema says.
    fn push(&mut self, schema: &Schema, mut row: &[u32]) -> Option<()> {
        if schema.multi_hot() {
            row.split_off_first()?;
        }
        for column in &mut self.0 {
            let len = if column.levels.is_some() { *row.split_off_first()? as usize } else { 1 };
            column.words.extend_from_slice(row.split_off(..len)?);
            if let Some((there, goes_on)) = &mut column.levels {
                // An empty list is a place without a number.
                there.extend(std::iter::repeat_n(i16::from(len > 0), len.max(1)));
                goes_on.extend((0..len.max(1)).map(|i| i16::from(i > 0)));
            }
        }
        Some(())
    }

    fn write(
        &self,
        schema: &Schema,
        writer: &mut SerializedFileWriter<&mut BufWriter<File>>,
    ) -> Result<(), ParquetError> {
        let mut group = writer.next_row_group()?;
        for (i, column) in self.0.iter().enumerate() {
            let real = i == 0 || schema.dense.get(i - 1).is_some_and(|dense| dense.number == Number::Real);
            if real {
                column.append::<FloatType, _>(bytemuck::cast_slice(&column.words), &mut group)?;
            } else {
                column.append::<Int32Type, _>(bytemuck::cast_slice(&column.words), &mut group)?;
            }
        }
        group.close().map(drop)
    }
}

impl Column {
    fn append<T: DataType, W: Write + Send>(
        &self,
        values: &[T::T],
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("too few columns".into()))?;
        let (there, goes_on) = self.levels.as_ref().map(|(a, b)| (a.as_slice(), b.as_slice())).unzip();
        column.typed::<T>().write_batch(values, there, goes_on)?;
        column.close()
    }
}
