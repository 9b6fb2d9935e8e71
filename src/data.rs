//! From bytes to batches (paper section 4): readers, datasets, sources of batches, and generated rows; how a cache fares
//! with their ids.

pub mod binary;
pub mod criteo;
pub mod formats;
pub mod locality;
pub mod preprocess;
pub mod random;
pub mod schema;
pub mod source;
pub mod table;
pub mod teacher;
pub mod trace;
pub mod zipf;
