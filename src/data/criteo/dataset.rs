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
            builder.read(&mut RowReader::open(path, Labels::Present, bad_rows)?, |_| ())?;
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
    pub fn split(&self) -> &TimeSplit {
        &self.split
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
    /// Takes all rows that `reader` has left. Every so often tells `progress` the number of rows
    /// taken so far.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read<R: BufRead>(&mut self, reader: &mut RowReader<R>, mut progress: impl FnMut(usize)) -> Result<()> {
        let skipped_before = reader.skipped();
        while let Some(row) = reader.next_row()? {
            self.push(row);
            if self.waiting.is_empty() {
                progress(self.rows());
            }
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
                if self.skipped > 0 { format!(" (and {} bad, skipped)", self.skipped) } else { String::new() };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a label: `C1` from `c1`, everything else missing.
    fn dataset(c1: &[u32], min_count: u32) -> Dataset {
        let mut builder = DatasetBuilder::default();
        for (i, &id) in c1.iter().enumerate() {
            let mut row =
                Row { label: Some((i % 2) as u8), ints: [i as i32 - 3; DENSE_FEATURES], ids: [0; SPARSE_FEATURES] };
            row.ids[0] = id;
            builder.push(row);
        }
        builder.finish(min_count, Path::new("rows.tsv")).unwrap()
    }

    fn c1(dataset: &Dataset) -> Vec<u32> {
        dataset.ids().iter().map(|ids| ids[0]).collect()
    }

    #[test]
    fn rare_and_unseen_ids_share_row_0() {
        // 16 rows: days of 3, 3, 2, 2, 2, 2, 2, so 14 train.
        let hashes = [9, 5, 7, 9, 5, 8, 5, 0, 0, 3, 0, 9, 5, 2, /* test */ 7, 4];
        let cases: [(u32, [u32; 16], &[u32]); 5] = [
            (0, [0, 1, 2, 0, 1, 3, 1, 4, 4, 5, 4, 0, 1, 6, 2, 7], &[9, 5, 7, 8, 0, 3, 2, 4]),
            (1, [0, 1, 2, 0, 1, 3, 1, 4, 4, 5, 4, 0, 1, 6, 2, 7], &[9, 5, 7, 8, 0, 3, 2, 4]),
            // 7 is there twice, but only once in the training days.
            (2, [1, 2, 0, 1, 2, 0, 2, 3, 3, 0, 3, 1, 2, 0, 0, 0], &[9, 5, 0]),
            (4, [0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0], &[5]),
            (5, [0; 16], &[]),
        ];
        for (min_count, expected, vocabulary) in cases {
            let dataset = dataset(&hashes, min_count);
            assert_eq!(c1(&dataset), expected, "min_count {min_count}");
            assert_eq!(dataset.vocabulary().hashes(0), vocabulary, "min_count {min_count}");
            assert_eq!(dataset.vocabulary().shared_row(), min_count > 1);
            assert_eq!(dataset.num_embeddings()[0], vocabulary.len() + usize::from(min_count > 1));
            for (&hash, &row) in hashes.iter().zip(&expected) {
                assert_eq!(dataset.vocabulary().row_of(0, hash), Some(row));
            }
            assert_eq!(dataset.vocabulary().row_of(0, 77), (min_count > 1).then_some(0));
        }
    }

    #[test]
    fn a_vocabulary_survives_saving() {
        for min_count in [1, 2] {
            let dataset = dataset(&[3, 1, 3, 2, 1, 8, 9, 7], min_count);
            let vocabulary = dataset.vocabulary();
            let saved = std::array::from_fn(|column| vocabulary.hashes(column));
            assert_eq!(Vocabulary::from_hashes(saved, vocabulary.shared_row()), *vocabulary);
        }
    }

    #[test]
    fn blocks_leave_no_seam() {
        let hashes: Vec<u32> = (0..BLOCK as u32 * 2 + 10).map(|i| i / 2 % 40_000).collect();
        let dataset = dataset(&hashes, 1);
        assert_eq!(c1(&dataset), hashes);
        assert_eq!(dataset.ints()[BLOCK], [BLOCK as i32 - 3; DENSE_FEATURES]);
        assert_eq!(dataset.ints()[..3], [[0; DENSE_FEATURES]; 3]);
        assert_eq!(dataset.labels()[BLOCK..BLOCK + 2], [0, 1]);
    }

    #[test]
    fn too_few_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.tsv");
        let good = format!("1{}\n", "\t".repeat(39));
        for (text, expected) in [
            (String::new(), "0 rows, expected"),
            (good.repeat(6), "6 rows, expected"),
            (good.repeat(6) + "x\n", "6 rows (and 1 bad, skipped), expected"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Dataset::read(&[&path], 1, BadRows::Skip).unwrap_err().to_string();
            let expected = format!("{}: {expected} at least 7: six to train on and one to test on", path.display());
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn files_follow_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for (i, path) in paths.iter().enumerate() {
            std::fs::write(path, format!("0{}{i}\nbad\n", "\t".repeat(39)).repeat(5)).unwrap();
        }
        let dataset = Dataset::read(&paths, 1, BadRows::Skip).unwrap();
        assert_eq!((dataset.rows(), dataset.skipped()), (10, 10));
        let last: Vec<u32> = dataset.ids().iter().map(|ids| ids[25]).collect();
        assert_eq!(last, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    }
}
