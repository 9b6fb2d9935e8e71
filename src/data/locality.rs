//! How often the same rows of a table are met, and how soon again: what decides what a cache is
//! worth.
//!
//! A [`LocalityProfiler`] is told the ids of one categorical column in order, and makes a
//! [`Locality`] of them. That answers three questions:
//!
//! - [`share_of_hottest`](Locality::share_of_hottest): what share of the accesses the `k` rows met
//!   most often have, that is the hit rate of a cache that keeps these for good;
//! - [`stack_distances`](Locality::stack_distances): how many distinct rows lie between two
//!   accesses to the same (the paper's section 4.2, Algorithm 1);
//! - [`lru_hit_rate`](Locality::lru_hit_rate): what share of the accesses a cache of `k` rows
//!   answers that drops the row which was not used for longest. An access hits exactly if its
//!   stack distance is at most `k` (Mattson et al. 1970, "Evaluation techniques for storage
//!   hierarchies"), so one pass gives the hit rates of all sizes at once.
//!
//! Figures are exact. An access costs `O(log d)`, the memory is about 40 bytes for each of the `d`
//! different ids, and the number of accesses doesn't matter.

mod lru_stack;

use lru_stack::LruStack;
use rustc_hash::FxHashMap;
use std::iter;

/// Takes the accesses of one column in order: the paper's Algorithm 1, faster.
#[derive(Debug, Clone, Default)]
pub struct LocalityProfiler {
    /// Ids in order of their first access. They may be any, hashes too.
    numbers: FxHashMap<u32, u32>,
    stack: LruStack,
    /// Accesses of each number.
    counts: Vec<u64>,
    /// `distances[d]` accesses had the stack distance `d`, 0 if the id was new.
    distances: Vec<u64>,
}

impl LocalityProfiler {
    /// Takes one access, and returns its stack distance: 0 if the id is new, else the number of
    /// distinct ids from its last access up to now, itself included (as
    /// [`trace_profile`](super::trace::trace_profile)).
    ///
    /// # Panics
    /// At the 2³¹st different id.
    pub fn access(&mut self, id: u32) -> u32 {
        let new = self.counts.len() as u32;
        let number = *self.numbers.entry(id).or_insert(new);
        if number == new {
            self.counts.push(0);
            // The largest distance is the number of different ids.
            self.distances.resize(self.counts.len() + 1, 0);
        }
        let distance = self.stack.access(number);
        self.counts[number as usize] += 1;
        self.distances[distance as usize] += 1;
        distance
    }

    /// What there is to know of all accesses so far.
    pub fn finish(self) -> Locality {
        let LocalityProfiler { mut counts, mut distances, numbers, stack } = self;
        drop((numbers, stack)); // most of the memory, no longer needed
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // Sums in place: these are as long as there are different ids.
        if let Some(new) = distances.first_mut() {
            *new = 0;
        }
        accumulate(&mut distances);
        accumulate(&mut counts);
        Locality { hottest: counts, hits: distances }
    }
}

/// Accesses are taken one after the other.
impl Extend<u32> for LocalityProfiler {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, ids: I) {
        for id in ids {
            self.access(id);
        }
    }
}

/// Each number becomes the sum of those up to it.
fn accumulate(numbers: &mut [u64]) {
    let mut sum = 0;
    for n in numbers {
        sum += *n;
        *n = sum;
    }
}

/// The locality of one column; see the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locality {
    /// `hottest[k]`: accesses of the `k + 1` ids met most often.
    hottest: Vec<u64>,
    /// `hits[k]`: accesses with a stack distance from 1 to `k`. Empty without accesses.
    hits: Vec<u64>,
}

impl Locality {
    /// Accesses in all.
    pub fn accesses(&self) -> u64 {
        self.hottest.last().copied().unwrap_or(0)
    }

    /// Different ids.
    pub fn different(&self) -> usize {
        self.hottest.len()
    }

    /// The share of the accesses that the `k` ids met most often have; 0 if there are no accesses.
    pub fn share_of_hottest(&self, k: usize) -> f64 {
        match k.min(self.hottest.len()) {
            0 => 0.0,
            k => self.share(self.hottest[k - 1]),
        }
    }

    /// The share of the accesses that a cache of `k` rows answers, empty at first, which makes room
    /// by dropping the row used longest ago; 0 if there are no accesses.
    pub fn lru_hit_rate(&self, k: usize) -> f64 {
        self.share(self.hits_of(k))
    }

    /// The accesses by their stack distance: element `j` counts distances above `2^(j-1)` and up to
    /// `2^j`, so the first is for immediate repeats. First accesses, of which there are
    /// [`different`](Self::different), are in none.
    pub fn stack_distances(&self) -> Vec<u64> {
        let octaves = (self.different() as u64).next_power_of_two().trailing_zeros() as usize + 1;
        let ends = (0..octaves).map(|j| self.hits_of(1 << j));
        ends.clone().zip(iter::once(0).chain(ends)).map(|(end, start)| end - start).collect()
    }

    fn hits_of(&self, k: usize) -> u64 {
        match self.hits.len() {
            0 => 0,
            len => self.hits[k.min(len - 1)],
        }
    }

    fn share(&self, part: u64) -> f64 {
        part as f64 / self.accesses().max(1) as f64
    }
}
