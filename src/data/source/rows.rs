//! Rows to batches.

use super::order::Plan;
use super::{BatchSource, Order, Position, Samples};
use crate::batch::Batch;
use crate::comm::share;
use crate::error::{Error, Result};
use std::ops::Range;

/// Batches of some rows of [`Samples`].
///
/// A batch has the next rows of the [`Order`], and has them as they stand in the samples: of a file that is
/// larger than memory they are read from front to back. The last batch of a pass has what is left over.
#[derive(Debug)]
pub struct RowSource<'a, S: ?Sized> {
    samples: &'a S,
    rows: Range<usize>,
    batch_size: usize,
    plan: Plan,
    position: Position,
    /// The rows of the batch in hand.
    chosen: Vec<u64>,
    /// Of which this rank of so many has its share.
    rank: [usize; 2],
}

impl<'a, S: Samples + ?Sized> RowSource<'a, S> {
    /// Batches of `batch_size` of the `rows` of `samples`, at the start of pass 0.
    ///
    /// # Panics
    /// If `batch_size` is 0, or if `rows` are not all there.
    pub fn new(samples: &'a S, rows: Range<usize>, batch_size: usize, order: Order) -> Self {
        assert!(batch_size > 0, "RowSource: batches of 0 rows");
        assert!(rows.end as u64 <= samples.rows(), "RowSource: rows {rows:?} of {}", samples.rows());
        let plan = Plan::new(order, rows.start as u64..rows.end as u64, &samples.days());
        let (position, chosen) = (Position::default(), Vec::new());
        RowSource { samples, rows, batch_size, plan, position, chosen, rank: [0, 1] }
    }

    /// The same batches, of each of which only rank `rank`'s [share](crate::comm::Communicator::share) of `size` is read:
    /// all ranks' shares, in their order, are the batch. Rows and positions are counted over all ranks.
    ///
    /// # Panics
    /// If there is no such rank.
    #[must_use]
    pub fn share(self, rank: usize, size: usize) -> Self {
        assert!(rank < size, "RowSource: rank {rank} of {size}");
        RowSource { rank: [rank, size], ..self }
    }
}

impl<S: Samples + ?Sized> BatchSource for RowSource<'_, S> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn position(&self) -> Position {
        self.position
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        if position.rows > self.rows.len() as u64 {
            let (at, rows) = (position.rows, self.rows.len());
            return Err(Error::Config(format!("{at} rows into a pass, but a pass over these has {rows}")));
        }
        self.position = position;
        self.plan.start(position.pass);
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        let start = self.position.rows;
        let end = (self.rows.len() as u64).min(start + self.batch_size as u64);
        self.chosen.clear();
        self.chosen.extend((start..end).map(|place| self.plan.row(place)));
        self.chosen.sort_unstable();
        let [rank, size] = self.rank;
        self.samples.fill(&self.chosen[share(self.chosen.len(), size, rank)], batch)?;
        self.position.rows = end;
        Ok(start < end)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::binary::RowFile;
    use crate::data::criteo::{DENSE_FEATURES, Dataset, DatasetBuilder, Row, SPARSE_FEATURES};
    use crate::data::preprocess::{Options, preprocess};
    use std::path::Path;

    /// Row `i` has `i` in every integer.
    pub fn numbered(rows: usize) -> Dataset {
        let mut builder = DatasetBuilder::default();
        for i in 0..rows {
            builder.push(Row { label: Some(0), ints: [i as i32; DENSE_FEATURES], ids: [i as u32; SPARSE_FEATURES] });
        }
        builder.finish(1, Path::new("rows")).unwrap()
    }

    /// The batches that are left of a pass.
    fn rest(source: &mut dyn BatchSource) -> Vec<Batch> {
        let (mut batches, mut batch) = (Vec::new(), Batch::default());
        while source.next_batch(&mut batch).unwrap() {
            batches.push(batch.clone());
        }
        assert!(batch.is_empty() && !source.next_batch(&mut batch).unwrap());
        batches
    }

    fn row_numbers(batch: &Batch) -> Vec<u32> {
        (0..batch.len()).map(|b| batch.sparse[3].bag(b)[0]).collect()
    }

    /// The sizes of all batches of a pass, and its rows in order.
    fn pass<S: Samples>(source: &mut RowSource<S>, epoch: u64) -> (Vec<usize>, Vec<u32>) {
        source.start_epoch(epoch).unwrap();
        let batches = rest(source);
        for batch in &batches {
            batch.check(DENSE_FEATURES, [1000; SPARSE_FEATURES].into_iter()).unwrap();
            for (dense, row) in batch.dense.chunks(DENSE_FEATURES).zip(row_numbers(batch)) {
                assert_eq!(dense, [(row as f32 + 1.0).ln(); DENSE_FEATURES]);
            }
        }
        (batches.iter().map(Batch::len).collect(), batches.iter().flat_map(row_numbers).collect())
    }

    #[test]
    fn in_order_every_row_comes_once_and_the_last_batch_is_short() {
        let dataset = numbered(50);
        for (rows, batch_size, expected) in
            [(0..50, 20, vec![20, 20, 10]), (0..40, 20, vec![20, 20]), (7..12, 100, vec![5]), (50..50, 3, vec![])]
        {
            let mut source = RowSource::new(&dataset, rows.clone(), batch_size, Order::InOrder);
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
        for order in [0, 1, 2].into_iter().flat_map(|seed| [Order::Shuffled(seed), Order::ShuffledByDay(seed)]) {
            let mut source = RowSource::new(&dataset, 100..457, 32, order);
            for epoch in [0, 1, 2] {
                let (_, rows) = pass(&mut source, epoch);
                let mut sorted = rows.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (100..457).collect::<Vec<_>>());
                assert!(!orders.contains(&rows), "{order:?}, pass {epoch}: an order seen before");
                orders.push(rows);
            }
            assert_eq!(pass(&mut source, 1).1, orders[orders.len() - 2], "a pass does not depend on those before it");
        }
    }

    #[test]
    fn the_order_of_a_seed_stays_the_same() {
        let dataset = numbered(10);
        let mut source = RowSource::new(&dataset, 0..10, 1, Order::Shuffled(727));
        assert_eq!(pass(&mut source, 0).1, [5, 7, 8, 9, 3, 0, 2, 6, 4, 1]);
    }

    #[test]
    fn shares_of_ranks_are_the_batch() {
        let dataset = numbered(103);
        let source = || RowSource::new(&dataset, 1..103, 20, Order::Shuffled(3));
        for size in [1, 2, 3, 8, 30] {
            let (mut whole, mut expected) = (source(), Batch::default());
            let mut ranks: Vec<_> = (0..size).map(|rank| source().share(rank, size)).collect();
            while whole.next_batch(&mut expected).unwrap() {
                let mut rows = Vec::new();
                for rank in &mut ranks {
                    let mut batch = Batch::default();
                    assert!(rank.next_batch(&mut batch).unwrap(), "a batch without a sample for this rank is one too");
                    assert_eq!((rank.position(), rank.rows()), (whole.position(), 102));
                    rows.extend(row_numbers(&batch));
                }
                assert_eq!(rows, row_numbers(&expected));
            }
            assert!(ranks.iter_mut().all(|rank| !rank.next_batch(&mut expected).unwrap()));
        }
    }

    #[test]
    fn rows_of_a_batch_are_gathered_from_front_to_back() {
        let dataset = numbered(300);
        let mut source = RowSource::new(&dataset, 0..300, 50, Order::Shuffled(2));
        assert!(rest(&mut source).iter().all(|batch| row_numbers(batch).is_sorted()));
    }

    #[test]
    fn a_position_is_where_to_go_on() {
        let dataset = numbered(100);
        for order in [Order::InOrder, Order::Shuffled(4), Order::ShuffledByDay(4)] {
            let source = || RowSource::new(&dataset, 5..95, 7, order);
            let (mut first, mut batch) = (source(), Batch::default());
            first.start_epoch(3).unwrap();
            loop {
                let saved = serde_json::to_string(&first.position()).unwrap();
                let mut second = source();
                second.seek(serde_json::from_str(&saved).unwrap()).unwrap();
                assert_eq!(second.position(), first.position());
                let expected = rest(&mut first);
                assert_eq!(rest(&mut second), expected, "{order:?} from {saved}");
                first.seek(serde_json::from_str(&saved).unwrap()).unwrap();
                if !first.next_batch(&mut batch).unwrap() {
                    break;
                }
            }
        }
    }

    #[test]
    fn rows_of_a_file_come_as_those_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let [text, binary] = ["rows.tsv", "rows.tsv.rows"].map(|name| folder.path().join(name));
        let teacher = crate::data::teacher::Teacher::new(3, crate::data::teacher::TeacherConfig::small());
        let lines: Vec<u8> = teacher.blocks(1000, |block| block.text).flatten().collect();
        std::fs::write(&text, lines).unwrap();
        preprocess(&Options::new(vec![text.clone()], binary.clone()), &mut |_| ()).unwrap();
        let file = RowFile::open(&binary).unwrap();
        let dataset = Dataset::read(&[&text], 1, crate::data::criteo::BadRows::Stop).unwrap();
        assert_eq!(Samples::vocabulary_checksum(&file), Samples::vocabulary_checksum(&dataset));
        let rows = dataset.split().train();
        for order in [Order::InOrder, Order::Shuffled(9), Order::ShuffledByDay(9)] {
            let mut from_file = RowSource::new(&file, rows.clone(), 64, order);
            let mut from_memory = RowSource::new(&dataset, rows.clone(), 64, order);
            for epoch in [0, 1] {
                from_file.start_epoch(epoch).unwrap();
                from_memory.start_epoch(epoch).unwrap();
                let batches = rest(&mut from_file);
                assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), rows.len());
                assert_eq!(batches, rest(&mut from_memory), "{order:?}, pass {epoch}");
            }
        }
    }
}
