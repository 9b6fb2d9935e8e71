//! The deep learning recommendation model (Naumov et al. 2019, arXiv 1906.00091) from scratch.
#![forbid(unsafe_code)]

pub mod baseline;
pub mod batch;
pub mod data;
pub mod error;
pub mod jagged;
pub mod metrics;
pub mod optim;
pub mod random;

pub use batch::Batch;
pub use error::{Error, Result};
pub use jagged::JaggedTensor;
pub use random::Stream;
