//! Pooled lookup.

use crate::common::lookups::{BATCH, Ids, Lookups, TABLE};
use crate::common::{check, values};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use dlrm::Stream;
use dlrm::buffer::Buffer;
use dlrm_kernels::embedding_bag::{Bags, Pooling, embedding_bag};
use dlrm_kernels::{Isa, reference};
use std::cell::LazyCell;

/// One way of drawing ids for tables of one D.
struct Scenario<'a> {
    dim: usize,
    lookups: usize,
    ids: Ids,
    table: &'a LazyCell<Buffer>,
    /// Made when the first implementation needs it.
    lists: Option<Lookups>,
}

impl Scenario<'_> {
    /// Times `run` as `name`, after its answer was checked.
    fn time(
        &mut self,
        group: &mut BenchmarkGroup<WallTime>,
        name: &str,
        run: impl Fn(&[f32], usize, Bags, Pooling, &mut [f32], usize),
    ) {
        let Scenario { dim, lookups, ids, table, ref mut lists } = *self;
        let mut ready = None;
        group.bench_function(BenchmarkId::new(name, format!("D{dim}x{lookups}-{}", ids.name())), |bencher| {
            let table = table.as_slice();
            let lists = lists.get_or_insert_with(|| Lookups::new(ids, dim, lookups));
            let run = |bags: Bags, out: &mut [f32]| run(table, dim, bags, Pooling::Sum, out, dim);
            let out = ready.get_or_insert_with(|| {
                let (mut out, mut expected) = (Buffer::zeros(BATCH * dim), vec![0.0; BATCH * dim]);
                run(lists.list(0), out.as_mut_slice());
                reference::embedding_bag(table, dim, lists.list(0), Pooling::Sum, &mut expected, dim);
                check(name, out.as_slice(), &expected, 0.0);
                out
            });
            bencher.iter(|| run(lists.next(), out.as_mut_slice()));
        });
    }
}

pub fn forward(c: &mut Criterion) {
    let table: LazyCell<Buffer> = LazyCell::new(|| values(TABLE, &mut Stream::native(1)));
    let mut group = c.benchmark_group("embedding_bag/forward");
    for dim in [16, 32, 64, 128] {
        for lookups in [1, 100] {
            group.throughput(Throughput::Bytes((BATCH * lookups * dim * size_of::<f32>()) as u64));
            for ids in [Ids::Uniform, Ids::Zipf] {
                let mut scenario = Scenario { dim, lookups, ids, table: &table, lists: None };
                for isa in Isa::available() {
                    scenario.time(&mut group, isa.name(), |table, dim, bags, pooling, out, stride| {
                        embedding_bag(isa, table, dim, bags, pooling, out, stride);
                    });
                }
                scenario.time(&mut group, "plain-loop", reference::embedding_bag);
            }
        }
    }
    group.finish();
}
