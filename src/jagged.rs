//! Ragged lists of ids: one bag a sample, as one embedding table sees a batch.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// `B` bags of ids in compressed-row form, for one embedding table.
///
/// Bag `b` holds `values[offsets[b] .. offsets[b + 1]]`; `offsets` has `B + 1` entries, starts at
/// 0, never falls, and ends at `values.len()`. A bag may be empty. With `weights`, lookup `i`
/// counts `weights[i]` times.
///
/// The paper's footnote 4 has an example, with lengths and with offsets. The layout is TorchRec's `JaggedTensor` and FBGEMM's
/// `include_last_offset`; PyTorch's `EmbeddingBag` leaves the last offset out by default. [Chapter 3 of the
/// guide](crate::guide::ch03_embedding_bags) has all notations side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct JaggedTensor {
    values: Vec<u32>,
    offsets: Vec<u32>,
    /// As many as values if there are weights, and else none: the memory stays.
    weights: Vec<f32>,
    weighted: bool,
    stamp: Stamp,
}

/// A number for what a list holds, given when someone asks for it; every change takes it away.
#[derive(Debug, Default)]
struct Stamp(AtomicU64);

impl Clone for Stamp {
    fn clone(&self) -> Self {
        Stamp(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl PartialEq for Stamp {
    /// It is no part of what is compared.
    fn eq(&self, _: &Stamp) -> bool {
        true
    }
}

impl Default for JaggedTensor {
    /// No bag at all (`B = 0`).
    fn default() -> Self {
        JaggedTensor {
            values: Vec::new(),
            offsets: vec![0],
            weights: Vec::new(),
            weighted: false,
            stamp: Stamp::default(),
        }
    }
}

impl JaggedTensor {
    /// Checks and takes over the three arrays.
    ///
    /// # Errors
    /// [`Error::Batch`] if `offsets` is empty, does not start at 0, falls, or does not end at
    /// `values.len()`, or if `weights` has another length than `values`.
    pub fn new(values: Vec<u32>, offsets: Vec<u32>, weights: Option<Vec<f32>>) -> Result<Self> {
        let bad = |m: String| Err(Error::Batch(m));
        if offsets.first() != Some(&0) {
            return bad(format!("offsets start with {:?}, expected 0", offsets.first()));
        }
        if let Some(b) = offsets.windows(2).position(|w| w[0] > w[1]) {
            return bad(format!("offsets fall from {} to {} at bag {b}", offsets[b], offsets[b + 1]));
        }
        let end = offsets[offsets.len() - 1] as usize;
        if end != values.len() {
            return bad(format!("offsets end at {end}, but there are {} ids", values.len()));
        }
        if let Some(w) = &weights
            && w.len() != values.len()
        {
            return bad(format!("{} weights for {} ids", w.len(), values.len()));
        }
        let weighted = weights.is_some();
        Ok(JaggedTensor { values, offsets, weighted, weights: weights.unwrap_or_default(), stamp: Stamp::default() })
    }

    /// One id a bag: what a row of Criteo has in each categorical column.
    ///
    /// # Panics
    /// If there are more than `u32::MAX` ids.
    pub fn one_per_bag(values: Vec<u32>) -> Self {
        let n = u32::try_from(values.len()).expect("at most u32::MAX ids");
        JaggedTensor { values, offsets: (0..=n).collect(), ..JaggedTensor::default() }
    }

    /// The number of bags, `B`.
    pub fn num_bags(&self) -> usize {
        self.offsets.len() - 1
    }

    /// All ids, bag after bag.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// `B + 1` positions in [`values`](Self::values): where each bag starts, and the end.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// A weight for each lookup, if there are any.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weighted.then_some(&self.weights)
    }

    /// The ids of bag `b`.
    ///
    /// # Panics
    /// If `b` is not below [`num_bags`](Self::num_bags).
    pub fn bag(&self, b: usize) -> &[u32] {
        &self.values[self.offsets[b] as usize..self.offsets[b + 1] as usize]
    }

    /// A number that lists have in common only if they hold the same: of this process, and not 0. A backend on a device
    /// knows by it what is there already.
    pub fn stamp(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let Stamp(stamp) = &self.stamp;
        if stamp.load(Ordering::Relaxed) == 0 {
            // Two threads that ask at once must get one answer.
            let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            let _ = stamp.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        }
        stamp.load(Ordering::Relaxed)
    }

    fn changed(&mut self) {
        *self.stamp.0.get_mut() = 0;
    }

    /// Removes every bag, and keeps the memory for the next batch.
    pub fn clear(&mut self) {
        self.changed();
        self.values.clear();
        self.offsets.truncate(1);
        self.weights.clear();
        self.weighted = false;
    }

    /// Appends an unweighted bag.
    ///
    /// # Panics
    /// If the ids no longer fit `u32` offsets, or if earlier bags have weights.
    pub fn push_bag(&mut self, ids: &[u32]) {
        assert!(!self.weighted, "push_bag: unweighted bag after weighted ones");
        self.changed();
        self.values.extend_from_slice(ids);
        self.offsets.push(u32::try_from(self.values.len()).expect("at most u32::MAX ids"));
    }

    /// Gives each lookup the weight `weight(id)`, in the memory it already has.
    pub(crate) fn weigh(&mut self, weight: impl Fn(u32) -> f32) {
        self.changed();
        self.weighted = true;
        self.weights.clear();
        self.weights.extend(self.values.iter().map(|&id| weight(id)));
    }

    /// Puts `map(id)` in the place of each id.
    pub(crate) fn map_ids(&mut self, map: impl Fn(u32) -> u32) {
        self.changed();
        self.values.iter_mut().for_each(|id| *id = map(*id));
    }

    /// Becomes a copy of `other`, in the memory it already has.
    pub fn copy_from(&mut self, other: &JaggedTensor) {
        self.values.clone_from(&other.values);
        self.offsets.clone_from(&other.offsets);
        self.weights.clone_from(&other.weights);
        self.weighted = other.weighted;
        self.stamp.clone_from(&other.stamp);
    }
}
