//! Room that kernels use while they run, kept by the caller from call to call.

use crate::embedding_bag::segments::{Counters, MAX_PASSES};

/// Values of a cache line.
const ALIGN: usize = 16;

/// What the first growth makes at least: enough for the blocks of every matrix product, so that a
/// thread that meets larger ones later than others need not allocate then.
const MIN_LEN: usize = 160 * 1024;

/// A growing piece of memory for packed operands and the like. One a thread is enough: what a
/// kernel leaves in it means nothing to the next one.
#[derive(Debug, Default)]
pub struct Scratch {
    values: Vec<f32>,
    /// Rows with their bags, before and after a pass of a sort.
    pairs: [Vec<u64>; 2],
    /// Of the passes.
    counters: Vec<Counters>,
    /// The bag of each lookup.
    pub(crate) bag_of: Vec<u32>,
    /// Rows of bytes.
    bytes: Vec<u8>,
}

impl Scratch {
    /// No room yet; the first kernels that use it make it grow.
    pub const fn new() -> Scratch {
        let pairs = [Vec::new(), Vec::new()];
        Scratch { values: Vec::new(), pairs, counters: Vec::new(), bag_of: Vec::new(), bytes: Vec::new() }
    }

    /// Makes room now for the blocks of matrix products and for sorting up to `lookups` lookups: for a thread
    /// that may get its share of the work steps later than others.
    pub fn reserve(&mut self, lookups: usize) {
        let [] = self.rooms([]);
        self.sorting(lookups);
        self.bag_of.reserve(lookups.saturating_sub(self.bag_of.len()));
    }

    /// Counters for every pass, and twice `lookups` pairs; what they hold is unspecified.
    pub(crate) fn sorting(&mut self, lookups: usize) -> (&mut [Counters], [&mut [u64]; 2]) {
        self.counters.resize(MAX_PASSES, [0; _]);
        let pairs = self.pairs.each_mut().map(|pairs| {
            pairs.resize(pairs.len().max(lookups), 0);
            &mut pairs[..lookups]
        });
        (&mut self.counters, pairs)
    }

    /// `len` bytes; what they hold is unspecified.
    pub(crate) fn bytes(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        &mut self.bytes[..len]
    }

    /// Pieces of the given lengths, each from the start of a cache line; what they hold is
    /// unspecified.
    pub(crate) fn rooms<const N: usize>(&mut self, lens: [usize; N]) -> [&mut [f32]; N] {
        let needed = lens.iter().map(|len| len.next_multiple_of(ALIGN)).sum::<usize>() + ALIGN;
        if self.values.len() < needed {
            self.values.resize(needed.max(MIN_LEN), 0.0);
        }
        let start = self.values.as_ptr().align_offset(64).min(ALIGN);
        let mut rest = &mut self.values[start..];
        lens.map(|len| {
            let (room, more) = std::mem::take(&mut rest).split_at_mut(len.next_multiple_of(ALIGN));
            rest = more;
            &mut room[..len]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_aligned_and_apart() {
        let mut scratch = Scratch::new();
        for lens in [[3, 0, 17], [1000, 1, 16], [5, 5, 5]] {
            let rooms = scratch.rooms(lens);
            assert_eq!([rooms[0].len(), rooms[1].len(), rooms[2].len()], lens);
            for room in &rooms {
                assert_eq!(room.as_ptr().addr() % 64, 0);
            }
            for (i, room) in rooms.into_iter().enumerate() {
                room.fill(i as f32);
            }
            let rooms = scratch.rooms(lens);
            assert!(rooms.iter().enumerate().all(|(i, room)| room.iter().all(|&v| v == i as f32)));
        }
    }
}
