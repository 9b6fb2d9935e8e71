//! Rows of a binary dataset, as the formats of Criteo's columns have them.

use super::place::Place;
use crate::data::binary::RowFile;
use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};
use crate::data::schema::{Number, Transform};
use crate::error::{Error, Result};
use std::array;

/// Where the words of the ids begin.
const IDS: usize = 1 + DENSE_FEATURES;

/// A dataset of a label, 13 dense columns and 26 categorical ones with one id each: 40 words a row.
pub(super) struct CriteoRows<'a> {
    rows: &'a RowFile,
    labels: Place,
    dense: Place,
    ids: Place,
}

impl<'a> CriteoRows<'a> {
    /// # Errors
    /// [`Error::File`] if these are not its columns.
    pub fn new(rows: &'a RowFile) -> Result<CriteoRows<'a>> {
        let schema = &rows.header().schema;
        let (dense, categorical) = (schema.dense.len(), schema.categorical.len());
        if (dense, categorical) != (DENSE_FEATURES, SPARSE_FEATURES) || schema.multi_hot() {
            let lists = if schema.multi_hot() { ", some with lists" } else { "" };
            let message = format!(
                "{dense} dense and {categorical} categorical columns{lists}, expected {DENSE_FEATURES} and \
                 {SPARSE_FEATURES} with one id each"
            );
            return Err(Error::file(rows.path(), message));
        }
        let place = |array| Place::new(rows.path(), array);
        Ok(CriteoRows { rows, labels: place("label"), dense: place("dense"), ids: place("categorical") })
    }

    /// # Errors
    /// [`Error::File`] if its columns are not these, or a dense one not of integers.
    pub fn of_integers(rows: &'a RowFile) -> Result<CriteoRows<'a>> {
        let of_rows = CriteoRows::new(rows)?;
        match rows.header().schema.dense.iter().find(|column| column.number != Number::Integer) {
            Some(column) => {
                let message = format!("column {} has real numbers, expected integers", column.name);
                Err(Error::file(rows.path(), message))
            }
            None => Ok(of_rows),
        }
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.rows.rows()
    }

    /// The label of row `i`, 0 or 1.
    pub fn label(&self, i: u64) -> Result<i32> {
        let label = f32::from_bits(self.rows.row(i)[0]);
        self.labels.label(i, f64::from(label)).map(|label| label as i32)
    }

    /// The integers of row `i`, not transformed, negative ones as 0.
    pub fn integers(&self, i: u64) -> [i32; DENSE_FEATURES] {
        let row = self.rows.row(i);
        array::from_fn(|column| (row[1 + column] as i32).max(0))
    }

    /// The dense columns of row `i` as TorchRec transforms them: `ln(x - min + 2)` in `f32`. Real numbers whose
    /// transform is the identity are so already.
    pub fn log_shifted(&self, i: u64) -> Result<[f32; DENSE_FEATURES]> {
        let header = self.rows.header();
        let mut transformed = [0.0; DENSE_FEATURES];
        for (c, column) in header.schema.dense.iter().enumerate() {
            let word = self.rows.row(i)[1 + c];
            let shift = |x| Transform::LogShifted.apply(x, header.min_dense as f32);
            let x = match (column.number, column.transform) {
                (Number::Real, Transform::Identity) => f32::from_bits(word),
                (Number::Real, _) => shift(f32::from_bits(word)),
                (Number::Integer, _) => shift(word as i32 as f32),
            };
            transformed[c] = self.dense.finite(format_args!("{i}, {c}"), f64::from(x))?;
        }
        Ok(transformed)
    }

    /// The ids of row `i`.
    pub fn ids(&self, i: u64) -> Result<[i32; SPARSE_FEATURES]> {
        let row = self.rows.row(i);
        let mut ids = [0; SPARSE_FEATURES];
        for (c, (id, &count)) in ids.iter_mut().zip(&self.rows.header().num_embeddings).enumerate() {
            *id = self.ids.id(format_args!("{i}, {c}"), f64::from(row[IDS + c]), Some(count))? as i32;
        }
        Ok(ids)
    }
}
