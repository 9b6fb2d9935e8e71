//! The way back: lookups sorted by row, and the update of the rows.

use crate::common::lookups::{BATCH, Ids, Lookups};
use crate::common::update::{Rule, scenario};
use criterion::{BenchmarkId, Criterion, Throughput};
use dlrm_kernels::embedding_bag::{Bags, Pooling, RowSegments, coalesce};
use dlrm_kernels::{Isa, Scratch};

const IDS: [Ids; 3] = [Ids::Uniform, Ids::Zipf, Ids::Same];

/// [`coalesce`] beside the standard library's stable sort, which leaves the lookups in a permutation.
/// Elements are lookups.
pub fn coalescing(c: &mut Criterion) {
    let mut group = c.benchmark_group("embedding_bag/coalesce");
    for (lookups, ids) in [1, 100].into_iter().flat_map(|lookups| IDS.map(|ids| (lookups, ids))) {
        group.throughput(Throughput::Elements((BATCH * lookups) as u64));
        let scenario = format!("x{lookups}-{}", ids.name());
        let mut lists = None;
        for isa in Isa::available() {
            let (mut segments, mut scratch, mut checked) = (RowSegments::default(), Scratch::new(), false);
            group.bench_function(BenchmarkId::new(isa.name(), &scenario), |bencher| {
                let lists = lists.get_or_insert_with(|| Lookups::new(ids, 16, lookups));
                if !std::mem::replace(&mut checked, true) {
                    coalesce(isa, lists.list(0), Pooling::Sum, &mut segments, &mut scratch);
                    check_rows(&segments, lists.list(0));
                }
                bencher.iter(|| coalesce(isa, lists.next(), Pooling::Sum, &mut segments, &mut scratch));
            });
        }
        let mut order = Vec::new();
        group.bench_function(BenchmarkId::new("sort_by_key", &scenario), |bencher| {
            let lists = lists.get_or_insert_with(|| Lookups::new(ids, 16, lookups));
            bencher.iter(|| {
                let bags = lists.next();
                order.clear();
                order.extend(bags.lookups());
                order.sort_by_key(|&i| bags.indices[i]);
            });
        });
    }
    group.finish();
}

fn check_rows(segments: &RowSegments, bags: Bags) {
    let mut rows = bags.indices[bags.lookups()].to_vec();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(segments.rows(), rows, "coalesce");
}

pub fn updates(c: &mut Criterion) {
    let mut table = None;
    for rule in [Rule::Sgd, Rule::RowwiseAdagrad] {
        let mut group = c.benchmark_group(format!("embedding_bag/{}", rule.name()));
        for (dim, lookups) in [(16, 1), (128, 1), (64, 100)] {
            group.throughput(Throughput::Bytes((BATCH * lookups * dim * size_of::<f32>()) as u64));
            for ids in IDS {
                let name = format!("D{dim}x{lookups}-{}", ids.name());
                scenario(&mut group, &name, rule, &mut table, (dim, lookups, ids));
            }
        }
        group.finish();
    }
}
