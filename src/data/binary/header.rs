//! What is known of a dataset beside its rows.

use super::{MAGIC, PRELUDE, VERSION};
use crate::data::schema::Schema;
use serde::{Deserialize, Serialize};

/// What is known of a dataset beside its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Rows of each day (or other part of the source), in order of time.
    pub days: Vec<u64>,
    /// Rows of each embedding table.
    pub num_embeddings: Vec<u64>,
    /// Whether row 0 of each table stands for ids that are not in the vocabulary.
    pub shared_row: bool,
    /// The least value of all dense columns, missing ones counted as 0.
    pub min_dense: f64,
    /// Where the rows came from.
    pub source: Source,
    /// The columns.
    pub schema: Schema,
}

/// Where rows came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The files, in order.
    pub files: Vec<String>,
    /// Bytes of each.
    pub bytes: Vec<u64>,
    /// What was asked for, as flags.
    pub options: String,
    /// Bad rows that were passed over.
    pub skipped: u64,
}

/// The first bytes of a file, but for the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prelude {
    /// Words a row, or 0.
    pub words: u32,
    pub rows: u64,
    pub ends_at: u64,
    pub keys_at: u64,
    pub sums_at: u64,
    pub header_at: u64,
    pub header_len: u32,
}

impl Prelude {
    /// Bytes 0–59.
    pub fn encode(&self) -> [u8; PRELUDE - 4] {
        let mut bytes = [0; PRELUDE - 4];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.words.to_le_bytes());
        let wide = [self.rows, self.ends_at, self.keys_at, self.sums_at, self.header_at];
        for (to, value) in bytes[16..56].chunks_exact_mut(8).zip(wide) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        bytes[56..].copy_from_slice(&self.header_len.to_le_bytes());
        bytes
    }

    /// From bytes 0–59.
    ///
    /// # Errors
    /// What is wrong and what was expected.
    pub fn decode(bytes: &[u8; PRELUDE - 4]) -> Result<Prelude, String> {
        if &bytes[..8] != MAGIC {
            return Err("not a binary dataset, expected it to begin with DLRMROWS".into());
        }
        let narrow = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let wide = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if narrow(8) != VERSION {
            return Err(format!("a binary dataset of version {}, expected {VERSION}", narrow(8)));
        }
        Ok(Prelude {
            words: narrow(12),
            rows: wide(16),
            ends_at: wide(24),
            keys_at: wide(32),
            sums_at: wide(40),
            header_at: wide(48),
            header_len: narrow(56),
        })
    }
}
