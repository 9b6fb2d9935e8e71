//! Changes of ids on the way from rows to a batch.

use super::Samples;
use crate::batch::Batch;
use crate::error::Result;
use crate::jagged::JaggedTensor;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// Above `ln(1 + x)` of any 32-bit count.
const HIGHEST: u32 = 23;

/// A change of the ids of rows when they are loaded. Rows to score need the same as those the model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Ids are taken modulo this, so that no table has more rows: the reference's `--max-ind-range` at the time of
    /// loading (`dlrm_data_pytorch.py`). Ids of one residue share a row.
    ///
    /// The reference also takes Criteo's hashes modulo it before it numbers them; that is
    /// [`Numbering::Vocabulary`](crate::data::preprocess::Numbering::Vocabulary).
    MaxIndRange(NonZeroU32),
    /// Dense features are there as ids as well: one more table for each, after the others, where value `v` has id
    /// `⌊n · v⌋`, clamped to `0 ..= 23 n`.
    ///
    /// With `v = ln(1 + x)` that cuts counts into buckets by their logarithm, as field-aware factorization machines for
    /// Criteo's rows do (Juan et al. 2016, section 4.1), small counts each into one of its own from about `n = 8` on. An
    /// embedding of each bucket learns what a smooth function of `v` does not, and meets the other features in the
    /// interaction.
    DenseBuckets {
        /// `n`: the buckets of each unit of `v`.
        per_unit: NonZeroU32,
        /// How many dense features rows have.
        dense_features: usize,
    },
}

impl Change {
    /// Rows of each table, given those without the change.
    pub fn num_embeddings(self, mut tables: Vec<usize>) -> Vec<usize> {
        match self {
            Change::MaxIndRange(range) => tables.iter_mut().for_each(|rows| *rows = (*rows).min(range.get() as usize)),
            Change::DenseBuckets { per_unit, dense_features } => {
                tables.resize(tables.len() + dense_features, HIGHEST as usize * per_unit.get() as usize + 1);
            }
        }
        tables
    }

    /// The checksum of what ids mean, given [that](Samples::vocabulary_checksum) without the change.
    pub fn vocabulary_checksum(self, rows: u32) -> u32 {
        let [kind, number] = match self {
            Change::MaxIndRange(range) => [0, range.get()],
            Change::DenseBuckets { per_unit, .. } => [1, per_unit.get()],
        };
        crc32fast::hash(&[rows, kind, number].map(u32::to_le_bytes).concat())
    }

    /// Changes the ids of a batch that was just filled. Lists that it needs more of are taken from `spare`.
    pub fn apply(self, batch: &mut Batch, spare: &mut Vec<JaggedTensor>) {
        match self {
            Change::MaxIndRange(range) => batch.sparse.iter_mut().for_each(|list| list.map_ids(|id| id % range)),
            Change::DenseBuckets { per_unit, dense_features } => {
                for feature in 0..dense_features {
                    let mut list = spare.pop().unwrap_or_default();
                    list.clear();
                    let values = batch.dense.iter().skip(feature).step_by(dense_features);
                    values.for_each(|&value| list.push_bag(&[bucket(value, per_unit.get())]));
                    batch.sparse.push(list);
                }
            }
        }
    }

    /// Before a batch is filled again: keeps the lists that [`apply`](Self::apply) has added, which are not those of
    /// the rows, for their memory.
    pub fn undo(self, batch: &mut Batch, spare: &mut Vec<JaggedTensor>) {
        if let Change::DenseBuckets { dense_features, .. } = self {
            let first = batch.sparse.len().saturating_sub(dense_features);
            spare.extend(batch.sparse.drain(first..));
        }
    }
}

fn bucket(value: f32, per_unit: u32) -> u32 {
    // A cast from below zero, or from NaN, gives 0.
    ((value * per_unit as f32) as u32).min(HIGHEST * per_unit)
}

/// Samples with a [`Change`] of their ids.
#[derive(Debug)]
pub struct Changed<S> {
    samples: S,
    change: Change,
    /// The lists of a batch that is being filled.
    spare: Mutex<Vec<JaggedTensor>>,
}

impl<S: Samples> Changed<S> {
    /// `samples`, changed.
    pub fn new(samples: S, change: Change) -> Self {
        Changed { samples, change, spare: Mutex::default() }
    }
}

impl<S: Samples> Samples for Changed<S> {
    fn vocabulary_checksum(&self) -> u32 {
        self.change.vocabulary_checksum(self.samples.vocabulary_checksum())
    }

    fn rows(&self) -> u64 {
        self.samples.rows()
    }

    fn days(&self) -> Vec<u64> {
        self.samples.days()
    }

    fn num_embeddings(&self) -> Vec<usize> {
        self.change.num_embeddings(self.samples.num_embeddings())
    }

    fn held_bytes(&self) -> u64 {
        self.samples.held_bytes()
    }

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        self.change.undo(batch, &mut spare);
        self.samples.fill(rows, batch)?;
        self.change.apply(batch, &mut spare);
        Ok(())
    }
}

impl<S: Samples + ?Sized> Samples for Box<S> {
    fn vocabulary_checksum(&self) -> u32 {
        (**self).vocabulary_checksum()
    }

    fn rows(&self) -> u64 {
        (**self).rows()
    }

    fn days(&self) -> Vec<u64> {
        (**self).days()
    }

    fn num_embeddings(&self) -> Vec<usize> {
        (**self).num_embeddings()
    }

    fn held_bytes(&self) -> u64 {
        (**self).held_bytes()
    }

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        (**self).fill(rows, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::numbered;
    use super::*;
    use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};
    use crate::data::teacher::{Teacher, TeacherConfig};

    fn buckets(per_unit: u32) -> Change {
        Change::DenseBuckets { per_unit: NonZeroU32::new(per_unit).unwrap(), dense_features: DENSE_FEATURES }
    }

    #[test]
    fn each_dense_feature_is_an_id_as_well() {
        let (plain, bucketed) = (numbered(100), Changed::new(numbered(100), buckets(8)));
        assert_eq!(bucketed.num_embeddings()[..SPARSE_FEATURES], *Samples::num_embeddings(&plain));
        assert_eq!(bucketed.num_embeddings()[SPARSE_FEATURES..], [23 * 8 + 1; DENSE_FEATURES]);
        assert_eq!((bucketed.rows(), bucketed.days()), (100, Samples::days(&plain)));
        let (mut batch, mut expected) = (Batch::default(), Batch::default());
        for rows in [&[0, 1, 2, 3, 50, 99][..], &[7], &[]] {
            bucketed.fill(rows, &mut batch).unwrap();
            plain.fill(rows, &mut expected).unwrap();
            assert_eq!((&batch.dense, &batch.labels), (&expected.dense, &expected.labels));
            assert_eq!(batch.sparse[..SPARSE_FEATURES], expected.sparse);
            batch.check(DENSE_FEATURES, bucketed.num_embeddings().into_iter()).unwrap();
            for list in &batch.sparse[SPARSE_FEATURES..] {
                let ids: Vec<u32> = rows.iter().map(|&x| (8.0 * (x as f32 + 1.0).ln()) as u32).collect();
                assert_eq!(list.values(), ids);
            }
        }
    }

    #[test]
    fn values_out_of_range_are_in_the_first_or_last_bucket() {
        let buckets = [-1.0, -0.0, 0.09, 0.1, 22.9, 23.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        assert_eq!(buckets.map(|v| bucket(v, 10)), [0, 0, 0, 1, 229, 230, 230, 230, 0, 0]);
    }

    #[test]
    fn ids_are_taken_modulo_the_range() {
        let dataset = || Teacher::new(1, TeacherConfig::small()).dataset(200, 1).unwrap().0;
        let whole = dataset();
        let range = NonZeroU32::new(7).unwrap();
        let limited = Changed::new(dataset(), Change::MaxIndRange(range));
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

    #[test]
    fn each_change_has_a_checksum_of_its_own() {
        let changes = [Change::MaxIndRange(NonZeroU32::new(8).unwrap()), buckets(8), buckets(9)];
        let sums = changes.map(|change| change.vocabulary_checksum(1));
        assert!(sums.iter().all(|&sum| sum != 1) && sums[0] != sums[1] && sums[1] != sums[2], "{sums:?}");
    }
}
