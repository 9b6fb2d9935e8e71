//! The header: which tensor lies where.

use super::{CRC_PREFIX, crc_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A longer header is none, as for other readers.
pub(super) const MAX_LEN: u64 = 100_000_000;

/// What the header says, in the order of names, so that the same model makes the same bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Header {
    #[serde(rename = "__metadata__", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    pub tensors: BTreeMap<String, Entry>,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub dtype: String,
    pub shape: Vec<u64>,
    /// First byte and the one after the last, from the end of the header on.
    pub data_offsets: [u64; 2],
}

/// The one type of numbers that there is here.
const DTYPE: &str = "F32";

impl Entry {
    /// A tensor of this shape that begins at `start`.
    pub fn at(start: u64, shape: Vec<u64>) -> Entry {
        let len = 4 * shape.iter().product::<u64>();
        Entry { dtype: DTYPE.into(), shape, data_offsets: [start, start + len] }
    }
}

/// The metadatum that is a checksum of the header itself: of its JSON and the spaces after it, with eight zeros in the
/// place of the checksum's digits.
const SEAL: &str = "header";

/// Where the digits of that checksum stand. (Within a text the quotes would have a backslash before them.)
fn seal_at(header: &[u8]) -> Option<usize> {
    let key = format!("\"{SEAL}\":\"{CRC_PREFIX}");
    header.windows(key.len()).position(|bytes| bytes == key.as_bytes()).map(|at| at + key.len())
}

impl Header {
    /// The bytes before the numbers: the length, and the header, with spaces up to a multiple of 8.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_string(self).expect("text and numbers only");
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// The same with a checksum of the header in the metadata.
    pub fn sealed(&mut self) -> Vec<u8> {
        self.metadata.insert(SEAL.into(), crc_text(0));
        let mut bytes = self.encode();
        let sum = crc32fast::hash(&bytes[8..]);
        let digits = 8 + seal_at(&bytes[8..]).expect("it was just inserted");
        bytes[digits..digits + 8].copy_from_slice(&crc_text(sum).as_bytes()[CRC_PREFIX.len()..]);
        bytes
    }

    /// The header in `bytes` of a file that has `data_len` bytes behind it.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn decode(bytes: &mut [u8], data_len: u64) -> Result<Header, String> {
        let header: Header =
            serde_json::from_slice(bytes).map_err(|e| format!("the header is not that of safetensors ({e})"))?;
        if let Some(sum) = header.metadata.get(SEAL) {
            let digits = seal_at(bytes).map(|at| at..(at + 8).min(bytes.len()));
            digits.into_iter().for_each(|digits| bytes[digits].fill(b'0'));
            if *sum != crc_text(crc32fast::hash(bytes)) {
                return Err("its header is not that of the checksum in it: it is damaged".into());
            }
        }
        for (name, entry) in &header.tensors {
            entry.check(name)?;
        }
        let mut end = 0;
        for (name, Entry { data_offsets: [from, to], .. }) in header.in_order() {
            if *from != end {
                return Err(format!("tensor {name} begins at byte {from}, expected {end}, where the one before ends"));
            }
            end = *to;
        }
        match end {
            _ if end > data_len => Err(format!("cut short: {data_len} bytes after the header, the tensors have {end}")),
            _ if end < data_len => Err(format!("{} bytes after the last tensor, expected the end", data_len - end)),
            _ => Ok(header),
        }
    }

    /// Whether there is a checksum of the header, which then it has.
    pub fn is_sealed(&self) -> bool {
        self.metadata.contains_key(SEAL)
    }

    /// The tensors as they lie in the file.
    pub fn in_order(&self) -> Vec<(&String, &Entry)> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        tensors
    }
}

impl Entry {
    fn check(&self, name: &str) -> Result<(), String> {
        let Entry { dtype, shape, data_offsets: [from, to] } = self;
        if dtype != DTYPE {
            return Err(format!("tensor {name} is of {dtype}, expected {DTYPE}"));
        }
        let bytes = shape.iter().try_fold(4u64, |bytes, &n| bytes.checked_mul(n));
        if bytes.is_none() || to.checked_sub(*from) != bytes {
            return Err(format!("tensor {name} of shape {shape:?} lies from byte {from} to {to}, which does not fit"));
        }
        Ok(())
    }
}
