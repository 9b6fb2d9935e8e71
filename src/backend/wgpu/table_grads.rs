//! Gradients of tables: lookups and the gradients of pooled rows, sorted by row and summed on the device.
//!
//! A backward pass appends its lookups: the key of the row, which is one number for the rows of all tables of a width
//! `D`, and which pooled row's gradient the row gets, times what. They are sorted when someone needs the sums
//! ([`Group::sum`]), stably, and each sum is made in one order: no two threads add to the same number, nothing is lost,
//! and the bits are the same each run. A row's sum is at the place of its first lookup among the sorted ones, with zeros
//! at those of the others: how many rows there are is never asked of the device. So the lookups of a step in tables of
//! one width may have at most as many numbers, `D` each, as a shader sees of a buffer; beyond, the device has failed with
//! both numbers of bytes in the message.

use super::device::Device;
use super::lookups::{Constants, Sent};
use super::room::Room;
use super::sort::Sortable;
use super::{Wgpu, memory};
use crate::backend::{Backend, Pooling, TableGrads, Touched};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sorted lookups that are summed together: see `kernels/wgsl/run_sums.wgsl`.
const RUN: usize = 32;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct WgpuTableGrads {
    device: Arc<Device>,
    /// Each table, if it was ever looked up.
    tables: Vec<Option<Keys>>,
    groups: Mutex<Vec<Group>>,
}

/// Where a table's rows are among those of its width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// The number of the group.
    pub group: usize,
    /// The key of row 0; the others follow.
    pub first: u32,
    rows: usize,
    /// Lookups since the gradients were cleared, if there was a call.
    lookups: Option<usize>,
}

/// The gradients of all tables of one width.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub dim: usize,
    /// Keys that are given away.
    end: u64,
    /// Lookups.
    pub len: usize,
    /// Gradients of pooled rows, `dim` numbers each.
    pooled: Tensor,
    lists: Sortable,
    /// For each lookup the number of a pooled row, and the bits of a factor.
    items: Room,
    runs: Room,
    /// The sums, `len × dim`, if they are made.
    pub sums: Tensor,
    /// In which of the two rooms the keys are, if they are sorted and summed.
    sorted: Option<usize>,
    max_weight: f32,
}

impl WgpuTableGrads {
    pub fn new(device: &Arc<Device>, tables: usize) -> Self {
        WgpuTableGrads { device: device.clone(), tables: vec![None; tables], groups: Mutex::default() }
    }

    /// What [`new`](Self::new) made.
    ///
    /// # Panics
    /// If another backend made it.
    pub fn of(grads: &dyn TableGrads) -> &Self {
        let any: &dyn Any = grads;
        any.downcast_ref().unwrap_or_else(|| panic!("Wgpu: gradients of tables that another backend made"))
    }

    /// The same, to change.
    pub fn of_mut(grads: &mut dyn TableGrads) -> &mut Self {
        let any: &mut dyn Any = grads;
        any.downcast_mut().unwrap_or_else(|| panic!("Wgpu: gradients of tables that another backend made"))
    }

    pub fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of table `t`, if it has a gradient.
    pub fn keys(&self, t: usize) -> Option<Keys> {
        self.tables[t].filter(|keys| keys.lookups.is_some())
    }

    /// The keys of table `t` of so many rows, from now on if it has none.
    fn keys_of(&mut self, t: usize, rows: usize, dim: usize) -> Keys {
        let groups = self.groups.get_mut().unwrap_or_else(PoisonError::into_inner);
        *self.tables[t].get_or_insert_with(|| {
            let group = groups.iter().position(|group| group.dim == dim).unwrap_or_else(|| {
                groups.push(Group { dim, ..Group::default() });
                groups.len() - 1
            });
            let first = groups[group].end;
            groups[group].end += rows as u64;
            if groups[group].end > 1 << 32 {
                self.device.fail(format!("{} rows of {dim} numbers, and at most 2^32 have a key", groups[group].end));
            }
            Keys { group, first: first as u32, rows, lookups: None }
        })
    }

    /// Appends the lookups of tables `first ..`, of so many rows of `dim` numbers each, with the gradient of their pooled
    /// rows (`B × T × D`).
    pub fn append(
        &mut self,
        constants: &Constants,
        (first, rows, dim): (usize, &[usize], usize),
        pooling: Pooling,
        sent: &Sent,
        grad: &Tensor,
    ) {
        let keys: Vec<Keys> = rows.iter().enumerate().map(|(t, &rows)| self.keys_of(first + t, rows, dim)).collect();
        for (table, (lookups, _)) in self.tables[first..].iter_mut().flatten().zip(&sent.lists) {
            *table.lookups.get_or_insert(0) += lookups;
        }
        let (Some(Keys { group, .. }), true) = (keys.first(), sent.lookups > 0) else { return };
        let first_keys: Vec<u32> = keys.iter().map(|keys| keys.first).collect();
        let device = &self.device;
        let group = &mut self.groups.get_mut().unwrap_or_else(PoisonError::into_inner)[*group];
        group.append(device, &constants.get(device, &first_keys), rows.len(), pooling, sent, grad);
    }
}

/// Makes the sums of all rows.
pub(super) fn sum(gpu: &Wgpu, grads: &mut dyn TableGrads) {
    WgpuTableGrads::of_mut(grads).groups().iter_mut().for_each(|group| group.sum(&gpu.device));
}

impl Group {
    fn append(
        &mut self,
        device: &Arc<Device>,
        first_keys: &Arc<memory::Raw>,
        tables: usize,
        pooling: Pooling,
        sent: &Sent,
        grad: &Tensor,
    ) {
        self.unsum(device);
        let (dim, len, vectors) = (self.dim, self.len, grad.len() / self.dim);
        let before = append_rows(device, &mut self.pooled, grad, vectors, dim, len > 0);
        self.max_weight = if len > 0 { self.max_weight.max(sent.max_weight) } else { sent.max_weight };
        self.len += sent.lookups;
        let keys = self.lists.keys[0].at_least(device, self.len, len);
        let items = self.items.at_least(device, 2 * self.len, 2 * len);
        let mean = u32::from(pooling == Pooling::Mean);
        let bags = vectors / tables;
        let [bags, tables] = [bags as u32, tables as u32];
        let params = [bags, tables, sent.ids_at, sent.weights_at, mean, len as u32, before as u32];
        let buffers = [&sent.raw, first_keys, keys, items];
        device.dispatch_linear(&wgsl::LOOKUP_KEYS, &buffers, &params, vectors);
    }

    /// Sorts and sums, if that is not done yet.
    pub fn sum(&mut self, device: &Arc<Device>) {
        if self.sorted.is_some() || self.len == 0 {
            return;
        }
        let at = self.lists.sort(device, self.len, self.end);
        let runs = self.runs.at_least(device, self.len.div_ceil(RUN) * self.dim, 0);
        let (len, dim) = (self.len, self.dim);
        reserve(device, &mut self.sums, len, dim);
        let [keys, order] = [&mut self.lists.keys[at], &mut self.lists.order[at]].map(|r| r.at_least(device, len, len));
        let items = self.items.at_least(device, 2 * len, 2 * len);
        let (pooled, sums) = (memory::input(device, &self.pooled), memory::output(device, &mut self.sums));
        let params = [len as u32, dim as u32];
        let buffers = [keys, order, items, pooled, runs];
        device.dispatch_linear(&wgsl::RUN_SUMS, &buffers, &params, len.div_ceil(RUN) * dim);
        let buffers = [keys, order, items, pooled, runs, sums];
        device.dispatch_linear(&wgsl::ROW_SUMS, &buffers, &params, len * dim);
        self.sorted = Some(at);
    }

    /// The keys of the sums.
    pub fn keys(&mut self, device: &Arc<Device>) -> &Arc<memory::Raw> {
        let at = self.sorted.expect("gradients are summed");
        self.lists.keys[at].at_least(device, self.len, self.len)
    }

    /// Whether [`sum`](Self::sum) was called since there is something to sum.
    pub fn is_summed(&self) -> bool {
        self.sorted.is_some() || self.len == 0
    }

    /// Makes lookups of the sums, for more to come after them.
    fn unsum(&mut self, device: &Arc<Device>) {
        let Some(at) = self.sorted.take() else { return };
        let len = self.len;
        if let ([to, from], 1) = (&mut self.lists.keys, at) {
            device.copy((from.at_least(device, len, len), 0), (to.at_least(device, len, 0), 0), 4 * len as u64);
        }
        std::mem::swap(&mut self.pooled, &mut self.sums);
        let items = self.items.at_least(device, 2 * len, 0);
        device.dispatch_linear(&wgsl::OWN_ITEMS, &[items], &[len as u32], len);
        self.max_weight = self.max_weight.max(1.0);
    }

    fn clear(&mut self) {
        self.len = 0;
        self.sorted = None;
    }

    /// The rows of a table that have a gradient, and their sums.
    fn rows(&mut self, device: &Arc<Device>, table: Keys) -> (Vec<u32>, Vec<f32>) {
        self.sum(device);
        let Some(at) = self.sorted else { return Default::default() };
        let keys = self.lists.keys[at].read(device, self.len);
        let sums = self.sums.as_slice().chunks(self.dim);
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for (&key, sum) in keys.iter().zip(sums) {
            let row = key.wrapping_sub(table.first);
            if (row as usize) < table.rows && rows.last() != Some(&row) {
                rows.push(row);
                values.extend_from_slice(sum);
            }
        }
        (rows, values)
    }
}

/// Gives `tensor` the shape `rows × dim`, with room for twice as many as ever if it has to grow.
fn reserve(device: &Arc<Device>, tensor: &mut Tensor, rows: usize, dim: usize) {
    if tensor.buffer().capacity() < rows * dim {
        let most = device.max_binding as usize / size_of::<f32>() / dim;
        *tensor = Tensor::zeros(&[rows.next_power_of_two().min(most).max(rows), dim]);
    }
    tensor.resize(&[rows, dim]);
}

/// Copies the numbers of `from`, `rows` rows of `dim`, behind those of `to`, or to its beginning; returns which row is the
/// first of them.
fn append_rows(device: &Arc<Device>, to: &mut Tensor, from: &Tensor, rows: usize, dim: usize, behind: bool) -> usize {
    let before = if behind { to.rows() } else { 0 };
    let mut old = None;
    if to.buffer().capacity() < (before + rows) * dim && behind {
        old = Some(std::mem::take(to));
    }
    reserve(device, to, before + rows, dim);
    let raw = memory::output(device, to);
    if let Some(old) = old {
        device.copy((memory::input(device, &old), 0), (raw, 0), (4 * before * dim) as u64);
    }
    let bytes = (4 * rows * dim) as u64;
    device.copy((memory::input(device, from), 0), (raw, (4 * before * dim) as u64), bytes);
    before
}

impl TableGrads for WgpuTableGrads {
    fn clear(&mut self) {
        self.tables.iter_mut().flatten().for_each(|keys| keys.lookups = None);
        self.groups().iter_mut().for_each(Group::clear);
    }

    fn tables(&self) -> usize {
        self.tables.len()
    }

    fn rows(&self, t: usize) -> Vec<u32> {
        self.keys(t).map_or(Vec::new(), |keys| self.groups()[keys.group].rows(&self.device, keys).0)
    }

    fn values(&self, t: usize) -> Vec<f32> {
        self.keys(t).map_or(Vec::new(), |keys| self.groups()[keys.group].rows(&self.device, keys).1)
    }

    fn touched(&self, t: usize) -> Option<Touched> {
        let keys = self.keys(t)?;
        let lookups = keys.lookups?;
        Some(Touched { rows: lookups, lookups, dim: self.groups()[keys.group].dim })
    }

    fn check_finite(&self, backend: &dyn Backend, found: &mut Tensor) {
        let mut most = 1;
        for keys in self.tables.iter().flatten() {
            most = most.max(keys.lookups.unwrap_or(0));
        }
        for group in self.groups().iter().filter(|group| group.len > 0) {
            match group.sorted {
                Some(_) => backend.check_finite(1.0, &group.sums, found),
                None => backend.check_finite(most as f32 * group.max_weight.max(1.0), &group.pooled, found),
            }
        }
    }

    fn for_each_sum(&mut self, f: &mut dyn FnMut(&mut Tensor)) {
        self.groups().iter_mut().filter(|group| group.len > 0 && group.sorted.is_some()).for_each(|g| f(&mut g.sums));
    }
}
