//! Dense features as ids.

use super::Samples;
use crate::batch::Batch;
use crate::error::Result;
use crate::jagged::JaggedTensor;
use std::sync::{Mutex, PoisonError};

/// Above `ln(1 + x)` of any 32-bit count.
const HIGHEST: u32 = 23;

/// Rows whose dense features are there as ids as well: one more table for each, after the others, where value `v` has
/// id `⌊n · v⌋`, clamped to `0 ..= 23 n`.
///
/// With `v = ln(1 + x)` that cuts counts into buckets by their logarithm, as field-aware factorization machines for
/// Criteo's rows do (Juan et al. 2016, section 4.1), small counts each into one of its own from about `n = 8` on. An
/// embedding of each bucket learns what a smooth function of `v` does not, and meets the other features in the
/// interaction.
#[derive(Debug)]
pub struct DenseBuckets<S> {
    inner: S,
    dense_features: usize,
    per_unit: u32,
    /// The lists of a batch that is being filled, for their memory.
    spare: Mutex<Vec<JaggedTensor>>,
}

impl<S: Samples> DenseBuckets<S> {
    /// `inner`, with `per_unit` buckets for each unit of each of its `dense_features`.
    pub fn new(inner: S, dense_features: usize, per_unit: u32) -> Self {
        DenseBuckets { inner, dense_features, per_unit, spare: Mutex::default() }
    }

    fn bucket(&self, value: f32) -> u32 {
        // A cast from below zero, or from NaN, gives 0.
        ((value * self.per_unit as f32) as u32).min(HIGHEST * self.per_unit)
    }
}

impl<S: Samples> Samples for DenseBuckets<S> {
    /// That of the rows, changed by the number of buckets.
    fn vocabulary_checksum(&self) -> u32 {
        let [rows, buckets] = [self.inner.vocabulary_checksum(), self.per_unit];
        crc32fast::hash(&[rows.to_le_bytes(), buckets.to_le_bytes()].concat())
    }

    fn rows(&self) -> u64 {
        self.inner.rows()
    }

    fn days(&self) -> Vec<u64> {
        self.inner.days()
    }

    fn num_embeddings(&self) -> Vec<usize> {
        let mut tables = self.inner.num_embeddings();
        tables.resize(tables.len() + self.dense_features, (HIGHEST * self.per_unit) as usize + 1);
        tables
    }

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        // The samples inside would drop the lists that are not theirs.
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let first = batch.sparse.len().saturating_sub(self.dense_features);
        spare.extend(batch.sparse.drain(first..));
        self.inner.fill(rows, batch)?;
        for feature in 0..self.dense_features {
            let mut list = spare.pop().unwrap_or_default();
            list.clear();
            let values = batch.dense.iter().skip(feature).step_by(self.dense_features);
            values.for_each(|&value| list.push_bag(&[self.bucket(value)]));
            batch.sparse.push(list);
        }
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

    fn fill(&self, rows: &[u64], batch: &mut Batch) -> Result<()> {
        (**self).fill(rows, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::numbered;
    use super::*;
    use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};

    #[test]
    fn each_dense_feature_is_an_id_as_well() {
        let (plain, bucketed) = (numbered(100), DenseBuckets::new(numbered(100), DENSE_FEATURES, 8));
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
        let bucketed = DenseBuckets::new(numbered(7), DENSE_FEATURES, 10);
        let buckets = [-1.0, -0.0, 0.09, 0.1, 22.9, 23.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        assert_eq!(buckets.map(|v| bucketed.bucket(v)), [0, 0, 0, 1, 229, 230, 230, 230, 0, 0]);
    }
}
