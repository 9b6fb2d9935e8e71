//! A vocabulary as bytes.

use super::Header;
use crate::data::schema::Transform;
use crc32fast::Hasher;

/// The keys of a categorical column in order of their embedding rows, without the shared row.
///
/// As bytes: the kind (`u8`), the number of keys (`u64`), and then nothing (kind 0), a `u32` a key (kind
/// 1), or the end of each key (`u64`, in bytes from the first key on) and the keys in UTF-8 (kind 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// There is no vocabulary: ids are hashes, or came as they are.
    None,
    /// Numbers, such as Criteo's 8 hexadecimal digits.
    Numbers(Vec<u32>),
    /// Words.
    Words(Vec<String>),
}

impl Keys {
    /// Appends the keys.
    pub(in crate::data) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Keys::None => out.extend_from_slice(&[0; 9]),
            Keys::Numbers(numbers) => {
                out.push(1);
                out.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
                out.extend_from_slice(bytemuck::cast_slice(numbers));
            }
            Keys::Words(words) => {
                out.push(2);
                out.extend_from_slice(&(words.len() as u64).to_le_bytes());
                let ends = words.iter().scan(0u64, |end, word| {
                    *end += word.len() as u64;
                    Some(*end)
                });
                ends.for_each(|end| out.extend_from_slice(&end.to_le_bytes()));
                words.iter().for_each(|word| out.extend_from_slice(word.as_bytes()));
            }
        }
    }

    /// How many of the first of these bytes are a vocabulary; `None` if they are none.
    pub(super) fn encoded_len(bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        let kind = *rest.split_off_first()?;
        let count = take_u64(&mut rest)?;
        match kind {
            0 if count == 0 => {}
            1 => drop(take(&mut rest, count.checked_mul(4)?)?),
            2 => {
                let ends = take(&mut rest, count.checked_mul(8)?)?.as_chunks().0;
                take(&mut rest, ends.last().map_or(0, |end| u64::from_le_bytes(*end)))?;
            }
            _ => return None,
        }
        Some(bytes.len() - rest.len())
    }

    /// Takes keys off the front of `bytes`; `None` if that is not what lies there.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Keys> {
        let kind = *bytes.split_off_first()?;
        let count = take_u64(bytes)?;
        Some(match kind {
            0 if count == 0 => Keys::None,
            1 => Keys::Numbers(
                take(bytes, count.checked_mul(4)?)?.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect(),
            ),
            2 => {
                let ends = take(bytes, count.checked_mul(8)?)?.as_chunks().0;
                let text = take(bytes, ends.last().map_or(0, |end| u64::from_le_bytes(*end)))?;
                let mut start = 0;
                let mut word = |end: &[u8; 8]| {
                    let end = usize::try_from(u64::from_le_bytes(*end)).ok()?;
                    let word = std::str::from_utf8(text.get(start..end)?).ok()?.to_owned();
                    start = end;
                    Some(word)
                };
                Keys::Words(ends.iter().map(&mut word).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

/// CRC-32 of all that decides which numbers a model sees for what stands in a row: the columns, what their transforms
/// depend on, and the vocabulary, given as the bytes of each column's keys. Days and files do not matter.
pub(in crate::data) fn checksum<K: AsRef<[u8]>>(header: &Header, keys: impl Iterator<Item = K>) -> u32 {
    let mut sum = Hasher::new();
    let schema = toml::to_string(&header.schema).expect("names and numbers only");
    sum.update(schema.as_bytes());
    sum.update(&[u8::from(header.shared_row)]);
    header.num_embeddings.iter().for_each(|rows| sum.update(&rows.to_le_bytes()));
    if header.schema.dense.iter().any(|column| column.transform == Transform::LogShifted) {
        sum.update(&header.min_dense.to_le_bytes());
    }
    keys.for_each(|keys| sum.update(keys.as_ref()));
    sum.finalize()
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    bytes.split_off(..usize::try_from(len).ok()?)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*take(bytes, 8)?.first_chunk()?))
}
