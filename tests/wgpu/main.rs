//! The backend `Wgpu` beside the CPU's, operation by operation and as a whole.
//!
//! Where there is no adapter the tests say so and pass, unless the environment variable `DLRM_WGPU` is `required`. A
//! software adapter does half a GFLOP/s, so shapes are small.

mod adjust;
mod elementwise;
mod failures;
mod interaction;
mod learns;
mod linear;
mod loss;
mod models;
mod steps;
mod storage;
mod support;
mod training;
mod update_dense;
