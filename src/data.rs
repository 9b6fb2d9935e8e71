//! Where batches come from.

pub mod random;
pub mod trace;
