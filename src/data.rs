//! From bytes to batches: readers, datasets, sources of batches, and generated rows.

pub mod binary;
pub mod criteo;
pub mod formats;
pub mod preprocess;
pub mod random;
pub mod schema;
pub mod source;
pub mod teacher;
pub mod trace;
