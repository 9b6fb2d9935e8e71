//! Pooled lookup, sorting lookups by row, and the backward pass with its update: the kernels on one thread
//! and one table of 512 MiB, on every instruction set and in plain loops; and whole collections of tables on
//! two threads, as the backend shares them out.
//!
//! Bytes are those of the rows that are looked up, each time anew: D × 4 a lookup, whether it is read or
//! read and written. A scenario is called after D, the lookups a bag, and how ids are drawn; the backend's
//! has the number of tables in front. The batch is 2048.

mod backend;
mod backward;
#[path = "../common/mod.rs"]
mod common;
mod forward;

use criterion::{criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = forward::forward, backward::coalescing, backward::updates, backend::backend
}
criterion_main!(benches);
