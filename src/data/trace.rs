//! Synthetic traces of ids with the locality of a real one (paper section 4.2).
//!
//! [`trace_profile`] (Algorithm 1) turns a trace into stack distances: how many distinct ids were
//! met since the same id came last. Their [`StackDistribution`] is small, says little about who
//! looked up what, and is enough to [generate](StackDistribution::trace_generate_lru) (Algorithm 2)
//! traces that a cache can't tell from the original.

mod file;
mod ids;

pub use ids::{TraceFormat, read_trace, write_trace};

use crate::error::{Error, Result};
use crate::random::Stream;
use std::collections::{BTreeMap, VecDeque};

/// What Algorithm 1 reads off a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceProfile {
    /// For each access, in order: 0 if the id is new, else the number of distinct ids from its last
    /// access up to now, itself included (1 for an immediate repeat).
    pub stack_distances: Vec<usize>,
    /// The distinct ids in the order of their first access.
    pub line_accesses: Vec<u64>,
}

/// Algorithm 1 of the paper: the stack distance of every access, `O(n·distinct)`.
/// [`LocalityProfiler`](super::locality::LocalityProfiler) has the same distances in `O(n·log
/// distinct)`, for traces with little locality.
///
/// As in the paper's line 2, 0 stands for a new id; so an immediate repeat, which is at the top, has distance 1.
pub fn trace_profile(trace: &[u64]) -> TraceProfile {
    let mut stack: Vec<u64> = Vec::new(); // most recent last
    let mut profile = TraceProfile::default();
    for &id in trace {
        // From the top: where a trace has locality the search is short.
        let distance = match stack.iter().rev().position(|&s| s == id) {
            Some(depth) => {
                stack.remove(stack.len() - 1 - depth);
                depth + 1
            }
            None => {
                profile.line_accesses.push(id);
                0
            }
        };
        stack.push(id);
        profile.stack_distances.push(distance);
    }
    profile
}

/// The distribution of stack distances of a trace, and the ids to generate traces of: `p` and `u` of paper section 4.2,
/// whose figure 3 draws `p`.
///
/// The file that [`read`](Self::read) and [`write`](Self::write) know is the reference's: three
/// lines of numbers separated by commas, one for each field below.
#[derive(Debug, Clone, PartialEq)]
pub struct StackDistribution {
    /// Distinct ids, first access first; at least as many as the largest distance.
    line_accesses: Vec<u64>,
    /// Rising, from 0.
    distances: Vec<usize>,
    /// `P(distance ≤ distances[j])`, not falling, to 1.
    cumulative: Vec<f64>,
}

/// What becomes of an id that is generated again.
#[derive(Clone, Copy)]
enum Repeat {
    MovesToTop,
    Stays,
}

impl StackDistribution {
    /// The distribution that a profile has.
    ///
    /// With `padding`, `⌈accesses / largest distance⌉` new ids are counted on top (none if no id
    /// repeats). A long trace of few ids has few new ones, and a trace generated from it would take
    /// as long again to show every id.
    ///
    /// # Errors
    /// [`Error::Config`] if the trace was empty.
    pub fn new(profile: &TraceProfile, padding: bool) -> Result<Self> {
        let mut total = profile.stack_distances.len();
        let mut counts = BTreeMap::new();
        for &distance in &profile.stack_distances {
            *counts.entry(distance).or_insert(0_usize) += 1;
        }
        let Some((&largest, _)) = counts.last_key_value() else {
            return Err(Error::Config("an empty trace has no stack distances".to_owned()));
        };
        if padding && largest > 0 {
            let new = total.div_ceil(largest);
            *counts.entry(0).or_insert(0) += new;
            total += new;
        }
        let cumulative = counts.values().scan(0.0, |sum, &count| {
            *sum += count as f64 / total as f64;
            Some(*sum)
        });
        Ok(StackDistribution {
            line_accesses: profile.line_accesses.clone(),
            cumulative: cumulative.collect(),
            distances: counts.into_keys().collect(),
        })
    }

    /// The stack distances that occur, rising from 0, and their cumulative probabilities.
    pub fn cumulative(&self) -> impl ExactSizeIterator<Item = (usize, f64)> {
        self.distances.iter().copied().zip(self.cumulative.iter().copied())
    }

    /// Algorithm 2 of the paper: a trace of `len` accesses in which an id that comes again becomes
    /// the most recent.
    ///
    /// Every call starts with no id seen. With `padding`, no new id is generated once as many have
    /// been as the largest distance.
    pub fn trace_generate_lru(&self, len: usize, padding: bool, stream: &mut Stream) -> Vec<u64> {
        self.generate(len, padding, Repeat::MovesToTop, stream)
    }

    /// Algorithm 2 in its cheaper form: an id that comes again stays where it was in the stack.
    pub fn trace_generate_rand(&self, len: usize, padding: bool, stream: &mut Stream) -> Vec<u64> {
        self.generate(len, padding, Repeat::Stays, stream)
    }

    fn generate(&self, len: usize, padding: bool, repeat: Repeat, stream: &mut Stream) -> Vec<u64> {
        // The ids seen; the most recent is at the back. The paper keeps those not yet seen in front
        // of them, in order: so many times nothing moves, however long the list is.
        let mut stack = VecDeque::new();
        let mut seen = 0;
        let mut trace = Vec::with_capacity(len);
        for _ in 0..len {
            let id = match self.generate_stack_distance(seen, padding, stream) {
                0 => {
                    seen += 1;
                    // Once all have been new, the one at the front is new again.
                    let unseen = self.line_accesses.get(stack.len()).copied();
                    let id = unseen.or_else(|| stack.pop_front()).expect("a trace has ids");
                    stack.push_back(id);
                    id
                }
                distance => {
                    let position = stack.len() - distance;
                    let id = stack[position];
                    if matches!(repeat, Repeat::MovesToTop) {
                        stack.remove(position);
                        stack.push_back(id);
                    }
                    id
                }
            };
            trace.push(id);
        }
        trace
    }

    /// One stack distance; after `seen` new ids only distances up to `seen` have any probability.
    fn generate_stack_distance(&self, seen: usize, padding: bool, stream: &mut Stream) -> usize {
        let mut u = stream.uniform();
        if seen < self.distances[self.distances.len() - 1] {
            u *= self.cumulative[self.distances.partition_point(|&d| d <= seen) - 1];
        } else if padding {
            u = (1.0 - self.cumulative[0]) * u + self.cumulative[0];
        }
        let j = self.cumulative.partition_point(|&f| f < u);
        self.distances[j.min(self.distances.len() - 1)] // the last sum may be rounded below 1
    }
}
