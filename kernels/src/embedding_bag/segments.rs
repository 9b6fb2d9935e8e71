//! Which rows a batch looked up, and where: lookups sorted by row, in one reusable set of vectors.
//!
//! ```text
//! rows    = sorted, unique indices
//! segment r = the lookups of rows[r], ascending
//! ```
//!
//! A least-significant-digit radix sort of (row, lookup) pairs. It is stable, so that the order
//! inside a segment, and with it every bit of the sums, is fixed; its cost depends on the number of
//! lookups and on the digits of the largest row, never on the number of rows.

use super::Bags;

/// The lookups of a batch, grouped by row. Kept from step to step, it keeps its memory.
#[derive(Debug, Clone, Default)]
pub struct RowSegments {
    rows: Vec<u32>,
    starts: Vec<u32>,
    lookups: Vec<u32>,
    bags: Vec<u32>,
    num_bags: usize,
    first_lookup: usize,
    /// `row << 32 | lookup`, and the room that a sorting pass writes to.
    pairs: Vec<u64>,
    sorted: Vec<u64>,
    bag_of: Vec<u32>,
}

impl RowSegments {
    /// The rows that were looked up, ascending, each once.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Where each row's segment starts in [`lookups`](Self::lookups), and the end:
    /// `rows().len() + 1` entries.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Positions in `indices`, row after row, ascending within a row.
    pub fn lookups(&self) -> &[u32] {
        &self.lookups
    }

    /// The bag of each entry of [`lookups`](Self::lookups); the first bag handed in is 0.
    pub fn bags(&self) -> &[u32] {
        &self.bags
    }

    /// Whether these segments can have come from `bags` (same number of bags and lookups).
    pub(super) fn made_from(&self, bags: Bags) -> bool {
        let lookups = bags.lookups();
        (self.num_bags, self.first_lookup, self.lookups.len()) == (bags.num_bags(), lookups.start, lookups.len())
    }
}

/// Groups the lookups of `bags` by row into `segments`, whose memory is used again.
///
/// # Panics
/// If the bags are malformed.
pub fn coalesce(bags: Bags, segments: &mut RowSegments) {
    bags.check("coalesce");
    let range = bags.lookups();
    segments.num_bags = bags.num_bags();
    segments.first_lookup = range.start;
    segments.pairs.clear();
    let keys = bags.indices[range.clone()].iter().zip(range.clone());
    segments.pairs.extend(keys.map(|(&row, lookup)| u64::from(row) << 32 | lookup as u64));
    segments.bag_of.resize(range.len(), 0);
    for (b, bounds) in bags.offsets.windows(2).enumerate() {
        for bag_of in &mut segments.bag_of[bounds[0] as usize - range.start..bounds[1] as usize - range.start] {
            *bag_of = b as u32;
        }
    }
    sort_by_row(&mut segments.pairs, &mut segments.sorted);
    segments.split(range.start);
}

impl RowSegments {
    /// Cuts the sorted pairs into segments.
    fn split(&mut self, first_lookup: usize) {
        let n = self.pairs.len();
        for list in [&mut self.rows, &mut self.starts, &mut self.lookups, &mut self.bags] {
            list.resize(n + 1, 0);
        }
        let mut segments = 0;
        let mut last = None;
        for (at, ((&pair, to_lookup), to_bag)) in
            self.pairs.iter().zip(&mut self.lookups).zip(&mut self.bags).enumerate()
        {
            let (row, lookup) = ((pair >> 32) as u32, pair as u32);
            if last != Some(row) {
                (self.rows[segments], self.starts[segments]) = (row, at as u32);
                segments += 1;
                last = Some(row);
            }
            *to_lookup = lookup;
            *to_bag = self.bag_of[lookup as usize - first_lookup];
        }
        self.starts[segments] = n as u32;
        self.rows.truncate(segments);
        self.starts.truncate(segments + 1);
        self.lookups.truncate(n);
        self.bags.truncate(n);
    }
}

/// Sorts by the upper half, stably; the lower halves come in ascending.
fn sort_by_row(pairs: &mut Vec<u64>, sorted: &mut Vec<u64>) {
    let max = pairs.iter().max().map_or(0, |pair| (pair >> 32) as u32);
    let bits = u32::BITS - max.leading_zeros();
    // A pass also goes over its 2^digit counters: small batches sort faster by small digits.
    let widest = if pairs.len() < 1 << 10 { 8 } else { MAX_DIGIT };
    let passes = bits.div_ceil(widest).max(1);
    let digit = bits.div_ceil(passes);
    sorted.clear();
    sorted.resize(pairs.len(), 0);
    for pass in 0..passes {
        counting_pass(pairs, sorted, 32 + pass * digit, digit);
        std::mem::swap(pairs, sorted);
    }
}

/// Counters of 2^11 × 4 bytes stay in the L1 cache beside the write fronts.
const MAX_DIGIT: u32 = 11;

/// One stable pass: `to` is `from` ordered by the `digit` bits from `shift` on.
fn counting_pass(from: &[u64], to: &mut [u64], shift: u32, digit: u32) {
    let mask = (1 << digit) - 1;
    let mut counts = [0u32; 1 << MAX_DIGIT];
    for pair in from {
        counts[(pair >> shift) as usize & mask] += 1;
    }
    let mut start = 0;
    for count in &mut counts[..=mask] {
        start += std::mem::replace(count, start);
    }
    for &pair in from {
        let at = &mut counts[(pair >> shift) as usize & mask];
        to[*at as usize] = pair;
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lookups_by_row_in_order() {
        let cases: [(&[u32], &[u32]); 6] = [
            (&[], &[0]),
            (&[], &[0, 0, 0]),
            (&[5], &[0, 1]),
            (&[7, 3, 7, 7, 3, 0], &[0, 2, 2, 6]),
            (&[9, 9, 1, u32::MAX, 1 << 20, 1, 300, 9], &[1, 3, 7, 8]),
            (&[1 << 31, 0, 1 << 31, 255, 256, 255], &[0, 3, 6]),
        ];
        let mut segments = RowSegments::default();
        for (indices, offsets) in cases {
            let bags = Bags { indices, offsets, weights: None };
            coalesce(bags, &mut segments);
            check(bags, &segments);
        }
    }

    #[test]
    fn groups_a_large_batch() {
        let mut state = 1u64;
        let indices: Vec<u32> = (0..40_000)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as u32
            })
            .collect();
        let offsets: Vec<u32> = (0..=400).map(|b| b * 100).collect();
        let bags = Bags { indices: &indices, offsets: &offsets, weights: None };
        let mut segments = RowSegments::default();
        coalesce(bags, &mut segments);
        check(bags, &segments);
    }

    fn check(bags: Bags, segments: &RowSegments) {
        let mut expected: Vec<(u32, u32)> = bags.lookups().map(|i| (bags.indices[i], i as u32)).collect();
        expected.sort();
        let found = (0..segments.rows().len()).flat_map(|r| {
            let range = segments.starts()[r] as usize..segments.starts()[r + 1] as usize;
            segments.lookups()[range].iter().map(move |&lookup| (segments.rows()[r], lookup))
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert!(segments.rows().is_sorted_by(|a, b| a < b), "unique");
        for (&lookup, &bag) in segments.lookups().iter().zip(segments.bags()) {
            assert!((bags.offsets[bag as usize]..bags.offsets[bag as usize + 1]).contains(&lookup));
        }
    }
}
