//! Ids to numbers of embedding rows, column by column.

use super::Numbering;
use super::chunk::Rows;
use crate::data::criteo::SPARSE_FEATURES;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// How the ids of all columns are numbered, and what was numbered so far.
#[derive(Debug)]
pub(super) struct Columns {
    numbering: Numbering,
    columns: Vec<Column>,
}

/// A column's vocabulary.
#[derive(Debug, Default)]
pub(super) struct Column {
    numbers: FxHashMap<u32, u32>,
    /// Ids that have a number.
    pub known: u32,
    /// From this row on ids are left as they are, for a second pass.
    pub deferred_from: Option<u64>,
    /// Ids that got a number since they were last taken.
    pub fresh: Vec<u32>,
}

impl Columns {
    pub fn new(numbering: Numbering) -> Columns {
        let mut columns = Vec::new();
        columns.resize_with(SPARSE_FEATURES, Column::default);
        Columns { numbering, columns }
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Numbers the ids of some rows, which are in order, in place.
    pub fn number(&mut self, rows: &mut [Rows]) {
        let numbering = self.numbering;
        let mut by_column: Vec<Vec<&mut [u32]>> = (0..SPARSE_FEATURES).map(|_| Vec::new()).collect();
        for rows in rows {
            by_column.iter_mut().zip(&mut rows.ids).for_each(|(lists, ids)| lists.push(ids));
        }
        let all = self.columns.par_iter_mut().zip(by_column).enumerate().with_max_len(1);
        all.for_each(|(c, (column, lists))| match numbering {
            Numbering::Hash(size) => lists.into_iter().flatten().for_each(|id| *id = hashed(*id, c, size)),
            Numbering::Vocabulary { max_ind_range, .. } => {
                for ids in lists {
                    if max_ind_range > 0 {
                        ids.iter_mut().for_each(|id| *id %= max_ind_range);
                    }
                    column.number(ids);
                }
            }
        });
    }

    /// Takes note of numbers that were given before: those of `ids` in column `c`.
    pub fn restore(&mut self, c: usize, ids: &[u32]) {
        let column = &mut self.columns[c];
        if column.deferred_from.is_none() {
            column.numbers.extend(ids.iter().copied().zip(column.known..));
        }
        column.known += ids.len() as u32;
    }

    /// The ids of column `c` wait from row `row` on.
    pub fn defer(&mut self, c: usize, row: u64) {
        self.columns[c].deferred_from.get_or_insert(row);
        self.columns[c].numbers = FxHashMap::default();
    }

    /// Bytes of all hash tables.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().map(Column::bytes).sum()
    }

    /// Lets the largest columns wait until all others take `limit` bytes at most.
    pub fn shrink(&mut self, limit: u64, row: u64) {
        while self.bytes() > limit {
            let largest = (0..SPARSE_FEATURES).max_by_key(|&c| self.columns[c].bytes()).expect("columns");
            self.defer(largest, row);
        }
    }

    /// The ids that got a number since the last call, by column.
    pub fn take_fresh(&mut self) -> Vec<Vec<u32>> {
        self.columns.iter_mut().map(|column| std::mem::take(&mut column.fresh)).collect()
    }
}

impl Column {
    fn number(&mut self, ids: &mut [u32]) {
        if self.deferred_from.is_some() {
            return;
        }
        for id in ids {
            let next = self.known;
            let number = *self.numbers.entry(*id).or_insert(next);
            if number == next {
                self.fresh.push(*id);
                self.known += 1;
            }
            *id = number;
        }
    }

    /// Eight bytes and a tag a slot, of which seven eighths may be full.
    fn bytes(&self) -> u64 {
        match self.numbers.capacity() as u64 {
            0 => 0,
            capacity => 9 * (capacity * 8 / 7).next_power_of_two(),
        }
    }
}

/// The number of `id` in column `c`, of `size`: the finish of MurmurHash3, which moves every bit.
pub(super) fn hashed(id: u32, c: usize, size: u32) -> u32 {
    let mut h = (id ^ (c as u32 + 1).wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    ((u64::from(h) * u64::from(size)) >> 32) as u32
}
