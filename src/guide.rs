//! The companion of the paper (Naumov et al. 2019, arXiv 1906.00091): chapters to be read beside it, in order, and pages
//! about the whole, where the modules' own pages are about parts. The paper ends with the wish for a detailed and accessible
//! description (section 6); this is one.
//!
//! Each chapter is short, and has a program with numbers small enough to check by hand.
//!
//! 1. [A tape in 60 lines](ch01_tape): reverse-mode differentiation, whole, and what this crate's tape does differently
//! 2. [The linear layer](ch02_linear): forward and backward, derived index by index
//! 3. [Embedding bags](ch03_embedding_bags): lookups as sparse matrix products, and why their gradient is sparse
//! 4. [The interaction](ch04_interaction) and factorization machines
//! 5. [The whole model](ch05_whole_model) on a batch of two rows, every number shown
//! 6. [Optimizers on sparse rows](ch06_sparse_optimizers): when rows without a gradient may be left alone
//! 7. [From loop to kernel](ch07_gemm): a matrix product in five loops, each step measured
//! 8. [Gathers, pages and prefetch](ch08_gathers): what a random row costs
//! 9. [Parallelism](ch09_parallelism): tables in parts, samples in parts, and the bytes between them
//! 10. [Evaluating a click model](ch10_evaluation): log loss, AUC, calibration, by hand
//!
//! Further pages:
//!
//! - [A map of the paper](paper_map): what of it is where, and [where we differ](where_we_differ), and why
//! - [Where the time of a step goes](where_the_time_goes), operation by operation, beside the machine's limits
//! - [Fewer bits a number](fewer_bits): what they cost and save
//! - [Several ranks](ranks): how to run them, what a step on them costs, and what it would cost on many machines
//! - [On a GPU](gpu): how to compute there, and how it works
//! - [On real rows](real_rows): what models and recipes make of them
//! - [What has the same bits where](determinism), and why the rest has not
//! - [The reference's flags](reference_flags), and where each is here
//! - [Unsafe code](safety), and what is done to break it

#[doc = include_str!("guide/01_tape.md")]
pub mod ch01_tape {}

#[doc = include_str!("guide/02_linear.md")]
pub mod ch02_linear {}

#[doc = include_str!("guide/03_embedding_bags.md")]
pub mod ch03_embedding_bags {}

#[doc = include_str!("guide/04_interaction.md")]
pub mod ch04_interaction {}

#[doc = include_str!("guide/05_whole_model.md")]
pub mod ch05_whole_model {}

#[doc = include_str!("guide/06_sparse_optimizers.md")]
pub mod ch06_sparse_optimizers {}

#[doc = include_str!("guide/07_gemm.md")]
pub mod ch07_gemm {}

#[doc = include_str!("guide/08_gathers.md")]
pub mod ch08_gathers {}

#[doc = include_str!("guide/09_parallelism.md")]
pub mod ch09_parallelism {}

#[doc = include_str!("guide/10_evaluation.md")]
pub mod ch10_evaluation {}

#[doc = include_str!("guide/determinism.md")]
pub mod determinism {}

#[doc = include_str!("guide/fewer_bits.md")]
pub mod fewer_bits {}

#[doc = include_str!("guide/gpu.md")]
pub mod gpu {}

#[doc = include_str!("guide/paper_map.md")]
pub mod paper_map {}

#[doc = include_str!("guide/ranks.md")]
pub mod ranks {}

#[doc = include_str!("guide/where_the_time_goes.md")]
pub mod where_the_time_goes {}

#[doc = include_str!("guide/real_rows.md")]
pub mod real_rows {}

#[doc = include_str!("guide/reference_flags.md")]
pub mod reference_flags {}

#[doc = include_str!("guide/running.md")]
pub mod running {}

#[doc = include_str!("guide/safety.md")]
pub mod safety {}

#[doc = include_str!("guide/where_we_differ.md")]
pub mod where_we_differ {}
