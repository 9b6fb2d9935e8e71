//! Which rows a batch looked up, and from which bags: lookups sorted by row, in one reusable set of
//! vectors.
//!
//! ```text
//! rows      = sorted, unique indices
//! segment r = the bags that looked rows[r] up, in the order of the lookups
//! ```
//!
//! As a matrix that is `A` of the paper's equation (2), num_embeddings × B, by its nonzero rows: with
//! `S = AᵀW` going forward, the gradient is `dW = A · dS`.
//!
//! A least-significant-digit radix sort of (row, bag) pairs. It is stable, so that the order
//! inside a segment, and with it every bit of the sums, is fixed; its cost depends on the number of
//! lookups and on the digits of the largest row, never on the number of rows. The first pass makes the
//! pairs on the way: as a list of their own they took a quarter of the time.

use super::{Bags, Pooling};
use crate::scratch::Scratch;

/// The lookups of a batch, grouped by row. Kept from step to step, it keeps its memory.
#[derive(Debug, Clone, Default)]
pub struct RowSegments {
    rows: Vec<u32>,
    starts: Vec<u32>,
    bags: Vec<u32>,
    coefficients: Vec<f32>,
    num_bags: usize,
}

impl RowSegments {
    /// The rows that were looked up, ascending, each once.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Where each row's segment starts in [`bags`](Self::bags), and the end: `rows().len() + 1`
    /// entries, or none if nothing was coalesced yet.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The bag of each lookup, row after row; the first bag handed in is 0.
    pub fn bags(&self) -> &[u32] {
        &self.bags
    }

    /// What a bag's gradient is multiplied with on its way to the row, for each entry of
    /// [`bags`](Self::bags): the lookup's weight, for the mean divided by the bag's number of
    /// lookups. Empty if all are 1.
    pub fn coefficients(&self) -> &[f32] {
        &self.coefficients
    }

    /// B: every entry of [`bags`](Self::bags) is below it.
    pub fn num_bags(&self) -> usize {
        self.num_bags
    }

    /// Becomes the rows `rows`, each looked up by a bag of its own: bag `r` holds row `rows[r]`.
    ///
    /// # Panics
    /// If `rows` does not ascend.
    pub fn set_one_each(&mut self, rows: impl Iterator<Item = u32>) {
        self.rows.clear();
        self.rows.extend(rows);
        assert!(self.rows.is_sorted_by(|a, b| a < b), "set_one_each: rows are not ascending and unique");
        self.one_each();
    }

    /// Keeps the rows, each looked up by a bag of its own from now on: bag `r` holds row `rows()[r]`.
    pub fn one_each(&mut self) {
        self.num_bags = self.rows.len();
        self.starts.clear();
        self.starts.extend(0..=self.num_bags as u32);
        self.bags.clear();
        self.bags.extend(0..self.num_bags as u32);
        self.coefficients.clear();
    }

    /// Cuts the sorted pairs into segments, and takes the bags from their lower halves.
    fn split(&mut self, pairs: &[u64]) {
        let n = pairs.len();
        for list in [&mut self.rows, &mut self.starts, &mut self.bags] {
            list.resize(n + 1, 0);
        }
        let mut segments = 0;
        let mut last = None;
        // Written for every pair, and written over until the row changes: a branch would be taken or not by
        // chance.
        for (at, (&pair, bag)) in pairs.iter().zip(&mut self.bags).enumerate() {
            let row = (pair >> 32) as u32;
            segments += usize::from(last != Some(row));
            last = Some(row);
            self.rows[segments - 1] = row;
            self.starts[segments] = at as u32 + 1;
            *bag = pair as u32;
        }
        self.starts[0] = 0;
        self.rows.truncate(segments);
        self.starts.truncate(segments + 1);
        self.bags.truncate(n);
    }
}

/// Groups the lookups of `bags` by row into `segments`, whose memory is used again.
///
/// # Panics
/// If the bags are malformed.
pub fn coalesce(bags: Bags, pooling: Pooling, segments: &mut RowSegments, scratch: &mut Scratch) {
    bags.check("coalesce");
    segments.num_bags = bags.num_bags();
    segments.coefficients.clear();
    if bags.weights.is_none() && pooling == Pooling::Sum {
        return segments.split(sort(bags, |bag, _| bag, &mut scratch.pairs));
    }
    segments.split(sort(bags, |_, lookup| lookup, &mut scratch.pairs));
    let (first, bag_of) = (bags.lookups().start, &mut scratch.bag_of);
    bag_of.clear();
    for (b, bounds) in bags.offsets.windows(2).enumerate() {
        bag_of.extend(std::iter::repeat_n(b as u32, (bounds[1] - bounds[0]) as usize));
    }
    segments.coefficients.extend(segments.bags.iter_mut().map(|at| {
        let (lookup, bag) = (*at as usize, bag_of[*at as usize]);
        *at = bag;
        let weight = bags.weights.map_or(1.0, |w| w[first + lookup]);
        if pooling == Pooling::Mean { weight / bags.len_of(bag as usize) } else { weight }
    }));
}

/// Counters of 2^11 × 4 bytes stay in the L1 cache beside the write fronts.
const MAX_DIGIT: u32 = 11;

/// Makes a pair of each lookup's row and `low(bag, lookup)`, and sorts them by row, stably.
fn sort<'a>(bags: Bags, low: impl Fn(u32, u32) -> u32, room: &'a mut [Vec<u64>; 2]) -> &'a [u64] {
    let (first, indices) = (bags.lookups().start, &bags.indices[bags.lookups()]);
    let max = indices.iter().max().map_or(0, |&row| row);
    let bits = u32::BITS - max.leading_zeros();
    // A pass also goes over its 2^digit counters: small batches sort faster by small digits.
    let widest = if indices.len() < 1 << 10 { 8 } else { MAX_DIGIT };
    let passes = bits.div_ceil(widest).max(1);
    let digit = bits.div_ceil(passes);
    let [mut pairs, mut sorted] = room.each_mut().map(|room| {
        room.resize(room.len().max(indices.len()), 0);
        &mut room[..indices.len()]
    });
    let counts = &mut [0; 1 << MAX_DIGIT];
    let mut fronts = Fronts::new(counts, indices.iter().copied(), 0, digit);
    for (b, bounds) in bags.offsets.windows(2).enumerate() {
        let bounds = bounds[0] as usize - first..bounds[1] as usize - first;
        for (&row, lookup) in indices[bounds.clone()].iter().zip(bounds) {
            pairs[fronts.next(row)] = u64::from(row) << 32 | u64::from(low(b as u32, lookup as u32));
        }
    }
    for pass in 1..passes {
        let row = |pair: &u64| (pair >> 32) as u32;
        let mut fronts = Fronts::new(counts, pairs.iter().map(row), pass * digit, digit);
        for pair in &*pairs {
            sorted[fronts.next(row(pair))] = *pair;
        }
        std::mem::swap(&mut pairs, &mut sorted);
    }
    pairs
}

/// Where the next row goes, for each value of a digit: `digit` bits from `shift` on. (In the caller's own
/// counters: 8 KB are not to be moved.)
struct Fronts<'a> {
    counts: &'a mut [u32; 1 << MAX_DIGIT],
    shift: u32,
    mask: u32,
}

impl<'a> Fronts<'a> {
    #[inline(always)]
    fn new(counts: &'a mut [u32; 1 << MAX_DIGIT], rows: impl Iterator<Item = u32>, shift: u32, digit: u32) -> Self {
        let mut fronts = Fronts { counts, shift, mask: (1 << digit) - 1 };
        fronts.counts[..=fronts.mask as usize].fill(0);
        rows.for_each(|row| *fronts.of(row) += 1);
        let mut start = 0;
        for count in &mut fronts.counts[..=fronts.mask as usize] {
            start += std::mem::replace(count, start);
        }
        fronts
    }

    #[inline(always)]
    fn of(&mut self, row: u32) -> &mut u32 {
        // The second mask is the compiler's, which then needs no check.
        &mut self.counts[(row >> self.shift & self.mask) as usize & ((1 << MAX_DIGIT) - 1)]
    }

    #[inline(always)]
    fn next(&mut self, row: u32) -> usize {
        let front = self.of(row);
        *front += 1;
        *front as usize - 1
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
        for (indices, offsets) in cases {
            check(indices, offsets);
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
        check(&indices, &offsets);
    }

    /// Against a stable sort of (row, bag, coefficient), weighted and not.
    fn check(indices: &[u32], offsets: &[u32]) {
        let weights: Vec<f32> = (0..indices.len()).map(|i| i as f32 - 2.5).collect();
        let mut segments = RowSegments::default();
        for (weights, pooling) in
            [None, Some(&weights[..])].into_iter().flat_map(|w| [(w, Pooling::Sum), (w, Pooling::Mean)])
        {
            let bags = Bags { indices, offsets, weights };
            let mut expected = Vec::new();
            for b in 0..bags.num_bags() {
                let bag = bags.slice(b..b + 1).lookups();
                let len = if pooling == Pooling::Mean { bag.len() as f32 } else { 1.0 };
                expected.extend(bag.map(|i| (indices[i], b as u32, weights.map_or(1.0, |w| w[i]) / len)));
            }
            expected.sort_by_key(|&(row, ..)| row);
            coalesce(bags, pooling, &mut segments, &mut Scratch::new());
            let found = segments.rows().iter().enumerate().flat_map(|(r, &row)| {
                let range = segments.starts()[r] as usize..segments.starts()[r + 1] as usize;
                let coefficient = |at: usize| segments.coefficients().get(at).copied().unwrap_or(1.0);
                range.map(|at| (row, segments.bags()[at], coefficient(at))).collect::<Vec<_>>()
            });
            assert_eq!(found.collect::<Vec<_>>(), expected);
            assert!(segments.rows().is_sorted_by(|a, b| a < b), "unique");
            assert_eq!(segments.num_bags(), bags.num_bags());
        }
    }
}
