//! What is looked up, on the device: lists of ids, sent once a batch, and small lists that never change.

use super::device::Device;
use super::memory::{Memory, Raw};
use crate::backend::Table;
use crate::jagged::JaggedTensor;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many small lists are kept; they are made anew when there are more.
const MAX_CONSTANTS: usize = 4096;

/// The lists of a call in one buffer of the device: offsets, of which each list's start where those of the list before
/// end (`lists · bags + 1` in all), then ids, then the bits of weights, if a list has some.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub raw: Arc<Raw>,
    /// Ids of each list, and the largest.
    pub lists: Vec<(usize, Option<u32>)>,
    /// Ids of all lists.
    pub lookups: usize,
    /// Where the ids start, and the weights, or 0 if all are 1: in words.
    pub ids_at: u32,
    pub weights_at: u32,
    /// The weight that is the farthest from 0.
    pub max_weight: f32,
}

impl Sent {
    /// Panics unless every id is a row of its table.
    #[track_caller]
    pub fn check(&self, op: &str, tables: &[Table]) {
        for (table, (_, max)) in tables.iter().zip(&self.lists) {
            let rows = table.num_embeddings();
            let dim = table.embedding_dim();
            if let Some(max) = max {
                assert!((*max as usize) < rows, "{op}: index {max}, but the table has {rows} rows of {dim}");
            }
        }
    }
}

/// Lists that are on the device, by what they hold. A backward pass finds those of its forward pass there; memory is
/// used again from step to step.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    entries: Vec<Entry>,
    /// Counts calls.
    now: u64,
    /// What is sent, one list after the other.
    words: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    stamps: Vec<u64>,
    /// Before the memory, which only forgets its bind groups if nobody else has the buffer.
    sent: Sent,
    memory: Memory,
    /// The last call that wanted it.
    last: u64,
}

impl Lookups {
    /// `bags` on the device.
    pub fn send(&self, device: &Arc<Device>, bags: &[JaggedTensor]) -> Sent {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let All { entries, now, words } = &mut *all;
        *now += 1;
        let is_there = |entry: &&mut Entry| entry.stamps.iter().copied().eq(bags.iter().map(JaggedTensor::stamp));
        if let Some(entry) = entries.iter_mut().find(is_there) {
            entry.last = *now;
            return entry.sent.clone();
        }
        write_words(bags, words);
        let at = place(device, entries, words.len());
        let entry = &mut entries[at];
        entry.stamps.clear();
        entry.stamps.extend(bags.iter().map(JaggedTensor::stamp));
        entry.last = *now;
        entry.sent = describe(bags, entry.memory.raw().clone());
        device.write(&entry.sent.raw, 0, bytemuck::cast_slice(words));
        entry.sent.clone()
    }
}

/// Writes the lists down.
fn write_words(bags: &[JaggedTensor], words: &mut Vec<u32>) {
    words.clear();
    words.push(0);
    let mut before = 0u32;
    for list in bags {
        words.extend(list.offsets()[1..].iter().map(|offset| before + offset));
        before = u32::try_from(before as usize + list.values().len()).expect("at most u32::MAX ids in a batch");
    }
    bags.iter().for_each(|list| words.extend_from_slice(list.values()));
    if bags.iter().any(|list| list.weights().is_some()) {
        for list in bags {
            match list.weights() {
                Some(weights) => words.extend(weights.iter().map(|weight| weight.to_bits())),
                None => words.extend(std::iter::repeat_n(1f32.to_bits(), list.values().len())),
            }
        }
    }
}

/// What is to be known of lists that [`write_words`] wrote down.
fn describe(bags: &[JaggedTensor], raw: Arc<Raw>) -> Sent {
    let lookups = bags.iter().map(|list| list.values().len()).sum();
    let ids_at = 1 + bags.iter().map(JaggedTensor::num_bags).sum::<usize>();
    let weighted = bags.iter().any(|list| list.weights().is_some());
    let weights = bags.iter().flat_map(|list| list.weights().unwrap_or(&[1.0]));
    Sent {
        raw,
        lists: bags.iter().map(|list| (list.values().len(), list.values().iter().max().copied())).collect(),
        lookups,
        ids_at: ids_at as u32,
        weights_at: if weighted { (ids_at + lookups) as u32 } else { 0 },
        max_weight: weights.fold(0.0, |most, weight| most.max(weight.abs())),
    }
}

/// An entry to write `len` words into: the one that was wanted the longest ago, if it is large enough and nothing that
/// is still to be computed reads it, or a new one.
fn place(device: &Arc<Device>, entries: &mut Vec<Entry>, len: usize) -> usize {
    // The entry has the buffer twice; who else has it is about to call something that reads it.
    let free = |entry: &Entry| Arc::strong_count(&entry.sent.raw) == 2 && !device.is_in_use(&entry.sent.raw);
    let fits = |entry: &Entry| entry.memory.len() >= len;
    let oldest = |wanted: &dyn Fn(&Entry) -> bool| {
        (0..entries.len()).filter(|&i| wanted(&entries[i])).min_by_key(|&i| entries[i].last)
    };
    if let Some(at) = oldest(&|entry| free(entry) && fits(entry)) {
        return at;
    }
    let too_small = oldest(&|entry| free(entry));
    let most = (device.max_binding / 4) as usize;
    let memory = Memory::single(device, len.next_power_of_two().min(most).max(len));
    let raw = memory.raw().clone();
    let sent = Sent { raw, lists: Vec::new(), lookups: 0, ids_at: 0, weights_at: 0, max_weight: 0.0 };
    let entry = Entry { stamps: Vec::new(), memory, sent, last: 0 };
    match too_small {
        Some(at) => {
            entries[at] = entry;
            at
        }
        None => {
            entries.push(entry);
            entries.len() - 1
        }
    }
}

/// Small lists that shaders read, such as where the pieces of tables are, by what they hold.
#[derive(Debug, Default)]
pub(super) struct Constants(Mutex<HashMap<Vec<u32>, Memory>>);

impl Constants {
    /// A buffer of the device that holds `words`.
    pub fn get(&self, device: &Arc<Device>, words: &[u32]) -> Arc<Raw> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = all.get(words) {
            return memory.raw().clone();
        }
        if all.len() == MAX_CONSTANTS {
            all.clear();
        }
        let memory = Memory::single(device, words.len());
        let raw = memory.raw().clone();
        device.write(&raw, 0, bytemuck::cast_slice(words));
        all.insert(words.to_vec(), memory);
        raw
    }
}
