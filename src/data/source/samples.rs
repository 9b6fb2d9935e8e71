//! Rows that can be had by number.

use crate::batch::Batch;
use crate::data::binary::{Header, Keys, RowFile, Source, checksum};
use crate::data::criteo::{DENSE_FEATURES, Dataset, SPARSE_FEATURES};
use crate::data::schema::{Schema, Transform};
use crate::error::Result;

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

    /// Bytes of memory that the rows take for themselves: none in a file.
    fn held_bytes(&self) -> u64 {
        0
    }

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

    /// 157 bytes a row, and 9 for each place in the vocabulary's hash tables, 7 of 8 of which are taken at most.
    fn held_bytes(&self) -> u64 {
        let ids: usize =
            Dataset::num_embeddings(self).iter().map(|ids| (ids * 8).div_ceil(7).next_power_of_two()).sum();
        (157 * Dataset::rows(self) + 9 * ids) as u64
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
        let scattered = rows.last().zip(rows.first()).is_some_and(|(last, first)| last - first >= rows.len() as u64);
        if scattered {
            self.will_need(rows.iter().copied());
        }
        RowFile::fill(self, rows.iter().copied(), batch)
    }
}
