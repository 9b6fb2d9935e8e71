//! Datasets as one binary file: rows of 32-bit words that are mapped into memory, with their vocabulary.
//!
//! Everything is little-endian. In order:
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `DLRMROWS` |
//! | 8–11 | version, `u32`: 1 |
//! | 12–15 | words a row, `u32`; 0 if rows differ in length |
//! | 16–23 | `N`, the number of rows, `u64` |
//! | 24–31 | where the row ends begin, `u64` (where the rows end) |
//! | 32–39 | where the vocabulary begins, `u64` |
//! | 40–47 | where the checksums begin, `u64` |
//! | 48–55 | where the header begins, `u64` |
//! | 56–59 | length of the header, `u32`; the file ends with it |
//! | 60–63 | CRC-32 of bytes 0–59, then of everything from the row ends to the end, `u32` |
//! | 64– | the rows, one after the other |
//! | | only if rows differ in length: the end of each row, `N × u64`, in words from the first row on |
//! | | the vocabulary, a [list of keys](Keys) for each categorical column |
//! | | CRC-32 of each 1 MiB of the rows, `u32` each; the last piece may be shorter |
//! | | the [`Header`] as TOML in UTF-8 |
//!
//! A row's words:
//!
//! | | |
//! |---|---|
//! | length of the row in words | only if rows differ in length |
//! | label | `f32` |
//! | dense columns | `i32` or `f32` each, not yet transformed |
//! | categorical columns | the number of an embedding row, `u32`; of a multi-hot column its length and then so many |
//!
//! Criteo's rows have 40 words. What a model sees of a number is in the header, as the transform of its column.

#[cfg(target_endian = "big")]
compile_error!("binary datasets are little-endian words, which are mapped as they are");

mod file;
mod header;
mod keys;
mod writer;

pub use file::RowFile;
pub use header::{Header, Source};
pub use keys::Keys;
pub(super) use keys::checksum;
pub use writer::RowWriter;

const MAGIC: &[u8; 8] = b"DLRMROWS";
const VERSION: u32 = 1;

/// Bytes before the rows.
pub(super) const PRELUDE: usize = 64;

/// Bytes of rows that share a checksum.
const BLOCK: usize = 1 << 20;
