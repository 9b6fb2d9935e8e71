//! Bytes for each rank.

use bytemuck::Pod;

/// Bytes for each rank, or from each, one rank after the other in one piece of memory that stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Parts {
    /// Forgets the parts, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends to the part that is being written.
    pub fn extend<T: Pod>(&mut self, numbers: &[T]) {
        self.bytes.extend_from_slice(bytemuck::cast_slice(numbers));
    }

    /// Ends the part that is being written: what comes next is for the next rank.
    pub fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Part `r`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part(&self, r: usize) -> &[u8] {
        let start = r.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[r]]
    }

    /// All parts, one after the other.
    pub fn all(&self) -> &[u8] {
        &self.bytes
    }
}

/// The numbers that bytes of another rank are.
pub(crate) fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|&word| f32::from_ne_bytes(word))
}
