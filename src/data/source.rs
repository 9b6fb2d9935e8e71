//! Where batches come from.

use crate::batch::Batch;
use crate::data::criteo::{DENSE_FEATURES, Dataset, SPARSE_FEATURES};
use crate::error::Result;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use std::ops::Range;

/// Batches, pass after pass over the same samples.
///
/// The training loop and evaluation know no more than this, so that rows in memory, a binary
/// file, a thread that reads ahead or one rank's share can stand behind it.
pub trait BatchSource {
    /// The number of samples in one pass.
    fn rows(&self) -> usize;

    /// Begins pass `epoch` (from 0): the order of samples may depend on it, and on nothing that
    /// happened before.
    ///
    /// # Errors
    /// If the samples cannot be had again.
    fn start_epoch(&mut self, epoch: u64) -> Result<()>;

    /// Refills `batch` with the next samples and returns true, or returns false at the end of
    /// the pass.
    ///
    /// # Errors
    /// If the samples cannot be read.
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool>;
}

/// The order of rows in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand, in every pass.
    InOrder,
    /// Permuted anew in every pass, by this seed and the number of the pass.
    ///
    /// The reference permutes the training rows once, and keeps that order in every pass.
    Shuffled(u64),
}

/// Batches of some rows of a [`Dataset`].
///
/// Dense features are `ln(1 + x)`; each table has one id a bag. The last batch of a pass has what
/// is left over.
#[derive(Debug)]
pub struct DatasetSource<'a> {
    dataset: &'a Dataset,
    rows: Range<usize>,
    batch_size: usize,
    seed: Option<u64>,
    /// The rows in the order of this pass; empty if that is as they stand.
    permutation: Vec<u32>,
    /// Rows of this pass given out.
    position: usize,
    /// The rows of the batch in hand.
    ints: Vec<[i32; DENSE_FEATURES]>,
    ids: Vec<[u32; SPARSE_FEATURES]>,
}

impl<'a> DatasetSource<'a> {
    /// Batches of `batch_size` of the `rows` of `dataset`, at the start of pass 0.
    ///
    /// # Panics
    /// If `batch_size` is 0, or if `rows` are not all in the dataset or more than `u32::MAX`.
    pub fn new(dataset: &'a Dataset, rows: Range<usize>, batch_size: usize, order: Order) -> Self {
        assert!(batch_size > 0, "DatasetSource: batches of 0 rows");
        assert!(rows.end <= dataset.rows(), "DatasetSource: rows {rows:?} of {}", dataset.rows());
        let seed = match order {
            Order::InOrder => None,
            Order::Shuffled(seed) => Some(seed),
        };
        let (permutation, ints, ids) = (Vec::new(), Vec::new(), Vec::new());
        let mut source = DatasetSource { dataset, rows, batch_size, seed, permutation, position: 0, ints, ids };
        source.permute(0);
        source
    }

    fn permute(&mut self, epoch: u64) {
        let Some(seed) = self.seed else { return };
        let row = |r: usize| u32::try_from(r).expect("at most u32::MAX rows");
        self.permutation.clear();
        self.permutation.extend(row(self.rows.start)..row(self.rows.end));
        self.permutation.shuffle(&mut epoch_rng(seed, epoch));
    }
}

/// A generator for pass `epoch`. The seed goes through the generator once, so that seeds that
/// follow one another do not share the orders of passes that follow one another.
fn epoch_rng(seed: u64, epoch: u64) -> Xoshiro256PlusPlus {
    let mixed = Xoshiro256PlusPlus::seed_from_u64(seed).next_u64();
    Xoshiro256PlusPlus::seed_from_u64(mixed.wrapping_add(epoch))
}

/// `ln(1 + x)` in `f32`, as the reference transforms clipped integers (`dlrm_data_pytorch.py`,
/// `collate_wrapper_criteo_offset`).
fn log_dense(x: i32) -> f32 {
    (x as f32 + 1.0).ln()
}

impl BatchSource for DatasetSource<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn start_epoch(&mut self, epoch: u64) -> Result<()> {
        self.position = 0;
        self.permute(epoch);
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        let DatasetSource { dataset, rows, permutation, position, ints, ids, .. } = self;
        let places = *position..rows.len().min(*position + self.batch_size);
        *position = places.end;
        let row_at = |i: usize| permutation.get(i).map_or(rows.start + i, |&row| row as usize);
        let rows = places.clone().map(row_at);
        // Rows lie far apart in memory. Loops that do nothing but fetch have many fetches under
        // way at once, so each array is gathered by itself before anything is computed.
        batch.clear(DENSE_FEATURES, SPARSE_FEATURES);
        batch.labels.extend(rows.clone().map(|row| f32::from(dataset.labels()[row])));
        ints.clear();
        ints.extend(rows.clone().map(|row| dataset.ints()[row]));
        ids.clear();
        ids.extend(rows.map(|row| dataset.ids()[row]));
        batch.dense.extend(ints.as_flattened().iter().map(|&x| log_dense(x)));
        for (table, bags) in batch.sparse.iter_mut().enumerate() {
            ids.iter().for_each(|row| bags.push_bag(&[row[table]]));
        }
        Ok(!places.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::criteo::{DatasetBuilder, Row};
    use std::path::Path;

    /// Row `i` has `i` in every integer.
    fn numbered(rows: usize) -> Dataset {
        let mut builder = DatasetBuilder::default();
        for i in 0..rows {
            builder.push(Row { label: Some(0), ints: [i as i32; DENSE_FEATURES], ids: [i as u32; SPARSE_FEATURES] });
        }
        builder.finish(1, Path::new("rows")).unwrap()
    }

    /// The sizes of all batches of a pass, and its rows in order.
    fn pass(source: &mut DatasetSource, epoch: u64) -> (Vec<usize>, Vec<u32>) {
        source.start_epoch(epoch).unwrap();
        let (mut sizes, mut rows, mut batch) = (Vec::new(), Vec::new(), Batch::default());
        while source.next_batch(&mut batch).unwrap() {
            batch.check(DENSE_FEATURES, [1000; SPARSE_FEATURES].into_iter()).unwrap();
            sizes.push(batch.len());
            for b in 0..batch.len() {
                let row = batch.sparse[3].bag(b)[0];
                assert_eq!(batch.dense[b * DENSE_FEATURES], log_dense(row as i32));
                rows.push(row);
            }
        }
        assert!(batch.is_empty() && !source.next_batch(&mut batch).unwrap());
        (sizes, rows)
    }

    #[test]
    fn in_order_every_row_comes_once_and_the_last_batch_is_short() {
        let dataset = numbered(50);
        for (rows, batch_size, expected) in
            [(0..50, 20, vec![20, 20, 10]), (0..40, 20, vec![20, 20]), (7..12, 100, vec![5]), (50..50, 3, vec![])]
        {
            let mut source = DatasetSource::new(&dataset, rows.clone(), batch_size, Order::InOrder);
            assert_eq!(source.rows(), rows.len());
            for epoch in [0, 1] {
                let (sizes, found) = pass(&mut source, epoch);
                assert_eq!(sizes, expected);
                assert_eq!(found, (rows.start as u32..rows.end as u32).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn shuffled_every_row_comes_once_in_an_order_of_its_own() {
        let dataset = numbered(500);
        let mut orders = Vec::new();
        for seed in [0, 1, 2] {
            let mut source = DatasetSource::new(&dataset, 100..457, 32, Order::Shuffled(seed));
            for epoch in [0, 1, 2] {
                let (_, order) = pass(&mut source, epoch);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (100..457).collect::<Vec<_>>());
                assert!(!orders.contains(&order), "seed {seed}, pass {epoch}: an order seen before");
                orders.push(order);
            }
            assert_eq!(pass(&mut source, 1).1, orders[orders.len() - 2], "a pass does not depend on those before it");
        }
    }

    #[test]
    fn the_order_of_a_seed_stays_the_same() {
        let dataset = numbered(10);
        let mut source = DatasetSource::new(&dataset, 0..10, 10, Order::Shuffled(727));
        assert_eq!(pass(&mut source, 0).1, [9, 1, 0, 5, 6, 8, 7, 3, 2, 4]);
    }
}
