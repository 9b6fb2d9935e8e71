//! Probes: the smallest loops that meet one limit of the machine each, to say how near to it the
//! kernels come.
//!
//! | probe | what it does | limit |
//! |---|---|---|
//! | [`multiply_adds`] | `f32` multiply-adds that never leave the registers | peak of the GEMMs |
//! | [`dot_products_bf16`] | the same with pairs of bf16, where the processor has them | peak with bf16 weights |
//! | [`read`] | sums a slice from front to back | sequential reading |
//! | [`write()`] | fills a slice past the caches | sequential writing |
//! | [`read_rows`] | sums rows of a table in random order | embedding lookup |
//! | [`update_rows`] | changes rows of a table in random order | sparse optimizer step |
//!
//! Each has an answer that depends on all its work, so that none of it can be left out, and that
//! the tests compare with a plain loop. None of them takes the time, or knows of threads.

mod arithmetic;
mod memory;
mod rows;

pub use arithmetic::{Arithmetic, dot_products_bf16, multiply_adds};
pub use memory::{read, write};
pub use rows::{RowList, read_rows, update_rows};
