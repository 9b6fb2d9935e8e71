//! GPUs, through `wgpu`: Vulkan, Metal or DX12, whichever the system has.
//!
//! Tensors and tables stay on the device from step to step ([`Buffer`](crate::buffer::Buffer)): ids, dense features and
//! labels go up, and what someone looks at comes down. Operations are written down, and go to the device once a step
//! ([`submit`](Backend::submit)); it computes while the next batch is made. Shaders are in the crate `dlrm-kernels`, in
//! `kernels/wgsl`, one operation a file. What has no shader is computed by the processor, with the same result and a wait.

mod adapter;
mod device;
mod elementwise;
mod memory;
mod pipelines;

pub use adapter::{AdapterChoice, adapters};
pub use device::Counts;

use super::{Activation, Backend, Beta, Cpu, DenseGrads, Dropout, Interaction, LinearGrads, LossKind, Pooling};
use crate::backend::{DenseParameter, PackedWeight, RowFormat, State, Table, TableGrads, UpdateStep, WeightFormat};
use crate::error::Result;
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use device::Device;
use std::sync::Arc;

/// Steps whose losses are looked at together.
const STEPS_BETWEEN_LOOKS: usize = 16;

/// How to set up a [`Wgpu`].
#[derive(Debug, Clone, Default)]
pub struct WgpuOptions {
    /// On which adapter.
    pub adapter: AdapterChoice,
    /// The most bytes of a buffer that a shader is to see, if fewer than the adapter allows: tables are cut there.
    pub max_binding: Option<u64>,
    /// Threads of the processor, for what has no shader; 0 means one for each.
    pub threads: usize,
}

/// The backend of a GPU.
#[derive(Debug)]
pub struct Wgpu {
    device: Arc<Device>,
    /// For what has no shader.
    cpu: Cpu,
}

impl Wgpu {
    /// A device of the adapter that `options` ask for.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if there is no such adapter, with those that there are, or its driver
    /// refuses.
    pub fn new(options: &WgpuOptions) -> Result<Self> {
        Ok(Wgpu { device: Device::open(&options.adapter, options.max_binding)?, cpu: Cpu::new(options.threads) })
    }

    /// Threads of the processor, for what has no shader.
    pub fn threads(&self) -> usize {
        self.cpu.threads()
    }

    /// Waits until everything called so far is computed.
    ///
    /// # Errors
    /// As [`status`](Backend::status).
    pub fn wait(&self) -> Result<()> {
        self.device.wait();
        self.device.status()
    }

    /// What the device was given to do so far.
    pub fn counts(&self) -> Counts {
        self.device.counts()
    }
}

impl Backend for Wgpu {
    fn describe(&self) -> String {
        self.device.name.clone()
    }

    fn available_memory(&self) -> Option<u64> {
        self.cpu.available_memory()
    }

    fn submit(&self) {
        self.device.submit();
    }

    fn status(&self) -> Result<()> {
        self.device.status()
    }

    fn steps_between_looks(&self) -> usize {
        STEPS_BETWEEN_LOOKS
    }

    fn scope(&self, work: &mut (dyn FnMut() + Send)) {
        self.cpu.scope(work);
    }

    fn table_grads(&self, tables: usize) -> Box<dyn TableGrads> {
        self.cpu.table_grads(tables)
    }

    fn fill_uniform(&self, table: &mut Table, key: u64, low: f64, high: f64) {
        self.cpu.fill_uniform(table, key, low, high);
    }

    fn quantize_table(&self, table: &Table, format: Option<RowFormat>) -> Table {
        self.cpu.quantize_table(table, format)
    }

    fn pack(&self, weight: &Tensor, packed: &mut PackedWeight) {
        self.cpu.pack(weight, packed);
    }

    fn packed_lens(&self, n: usize, k: usize) -> [usize; 2] {
        self.cpu.packed_lens(n, k)
    }

    fn pack_quantized(&self, weight: &Tensor, format: WeightFormat, packed: &mut PackedWeight) {
        self.cpu.pack_quantized(weight, format, packed);
    }

    fn linear(
        &self,
        x: &Tensor,
        weight: &DenseParameter,
        bias: Option<&DenseParameter>,
        act: Activation,
        y: &mut Tensor,
    ) {
        self.cpu.linear(x, weight, bias, act, y);
    }

    fn linear_backward(
        &self,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        weight: &DenseParameter,
        act: Activation,
        grads: LinearGrads<'_>,
    ) {
        self.cpu.linear_backward(x, y, dy, weight, act, grads);
    }

    fn sigmoid(&self, x: &Tensor, y: &mut Tensor) {
        self.cpu.sigmoid(x, y);
    }

    fn sigmoid_backward(&self, y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        self.cpu.sigmoid_backward(y, dy, dx, beta);
    }

    fn clamp(&self, x: &Tensor, bound: f32, y: &mut Tensor) {
        self.cpu.clamp(x, bound, y);
    }

    fn clamp_backward(&self, x: &Tensor, bound: f32, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        self.cpu.clamp_backward(x, bound, dy, dx, beta);
    }

    fn add_to(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::add_to(self, x, y, beta);
    }

    fn mul(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        self.cpu.mul(a, b, y, beta);
    }

    fn dot_rows(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        self.cpu.dot_rows(a, b, y, beta);
    }

    fn sum_rows(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        self.cpu.sum_rows(x, y, beta);
    }

    fn put_columns(&self, x: &Tensor, first: usize, out: &mut Tensor) {
        self.cpu.put_columns(x, first, out);
    }

    fn take_columns(&self, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta) {
        self.cpu.take_columns(from, first, x, beta);
    }

    fn embedding_bags(&self, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
        self.cpu.embedding_bags(tables, pooling, bags, out);
    }

    fn embedding_bags_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &mut Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    ) {
        self.cpu.embedding_bags_backward(tables, pooling, bags, grad_out, grads, first);
    }

    fn gather_weights(&self, row_weights: &[Table], bags: &mut [JaggedTensor]) {
        self.cpu.gather_weights(row_weights, bags);
    }

    fn gather_weights_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    ) {
        self.cpu.gather_weights_backward(tables, pooling, bags, grad_out, grads, first);
    }

    fn interaction(&self, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
        self.cpu.interaction(kind, dense, pooled, out);
    }

    fn interaction_backward(
        &self,
        kind: Interaction,
        dense: Option<&Tensor>,
        pooled: &Tensor,
        grad_out: &Tensor,
        grads: [Option<(&mut Tensor, Beta)>; 2],
    ) {
        self.cpu.interaction_backward(kind, dense, pooled, grad_out, grads);
    }

    fn loss(&self, kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor) {
        self.cpu.loss(kind, logits, labels, out);
    }

    fn loss_backward(
        &self,
        kind: LossKind,
        logits: &Tensor,
        labels: &Tensor,
        grad_out: &Tensor,
        dx: &mut Tensor,
        beta: Beta,
    ) {
        self.cpu.loss_backward(kind, logits, labels, grad_out, dx, beta);
    }

    fn dropout(&self, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta) {
        self.cpu.dropout(mask, x, y, beta);
    }

    fn copy(&self, from: &[f32], to: &mut [f32]) {
        self.cpu.copy(from, to);
    }

    fn scale(&self, a: f32, x: &mut Tensor) {
        self.cpu.scale(a, x);
    }

    fn sum_of_squares(&self, x: &Tensor) -> f64 {
        self.cpu.sum_of_squares(x)
    }

    fn check_finite(&self, factor: f32, x: &Tensor, found: &mut Tensor) {
        self.cpu.check_finite(factor, x, found);
    }

    fn sum_table_grads(&self, grads: &mut dyn TableGrads) {
        self.cpu.sum_table_grads(grads);
    }

    fn add_l2(&self, l2: f32, tables: &[Table], grads: &mut dyn TableGrads) {
        self.cpu.add_l2(l2, tables, grads);
    }

    fn update_dense<'a>(
        &self,
        step: UpdateStep<'_>,
        parameters: &mut [DenseParameter],
        grads: &'a DenseGrads<'a>,
        states: &mut [State],
    ) {
        self.cpu.update_dense(step, parameters, grads, states);
    }

    fn update_tables(&self, step: UpdateStep<'_>, tables: &mut [Table], grads: &dyn TableGrads, states: &mut [State]) {
        self.cpu.update_tables(step, tables, grads, states);
    }
}
