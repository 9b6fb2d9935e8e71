//! All rows of a set in memory.

use super::{BadRows, DENSE_FEATURES, Labels, Row, RowReader, SPARSE_FEATURES, TimeSplit, Vocabulary};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::io::BufRead;
use std::path::Path;

/// Labelled rows, ready to be made into batches: 157 bytes each, and the vocabulary.
///
/// (45.8 million Kaggle rows: 7.2 GB, and up to 0.8 GB of vocabulary while and after reading.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    labels: Vec<u8>,
    ints: Vec<[i32; DENSE_FEATURES]>,
    ids: Vec<[u32; SPARSE_FEATURES]>,
    vocabulary: Vocabulary,
    split: TimeSplit,
    skipped: u64,
}

impl Dataset {
    /// Reads files of labelled rows, one after another in order of time, in one pass.
    ///
    /// With `min_count` above 1, ids seen fewer times than that in the training days share row 0
    /// of their table, and so do ids seen only in testing; otherwise every id has a row, those
    /// seen only in testing too (as in the reference).
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Row`] of [`RowReader`], and [`Error::File`] if there are not at
    /// least seven good rows.
    pub fn read<P: AsRef<Path>>(paths: &[P], min_count: u32, bad_rows: BadRows) -> Result<Self> {
        let mut builder = DatasetBuilder::default();
        for path in paths {
            builder.read(&mut RowReader::open(path, Labels::Present, bad_rows)?)?;
        }
        let name = paths.first().map_or(Path::new(""), |p| p.as_ref());
        builder.finish(min_count, name)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// 1 click, 0 none, for each row.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// `I1..I13` of each row, negatives clipped to 0, not yet logged.
    pub fn ints(&self) -> &[[i32; DENSE_FEATURES]] {
        &self.ints
    }

    /// The rows of the embedding tables that each row refers to.
    pub fn ids(&self) -> &[[u32; SPARSE_FEATURES]] {
        &self.ids
    }

    /// Which table row an id has.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Rows of each embedding table.
    pub fn num_embeddings(&self) -> [usize; SPARSE_FEATURES] {
        std::array::from_fn(|column| self.vocabulary.num_embeddings(column))
    }

    /// Which rows train and which test.
    pub fn split(&self) -> TimeSplit {
        self.split
    }

    /// Bad rows that were passed over.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// Takes rows in order of time and makes a [`Dataset`] of them.
#[derive(Debug, Default)]
pub struct DatasetBuilder {
    labels: Vec<u8>,
    ints: Vec<[i32; DENSE_FEATURES]>,
    ids: Vec<[u32; SPARSE_FEATURES]>,
    vocabulary: Vocabulary,
    skipped: u64,
    /// Rows whose ids have no table row yet: enough at a time to keep every thread busy.
    waiting: Vec<Row>,
    /// The table rows of those, by column.
    found: [Vec<u32>; SPARSE_FEATURES],
}

/// Rows looked up in the vocabulary at a time: 5 MB.
const BLOCK: usize = 32 * 1024;

impl DatasetBuilder {
    /// Takes all rows that `reader` has left.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read<R: BufRead>(&mut self, reader: &mut RowReader<R>) -> Result<()> {
        let skipped_before = reader.skipped();
        while let Some(row) = reader.next_row()? {
            self.push(row);
        }
        self.skipped += reader.skipped() - skipped_before;
        Ok(())
    }

    /// Takes one row; one without a label counts as no click.
    pub fn push(&mut self, row: Row) {
        self.waiting.push(row);
        if self.waiting.len() == BLOCK {
            self.look_up();
        }
    }

    /// The number of rows taken.
    pub fn rows(&self) -> usize {
        self.labels.len() + self.waiting.len()
    }

    fn look_up(&mut self) {
        self.vocabulary.extend(&self.waiting, &mut self.found);
        for (i, row) in self.waiting.drain(..).enumerate() {
            self.labels.push(row.label.unwrap_or(0));
            self.ints.push(row.ints.map(|x| x.max(0)));
            self.ids.push(std::array::from_fn(|c| self.found[c][i]));
        }
    }

    /// The dataset; see [`Dataset::read`] for `min_count`. An error calls it `name`.
    ///
    /// # Errors
    /// [`Error::File`] if there are fewer than seven rows.
    pub fn finish(mut self, min_count: u32, name: &Path) -> Result<Dataset> {
        self.look_up();
        let rows = self.rows();
        let Some(split) = TimeSplit::new(rows) else {
            let skipped =
                if self.skipped > 0 { format!(" ({} bad ones skipped)", self.skipped) } else { String::new() };
            let message = format!("{rows} rows{skipped}, expected at least 7: six to train on and one to test on");
            return Err(Error::file(name, message));
        };
        if min_count > 1 {
            let counts = self.count_ids(&self.ids[split.train()]);
            let new_rows = self.vocabulary.keep_frequent(counts, min_count);
            self.ids.par_iter_mut().for_each(|row| {
                for (id, new_rows) in row.iter_mut().zip(&new_rows) {
                    *id = new_rows[*id as usize];
                }
            });
        }
        let DatasetBuilder { labels, ints, ids, vocabulary, skipped, .. } = self;
        Ok(Dataset { labels, ints, ids, vocabulary, split, skipped })
    }

    /// How often each table row occurs in `rows`.
    fn count_ids(&self, rows: &[[u32; SPARSE_FEATURES]]) -> [Vec<u32>; SPARSE_FEATURES] {
        let mut counts = std::array::from_fn(|column| vec![0; self.vocabulary.num_embeddings(column)]);
        for row in rows {
            for (count, &id) in counts.iter_mut().zip(row) {
                count[id as usize] += 1;
            }
        }
        counts
    }
}
