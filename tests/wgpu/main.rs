//! The backend `Wgpu` beside the CPU's, operation by operation and as a whole.
//!
//! Where there is no adapter the tests say so and pass, unless the environment variable `DLRM_WGPU` is `required`. A
//! software adapter does half a GFLOP/s, so shapes are small.
//!
//! With `--test wgpu` cargo builds no example, and those in `cli` need ones with the feature:
//! `cargo build --features wgpu --examples && cargo test --features wgpu --test wgpu`.

mod adjust;
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod counts;
mod elementwise;
mod embedding;
mod f16;
mod f16_tables;
mod failures;
mod interaction;
mod learns;
mod linear;
mod loss;
mod models;
mod profile;
mod steps;
mod storage;
mod support;
mod training;
mod update_dense;
mod update_tables;
