//! The header: which tensor lies where.

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

impl Header {
    /// The bytes before the numbers: the length, and the header, with spaces up to a multiple of 8.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_string(self).expect("text and numbers only");
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// The header in `bytes` of a file that has `data_len` bytes behind it.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn decode(bytes: &[u8], data_len: u64) -> Result<Header, String> {
        let header: Header =
            serde_json::from_slice(bytes).map_err(|e| format!("the header is not that of safetensors ({e})"))?;
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
