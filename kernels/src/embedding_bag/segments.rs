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
//! lookups and on the digits of the largest row, never on the number of rows.
//!
//! 1. The first pass makes the pairs on the way: as a list of their own they took a quarter of the time.
//! 2. All digits are counted at once, from the list of ids: a count before each pass read the pairs, twice as much, once
//!    more. And since everything was counted, stores need no check. Together a quarter of the time where the caches hold
//!    the lists.
//! 3. What is sorted is cut into segments sixteen pairs at a time: where rows change is a mask, and AVX-512 moves the
//!    rows it names together. Pair by pair this took as long as a pass of the sort.
//!
//! Bound: the stores, three a pass for each lookup (a counter twice, and a pair).

use super::{Bags, Pooling};
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::Simd;

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
    #[inline(always)]
    fn split<S: Simd>(&mut self, simd: S, pairs: &[u64]) {
        let n = pairs.len();
        for list in [&mut self.rows, &mut self.starts, &mut self.bags] {
            list.resize(n + PAIRS, 0);
        }
        let (mut segments, mut before) = (0, pairs.first().map_or(0, |&pair| !row_of(pair)));
        let (blocks, rest) = pairs.as_chunks();
        for (i, block) in blocks.iter().enumerate() {
            segments += self.split_block(simd, block, before, i * PAIRS, segments);
            before = row_of(block[PAIRS - 1]);
        }
        if let [.., last] = rest {
            // Filled up with the last pair, which then begins no segment of its own.
            let mut block = [*last; PAIRS];
            block[..rest.len()].copy_from_slice(rest);
            segments += self.split_block(simd, &block, before, n - rest.len(), segments);
        }
        self.starts[segments] = n as u32;
        self.rows.truncate(segments);
        self.starts.truncate(segments + 1);
        self.bags.truncate(n);
    }

    /// Pairs from the `at`-th on, after `segments` segments and row `before`. (No closure of `split`: out of line it would be
    /// compiled without the instruction set.)
    #[inline(always)]
    fn split_block<S: Simd>(
        &mut self,
        simd: S,
        block: &[u64; PAIRS],
        before: u32,
        at: usize,
        segments: usize,
    ) -> usize {
        let lists = [&mut self.rows[segments..], &mut self.starts[segments..], &mut self.bags[at..]];
        let lists = lists.map(|list| list[..PAIRS].as_mut_ptr());
        // SAFETY: each list has room for as many numbers, as its length tells.
        unsafe { simd.split_pairs(block, before, at as u32, lists) }
    }
}

/// The upper half of a pair.
#[inline(always)]
fn row_of(pair: u64) -> u32 {
    (pair >> 32) as u32
}

/// Groups the lookups of `bags` by row into `segments`, whose memory is used again.
///
/// # Panics
/// If the bags are malformed.
pub fn coalesce(isa: Isa, bags: Bags, pooling: Pooling, segments: &mut RowSegments, scratch: &mut Scratch) {
    bags.check(isa, "coalesce");
    segments.num_bags = bags.num_bags();
    segments.coefficients.clear();
    isa.run(Coalesce { bags, pooling, segments, scratch });
}

struct Coalesce<'a> {
    bags: Bags<'a>,
    pooling: Pooling,
    segments: &'a mut RowSegments,
    scratch: &'a mut Scratch,
}

impl Kernel for Coalesce<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Coalesce { bags, pooling, segments, scratch } = self;
        if bags.weights.is_none() && pooling == Pooling::Sum {
            return segments.split(simd, sort(bags, |bag, _| bag, scratch));
        }
        segments.split(simd, sort(bags, |_, lookup| lookup, scratch));
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
}

/// Pairs that are taken apart at a time.
const PAIRS: usize = 16;

/// Counters of 2^11 × 4 bytes stay in the L1 cache beside the write fronts.
const MAX_DIGIT: u32 = 11;

/// Digits of a row at most: short lists are sorted by bytes.
pub(crate) const MAX_PASSES: usize = 4;

/// One for each value of a digit.
pub(crate) type Counters = [u32; 1 << MAX_DIGIT];

/// Makes a pair of each lookup's row and `low(bag, lookup)`, and sorts them by row, stably.
#[inline(always)]
fn sort<'a>(bags: Bags, low: impl Fn(u32, u32) -> u32, scratch: &'a mut Scratch) -> &'a [u64] {
    let (first, indices) = (bags.lookups().start, &bags.indices[bags.lookups()]);
    let max = indices.iter().max().map_or(0, |&row| row);
    let bits = u32::BITS - max.leading_zeros();
    // A pass also goes over its 2^digit counters: small batches sort faster by small digits.
    let widest = if indices.len() < 1 << 10 { 8 } else { MAX_DIGIT };
    let passes = bits.div_ceil(widest).max(1);
    let width = bits.div_ceil(passes);
    let digits = std::array::from_fn(|pass| Digit { shift: pass as u32 * width, mask: (1 << width) - 1 });
    let (counters, room) = scratch.sorting(indices.len());
    let counters = &mut counters[..passes as usize];
    count(indices, &digits, counters);

    let [mut pairs, mut sorted] = room;
    let (digit, fronts) = (digits[0], &mut counters[0]);
    for (b, bounds) in bags.offsets.windows(2).enumerate() {
        let bounds = bounds[0] as usize - first..bounds[1] as usize - first;
        for (&row, lookup) in indices[bounds.clone()].iter().zip(bounds) {
            let pair = u64::from(row) << 32 | u64::from(low(b as u32, lookup as u32));
            // SAFETY: these rows were counted, so that no front passes where the next one began, nor the last the length of
            // the lists, which is the number of rows.
            unsafe { *pairs.get_unchecked_mut(digit.next(fronts, row)) = pair }
        }
    }
    for (digit, fronts) in digits.into_iter().zip(counters).skip(1) {
        for &pair in &*pairs {
            // SAFETY: the same: these are the pairs of those rows.
            unsafe { *sorted.get_unchecked_mut(digit.next(fronts, row_of(pair))) = pair }
        }
        std::mem::swap(&mut pairs, &mut sorted);
    }
    pairs
}

/// Counts how many rows have each value of each digit, and turns that into where the first of them goes.
#[inline(always)]
fn count(rows: &[u32], digits: &[Digit; MAX_PASSES], counters: &mut [Counters]) {
    let values = digits[0].mask as usize + 1;
    for counters in &mut *counters {
        counters[..values].fill(0);
    }
    match counters {
        [a] => count_in(rows, digits, [a]),
        [a, b] => count_in(rows, digits, [a, b]),
        [a, b, c] => count_in(rows, digits, [a, b, c]),
        [a, b, c, d] => count_in(rows, digits, [a, b, c, d]),
        _ => unreachable!("there are one to four passes"),
    }
    for counters in counters {
        let mut start = 0;
        for count in &mut counters[..values] {
            start += std::mem::replace(count, start);
        }
    }
}

/// Counts what there are `P` counters for.
#[inline(always)]
fn count_in<const P: usize>(rows: &[u32], digits: &[Digit; MAX_PASSES], counters: [&mut Counters; P]) {
    for &row in rows {
        for pass in 0..P {
            counters[pass][digits[pass].of(row)] += 1;
        }
    }
}

/// Some bits of a row.
#[derive(Clone, Copy)]
struct Digit {
    shift: u32,
    mask: u32,
}

impl Digit {
    #[inline(always)]
    fn of(self, row: u32) -> usize {
        // The second mask is the compiler's, which then needs no check.
        (row >> self.shift & self.mask) as usize & ((1 << MAX_DIGIT) - 1)
    }

    /// Where the next row with this value of the digit goes.
    #[inline(always)]
    fn next(self, fronts: &mut Counters, row: u32) -> usize {
        let front = &mut fronts[self.of(row)];
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
        let kinds = [None, Some(&weights[..])].into_iter().flat_map(|w| [(w, Pooling::Sum), (w, Pooling::Mean)]);
        for (isa, (weights, pooling)) in Isa::available().flat_map(|isa| kinds.clone().map(move |kind| (isa, kind))) {
            let bags = Bags { indices, offsets, weights };
            let mut expected = Vec::new();
            for b in 0..bags.num_bags() {
                let bag = bags.slice(b..b + 1).lookups();
                let len = if pooling == Pooling::Mean { bag.len() as f32 } else { 1.0 };
                expected.extend(bag.map(|i| (indices[i], b as u32, weights.map_or(1.0, |w| w[i]) / len)));
            }
            expected.sort_by_key(|&(row, ..)| row);
            coalesce(isa, bags, pooling, &mut segments, &mut Scratch::new());
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
