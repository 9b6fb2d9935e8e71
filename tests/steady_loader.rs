//! Batches in the steady state ask the allocator for nothing, on whichever thread they are made.

use dlrm::Batch;
use dlrm::data::source::{BatchSource, Order, Prefetch, RowSource};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Two passes, so that a new order is part of it; returns what was asked for in the second.
fn second_pass(source: &mut dyn BatchSource) -> (usize, usize) {
    let mut batch = Batch::default();
    let mut pass = |epoch| {
        source.start_epoch(epoch).unwrap();
        while source.next_batch(&mut batch).unwrap() {}
    };
    pass(0);
    let region = Region::new(ALLOCATOR);
    pass(1);
    let change = region.change();
    (change.allocations, change.reallocations)
}

/// One test, since the counters count for the whole process.
#[test]
fn no_allocation_after_the_first_pass() {
    let (dataset, _) = Teacher::new(1, TeacherConfig::small()).dataset(5000, 1).unwrap();
    for order in [Order::Shuffled(1), Order::ShuffledByDay(1)] {
        let source = || RowSource::new(&dataset, 0..4000, 64, order);
        assert_eq!(second_pass(&mut source()), (0, 0), "{order:?}");
        let ahead = Prefetch::run(source(), 3, |source| second_pass(source));
        assert_eq!(ahead, (0, 0), "{order:?}, made ahead");
    }
}
