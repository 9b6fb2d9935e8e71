//! Files to a binary dataset.

use super::records::Records;
use super::row::{Row, for_each_id};
use super::schema::{Split, TableSchema};
use super::spool::{Spool, Temporary};
use super::vocabulary::Vocabulary;
use crate::data::binary::{Header, Keys, RowFile, RowWriter, Source};
use crate::error::{Error, Result};
use crate::partial::{check_apart, check_output, publish};
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use std::fs;
use std::path::{Path, PathBuf};

/// Makes a binary dataset at `output` of the files `inputs`, and opens it; see the [module](super).
///
/// Training rows are its first day and test rows its second. What was at `output` is replaced at the end; until
/// then, and if anything goes wrong, it stays as it was.
///
/// # Errors
/// [`Error::Row`] at the first row that the schema does not allow, [`Error::File`] if a file lacks a header, no row
/// is left to train or test on, or a column has no word; [`Error::Config`] if there are too few inputs, or the
/// output is one of them; [`Error::Io`].
pub fn make_dataset(schema: &TableSchema, inputs: &[PathBuf], output: &Path) -> Result<RowFile> {
    check_files(schema, inputs, output)?;
    let mut draft = Draft::new(schema, output)?;
    inputs.iter().enumerate().try_for_each(|(i, path)| draft.read(path, inputs.len() - i))?;
    draft.finish(inputs, output)?;
    RowFile::open(output)
}

fn check_files(schema: &TableSchema, inputs: &[PathBuf], output: &Path) -> Result<()> {
    match schema.split {
        Some(Split::Files(tests)) if inputs.len() <= tests => {
            let message = format!("{} data files, expected more than test_files, {tests}", inputs.len());
            return Err(Error::Config(message));
        }
        _ if inputs.is_empty() => return Err(Error::Config("no data file, expected at least one".into())),
        _ => {}
    }
    check_output(output)?;
    check_apart(inputs, output)
}

/// A dataset whose rows are not all known.
struct Draft<'a> {
    schema: &'a TableSchema,
    vocabularies: Vec<Vocabulary>,
    /// The least dense value.
    min: f32,
    train: Spool,
    test: Spool,
    /// For a split by seed.
    rng: Xoshiro256PlusPlus,
}

impl<'a> Draft<'a> {
    fn new(schema: &'a TableSchema, output: &Path) -> Result<Draft<'a>> {
        let seed = if let Some(Split::Drawn(_, seed)) = schema.split { seed } else { 0 };
        Ok(Draft {
            schema,
            vocabularies: schema.categorical.iter().map(|_| Vocabulary::default()).collect(),
            min: f32::INFINITY,
            train: Spool::create(beside(output, "train"))?,
            test: Spool::create(beside(output, "test"))?,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        })
    }

    /// Takes the rows of a file, of which `left` are still to come, this one counted.
    fn read(&mut self, path: &Path, left: usize) -> Result<()> {
        let mut records = Records::open(self.schema, path, true)?;
        let (mut row, mut words) = (Row::default(), Vec::new());
        while records.next_row()? {
            row.read(self.schema, &records, |column, word| {
                let number = self.vocabularies[column].get_or_add(word);
                number.ok_or_else(|| format!("at most {} different words", u32::MAX))
            })?;
            self.min = row.dense.iter().fold(self.min, |min, &x| min.min(x));
            row.encode(self.schema, &mut words);
            if self.tests(left) { &mut self.test } else { &mut self.train }.push(&words)?;
        }
        Ok(())
    }

    /// Whether the next row tests, as far as that is known before all rows are.
    fn tests(&mut self, left: usize) -> bool {
        match self.schema.split {
            None | Some(Split::Last(_)) => false,
            Some(Split::Drawn(share, _)) => (self.rng.next_u64() as f64) < share * 2f64.powi(64),
            Some(Split::Files(tests)) => left <= tests,
        }
    }

    /// Rows that train and rows that test.
    fn days(&self, inputs: &[PathBuf]) -> Result<Vec<u64>> {
        let rows = self.train.rows + self.test.rows;
        let tests = match self.schema.split {
            Some(Split::Last(share)) => (rows as f64 * share).round() as u64,
            _ => self.test.rows,
        };
        let days = if self.schema.split.is_some() { vec![rows - tests, tests] } else { vec![rows] };
        match (rows, days.contains(&0)) {
            (0, _) => Err(Error::file(&inputs[0], "no row, expected some")),
            (_, true) => {
                let message = format!("{rows} rows, {tests} to test on, expected some to train on and some to test on");
                Err(Error::file(&inputs[0], message))
            }
            (_, false) => Ok(days),
        }
    }

    fn finish(mut self, inputs: &[PathBuf], output: &Path) -> Result<()> {
        let days = self.days(inputs)?;
        let numbers = if self.schema.shared_row() { Some(self.numbers(days[0])?) } else { None };
        let partial = Temporary(beside(output, "partial"));
        let writer = self.write_rows(numbers.as_deref(), &partial.0)?;
        let Draft { schema, vocabularies, min, .. } = self;
        let words = vocabularies.into_iter().enumerate();
        let keys = words.map(|(column, words)| words.into_words(numbers.as_ref().map(|numbers| &numbers[column][..])));
        let keys: Vec<Vec<String>> = keys.collect();
        if let Some(empty) = keys.iter().position(|words| words.is_empty() && !schema.shared_row()) {
            let name = &schema.names[schema.categorical[empty].name];
            return Err(Error::file(&inputs[0], format!("no word in column {name:?}, expected some")));
        }
        let header = Header {
            days,
            num_embeddings: keys.iter().map(|words| words.len() as u64 + u64::from(schema.shared_row())).collect(),
            shared_row: schema.shared_row(),
            min_dense: if schema.dense.is_empty() { 0.0 } else { f64::from(min) },
            source: source(schema, inputs)?,
            schema: schema.columns(),
        };
        writer.finish(&header, keys.into_iter().map(|words| Ok(Keys::Words(words))))?;
        publish(&partial.0, output)
    }

    /// The rows to a new file, ids by `numbers` if there are any.
    fn write_rows(&mut self, numbers: Option<&[Vec<u32>]>, path: &Path) -> Result<RowWriter> {
        let Draft { schema, train, test, .. } = self;
        let mut writer = RowWriter::create(path, schema.row_words())?;
        for spool in [train, test] {
            spool.for_each(schema, spool.rows, |words| {
                if let Some(numbers) = numbers {
                    for_each_id(schema, words, |column, id| *id = numbers[column][*id as usize]);
                }
                writer.write(1, words)
            })?;
        }
        Ok(writer)
    }

    /// For each column the number of each word by its number so far: 0 if it is rare in the first `train` rows.
    fn numbers(&mut self, train: u64) -> Result<Vec<Vec<u32>>> {
        let Draft { schema, vocabularies, train: spool, .. } = self;
        let mut counts: Vec<Vec<u32>> = vocabularies.iter().map(|words| vec![0; words.len()]).collect();
        spool.for_each(schema, train, |words| {
            for_each_id(schema, words, |column, id| {
                let count = &mut counts[column][*id as usize];
                *count = count.saturating_add(1);
            });
            Ok(())
        })?;
        for (counts, column) in counts.iter_mut().zip(&schema.categorical) {
            let mut kept = 0;
            for count in counts {
                let frequent = *count >= column.min_count;
                kept += u32::from(frequent);
                *count = if frequent { kept } else { 0 };
            }
        }
        Ok(counts)
    }
}

fn source(schema: &TableSchema, inputs: &[PathBuf]) -> Result<Source> {
    let size = |path: &PathBuf| fs::metadata(path).map(|file| file.len()).map_err(|e| Error::io(path, e));
    Ok(Source {
        files: inputs.iter().map(|path| path.display().to_string()).collect(),
        bytes: inputs.iter().map(size).collect::<Result<_>>()?,
        options: schema.text.clone(),
        skipped: 0,
    })
}

/// The name of a file that is beside the output for a while.
fn beside(output: &Path, what: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.{what}"))
}
