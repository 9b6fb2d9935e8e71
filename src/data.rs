//! Where batches come from.

pub mod random;
