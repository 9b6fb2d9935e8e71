//! That reading ahead changes nothing but the time.

use super::super::RowSource;
use super::super::rows::tests::numbered;
use super::*;
use crate::data::source;
use crate::error::Error;

/// All that a source says, over two passes and a jump back.
fn told(source: &mut dyn BatchSource) -> Vec<(Batch, Position)> {
    let mut told = Vec::new();
    for start in [Position::default(), Position { pass: 1, rows: 0 }, Position { pass: 0, rows: 13 }] {
        source.seek(start).unwrap();
        // Once more than there are batches: the end stays the end.
        for _ in 0..17 {
            let mut batch = Batch::default();
            source.next_batch(&mut batch).unwrap();
            told.push((batch, source.position()));
        }
    }
    told
}

#[test]
fn batches_and_positions_are_those_of_the_source() {
    let dataset = numbered(100);
    let source = || RowSource::new(&dataset, 3..98, 7, source::Order::Shuffled(5));
    let expected = told(&mut source());
    for ahead in [1, 2, 5, 40] {
        Prefetch::run(source(), ahead, |source| {
            assert_eq!(source.rows(), 95);
            assert_eq!(told(source), expected, "{ahead} ahead");
        });
    }
}

#[test]
fn a_pass_may_be_left_at_any_batch() {
    let dataset = numbered(50);
    let source = || RowSource::new(&dataset, 0..50, 4, source::Order::Shuffled(1));
    let mut expected = Batch::default();
    source().next_batch(&mut expected).unwrap();
    Prefetch::run(source(), 3, |source| {
        for batches in 0..6 {
            let mut batch = Batch::default();
            (0..batches).for_each(|_| assert!(source.next_batch(&mut batch).unwrap()));
            source.start_epoch(0).unwrap();
            source.next_batch(&mut batch).unwrap();
            assert_eq!(batch, expected, "after {batches} batches");
            source.start_epoch(0).unwrap();
        }
    });
}

#[test]
fn a_seek_that_fails_changes_nothing() {
    let dataset = numbered(50);
    let source = || RowSource::new(&dataset, 0..50, 4, source::Order::Shuffled(1));
    let (mut plain, mut expected) = (source(), Batch::default());
    (0..3).for_each(|_| drop(plain.next_batch(&mut expected)));
    Prefetch::run(source(), 3, |source| {
        let mut batch = Batch::default();
        (0..2).for_each(|_| drop(source.next_batch(&mut batch)));
        let error = source.seek(Position { pass: 0, rows: 51 }).unwrap_err().to_string();
        assert_eq!(error, "51 rows into a pass, but a pass over these has 50");
        assert_eq!(source.position(), Position { pass: 0, rows: 8 });
        source.next_batch(&mut batch).unwrap();
        assert_eq!(batch, expected);
    });
}

/// Every third batch is an error that says which.
struct Faulty(u64);

impl BatchSource for Faulty {
    fn rows(&self) -> usize {
        100
    }

    fn position(&self) -> Position {
        Position { pass: 0, rows: self.0 }
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.0 = position.rows;
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        self.0 += 1;
        batch.clear(0, 0);
        batch.labels.push(self.0 as f32);
        if self.0.is_multiple_of(3) { Err(Error::Batch(format!("number {}", self.0))) } else { Ok(true) }
    }
}

#[test]
fn errors_come_in_their_order() {
    Prefetch::run(Faulty(0), 4, |source| {
        let mut batch = Batch::default();
        for i in 1..=20 {
            match source.next_batch(&mut batch) {
                Ok(more) => assert!(more && i % 3 != 0 && batch.labels == [i as f32]),
                Err(e) => assert_eq!((i % 3, e.to_string()), (0, format!("batch: number {i}"))),
            }
            assert_eq!(source.position().rows, i);
        }
    });
}

#[test]
fn waiting_is_measured() {
    let dataset = numbered(50);
    let mut source = RowSource::new(&dataset, 0..50, 4, source::Order::InOrder);
    assert_eq!(source.waited(), Duration::ZERO);
    source.next_batch(&mut Batch::default()).unwrap();
    assert_eq!(source.waited(), Duration::ZERO);
    Prefetch::run(source, 1, |source| {
        assert_eq!(source.waited(), Duration::ZERO);
        source.next_batch(&mut Batch::default()).unwrap();
        assert!(source.waited() > Duration::ZERO);
    });
}

#[test]
#[should_panic(expected = "given up")]
fn a_caller_that_panics_ends_the_thread() {
    Prefetch::run(Faulty(0), 2, |source| {
        source.next_batch(&mut Batch::default()).unwrap();
        panic!("given up");
    })
}

/// Cannot go on after two batches.
struct Broken(Faulty);

impl BatchSource for Broken {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn position(&self) -> Position {
        self.0.position()
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.0.seek(position)
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        assert!(self.0.0 < 2, "broken");
        self.0.next_batch(batch)
    }
}

#[test]
fn a_source_that_panics_leaves_nobody_waiting() {
    let run =
        || Prefetch::run(Broken(Faulty(0)), 2, |source| while source.next_batch(&mut Batch::default()).is_ok() {});
    assert!(std::panic::catch_unwind(run).is_err());
}
