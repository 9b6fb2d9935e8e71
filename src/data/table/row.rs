//! Records to values.

use super::records::Records;
use super::schema::{Categorical, LABEL, LabelRule, TableSchema};
use crate::batch::Batch;
use crate::error::Result;

/// The values of a row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub label: f32,
    /// Not yet transformed.
    pub dense: Vec<f32>,
    /// One column after the other.
    ids: Vec<u32>,
    /// Where each column's ids end.
    ends: Vec<usize>,
}

impl Row {
    /// Becomes the row that `records` has in hand, with `number(column, word)` for a word; that may say what it
    /// expected instead. A label that the file does not have is 0.
    pub fn read(
        &mut self,
        schema: &TableSchema,
        records: &Records,
        mut number: impl FnMut(usize, &str) -> Result<u32, String>,
    ) -> Result<()> {
        self.label = if records.has(LABEL) { label(schema, records)? } else { 0.0 };
        self.dense.clear();
        for column in &schema.dense {
            let text = records.text(column.name)?;
            let value = if schema.is_missing(text) { Some(column.missing) } else { finite(text) };
            self.dense.push(value.ok_or_else(|| records.unexpected(column.name, "a finite number"))?);
        }
        self.ids.clear();
        self.ends.clear();
        for (c, column) in schema.categorical.iter().enumerate() {
            let text = records.text(column.name)?;
            for word in words(schema, column, text) {
                let id = number(c, word).map_err(|expected| records.unexpected(column.name, &expected))?;
                self.ids.push(id);
            }
            self.ends.push(self.ids.len());
        }
        Ok(())
    }

    fn bags(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.ids[start..end])
    }

    /// Refills `words` with the row as a binary dataset has it.
    pub fn encode(&self, schema: &TableSchema, words: &mut Vec<u32>) {
        words.clear();
        let ragged = schema.ragged();
        if ragged {
            words.push(0);
        }
        words.push(self.label.to_bits());
        words.extend(self.dense.iter().map(|x| x.to_bits()));
        for (column, bag) in schema.categorical.iter().zip(self.bags()) {
            if column.multi_hot.is_some() {
                words.push(bag.len() as u32);
            }
            words.extend_from_slice(bag);
        }
        if ragged {
            // A schema of 1 MiB has too few columns of 64 KiB for more words than a `u32` counts.
            words[0] = words.len() as u32;
        }
    }

    /// Appends the row to a batch, dense columns transformed; `min` is the least value of all of them in a dataset.
    pub fn push(&self, schema: &TableSchema, min: f32, batch: &mut Batch) {
        batch.labels.push(self.label);
        let columns = self.dense.iter().zip(&schema.dense);
        batch.dense.extend(columns.map(|(&x, column)| column.transform.apply(x, min)));
        self.bags().zip(&mut batch.sparse).for_each(|(bag, bags)| bags.push_bag(bag));
    }
}

/// The ids in a row's words, with their columns.
pub(super) fn for_each_id(schema: &TableSchema, words: &mut [u32], mut f: impl FnMut(usize, &mut u32)) {
    let mut rest = &mut words[usize::from(schema.ragged()) + 1 + schema.dense.len()..];
    for (c, column) in schema.categorical.iter().enumerate() {
        let mut len = 1;
        if column.multi_hot.is_some() {
            len = rest.split_off_first_mut().map_or(0, |len| *len as usize);
        }
        rest.split_off_mut(..len).into_iter().flatten().for_each(|id| f(c, id));
    }
}

fn label(schema: &TableSchema, records: &Records) -> Result<f32> {
    let text = records.text(LABEL)?;
    let number = || text.parse::<f64>().ok().filter(|x| x.is_finite());
    let (label, expected) = match &schema.label {
        _ if schema.is_missing(text) => (None, "a label"),
        LabelRule::Words { positive, .. } if positive.iter().any(|word| word == text) => (Some(1.0), ""),
        LabelRule::Words { negative: Some(negative), .. } => {
            (negative.iter().any(|word| word == text).then_some(0.0), "a word that is positive or negative")
        }
        LabelRule::Words { negative: None, .. } => (Some(0.0), ""),
        LabelRule::Threshold(threshold) => (number().map(|x| f32::from(u8::from(x >= *threshold))), "a finite number"),
        LabelRule::Number => (
            number().filter(|x| (0.0..=1.0).contains(x)).map(|x| x as f32),
            "a number from 0 to 1 (or a threshold in the schema)",
        ),
    };
    label.ok_or_else(|| records.unexpected(LABEL, expected))
}

fn finite(text: &str) -> Option<f32> {
    text.parse().ok().filter(|x: &f32| x.is_finite())
}

/// The words of a field.
fn words<'a>(schema: &'a TableSchema, column: &'a Categorical, text: &'a str) -> impl Iterator<Item = &'a str> {
    let missing = schema.is_missing(text);
    let between = column.multi_hot.as_deref().filter(|_| !missing);
    let one = match (missing, &column.missing, &column.multi_hot) {
        (false, ..) => between.is_none().then_some(text),
        (true, Some(word), _) => Some(word.as_str()),
        (true, None, Some(_)) => None,
        (true, None, None) => Some(""),
    };
    let list = between.into_iter().flat_map(move |between| text.split(between));
    one.into_iter().chain(list.map(str::trim_ascii).filter(|word| !word.is_empty()))
}
