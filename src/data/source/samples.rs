//! Rows that can be had by number.

use crate::batch::Batch;
use crate::data::binary::{Header, Keys, RowFile, Source, checksum};
use crate::data::criteo::{DENSE_FEATURES, Dataset, SPARSE_FEATURES};
use crate::data::schema::{Schema, Transform};
use crate::error::Result;
use std::num::NonZeroU32;

/// Rows in order of time that can be had by number, in any order.
pub trait Samples: Send + Sync {
    /// The number of rows.
    fn rows(&self) -> u64;

    /// Rows of each day; together all rows.
    fn days(&self) -> Vec<u64>;

    /// Rows of each embedding table that ids refer to.
    fn num_embeddings(&self) -> Vec<usize>;

    /// A checksum of the columns and of the vocabulary, which says what the ids stand for. It is kept with a model, so
    /// that no other rows are given to it.
    fn vocabulary_checksum(&self) -> u32;

    /// Refills `batch` with these rows, as a model takes them.
    ///
    /// # Errors
    /// If a row cannot be read.
    ///
    /// # Panics
    /// If there is no such row.
    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()>;
}

/// Dense features are `ln(1 + x)`; each table has one id a bag.
impl Samples for Dataset {
    fn rows(&self) -> u64 {
        Dataset::rows(self) as u64
    }

    fn days(&self) -> Vec<u64> {
        self.split().days().iter().map(|&day| day as u64).collect()
    }

    fn num_embeddings(&self) -> Vec<usize> {
        Dataset::num_embeddings(self).to_vec()
    }

    fn vocabulary_checksum(&self) -> u32 {
        let vocabulary = self.vocabulary();
        let header = Header {
            days: Vec::new(),
            num_embeddings: Dataset::num_embeddings(self).map(|rows| rows as u64).to_vec(),
            shared_row: vocabulary.shared_row(),
            min_dense: 0.0,
            source: Source::default(),
            schema: Schema::criteo(Transform::Log),
        };
        let keys = (0..SPARSE_FEATURES).map(|column| {
            let mut bytes = Vec::new();
            Keys::Numbers(vocabulary.hashes(column)).encode(&mut bytes);
            bytes
        });
        checksum(&header, keys)
    }

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        // Rows lie far apart in memory. Loops that do nothing but fetch have many fetches under
        // way at once, so each array is gathered by itself, and logarithms come afterwards.
        let rows = rows.iter().map(|&row| row as usize);
        batch.clear(DENSE_FEATURES, SPARSE_FEATURES);
        batch.labels.extend(rows.clone().map(|row| f32::from(self.labels()[row])));
        for row in rows.clone() {
            batch.dense.extend(self.ints()[row].map(|x| x as f32));
        }
        batch.dense.iter_mut().for_each(|x| *x = log_dense(*x));
        for (table, bags) in batch.sparse.iter_mut().enumerate() {
            rows.clone().for_each(|row| bags.push_bag(&[self.ids()[row][table]]));
        }
        Ok(())
    }
}

/// `ln(1 + x)` in `f32`, as the reference transforms clipped integers (`dlrm_data_pytorch.py`,
/// `collate_wrapper_criteo_offset`).
fn log_dense(x: f32) -> f32 {
    (x + 1.0).ln()
}

/// Dense features are transformed as the file's header says.
impl Samples for RowFile {
    fn rows(&self) -> u64 {
        RowFile::rows(self)
    }

    fn days(&self) -> Vec<u64> {
        self.header().days.clone()
    }

    fn num_embeddings(&self) -> Vec<usize> {
        self.header().num_embeddings.iter().map(|&rows| rows as usize).collect()
    }

    fn vocabulary_checksum(&self) -> u32 {
        RowFile::vocabulary_checksum(self)
    }

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        // Of a shuffled pass over more rows than memory holds, each lies on a page of its own on the disk, and to wait
        // for one after the other takes hundreds of times as long. Rows that are in memory pay half a microsecond.
        self.will_need(rows);
        RowFile::fill(self, rows.iter().copied(), batch)
    }
}

/// Samples whose ids are taken modulo a range, so that no table has more rows: the reference's `--max-ind-range` at
/// the time of loading (`dlrm_data_pytorch.py`). Ids of one residue share a row.
///
/// The reference also takes Criteo's hashes modulo it before it numbers them; that is
/// [`Numbering::Vocabulary`](crate::data::preprocess::Numbering::Vocabulary).
pub struct MaxIndRange {
    samples: Box<dyn Samples>,
    range: NonZeroU32,
}

impl MaxIndRange {
    /// `samples` with ids below `range`.
    pub fn new(samples: Box<dyn Samples>, range: NonZeroU32) -> Self {
        MaxIndRange { samples, range }
    }
}

impl Samples for MaxIndRange {
    /// That of the samples, changed by the range.
    fn vocabulary_checksum(&self) -> u32 {
        let [samples, range] = [self.samples.vocabulary_checksum(), self.range.get()];
        crc32fast::hash(&[samples.to_le_bytes(), range.to_le_bytes()].concat())
    }

    fn rows(&self) -> u64 {
        self.samples.rows()
    }

    fn days(&self) -> Vec<u64> {
        self.samples.days()
    }

    fn num_embeddings(&self) -> Vec<usize> {
        let range = self.range.get() as usize;
        self.samples.num_embeddings().into_iter().map(|rows| rows.min(range)).collect()
    }

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        self.samples.fill(rows, batch)?;
        batch.sparse.iter_mut().for_each(|list| list.map_ids(|id| id % self.range));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::teacher::{Teacher, TeacherConfig};

    #[test]
    fn ids_are_taken_modulo_the_range() {
        let dataset = || Teacher::new(1, TeacherConfig::small()).dataset(200, 1).unwrap().0;
        let whole = dataset();
        let range = NonZeroU32::new(7).unwrap();
        let limited = MaxIndRange::new(Box::new(dataset()), range);
        let (before, after) = (Samples::num_embeddings(&whole), limited.num_embeddings());
        assert!(before.iter().any(|&rows| rows > 7) && before.iter().any(|&rows| rows < 7), "{before:?}");
        assert!(before.iter().zip(&after).all(|(&before, &after)| after == before.min(7)), "{before:?} {after:?}");
        let (mut ids, mut limited_ids) = (Batch::default(), Batch::default());
        let rows: Vec<u64> = (0..limited.rows()).collect();
        whole.fill(&rows, &mut ids).unwrap();
        limited.fill(&rows, &mut limited_ids).unwrap();
        limited_ids.check(DENSE_FEATURES, after.into_iter()).unwrap();
        for (list, limited) in ids.sparse.iter().zip(&limited_ids.sparse) {
            let expected: Vec<u32> = list.values().iter().map(|id| id % 7).collect();
            assert_eq!(limited.values(), expected);
        }
        assert_eq!(limited.days(), Samples::days(&whole));
    }
}
