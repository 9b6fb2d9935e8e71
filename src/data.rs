//! From bytes to batches: readers, datasets, sources of batches, and generated rows.

pub mod criteo;
pub mod random;
pub mod source;
pub mod teacher;
pub mod trace;
