//! GPUs, through `wgpu`: Vulkan, Metal or DX12, whichever the system has.
//!
//! Tensors and tables stay on the device from step to step ([`Buffer`](crate::buffer::Buffer)): ids, dense features and
//! labels go up, and what someone looks at comes down. Operations are written down, and go to the device once a step
//! ([`submit`](Backend::submit)); it computes while the next batch is made. Shaders are in the crate `dlrm-kernels`, in
//! `kernels/wgsl`, one operation a file. What has no shader is computed by the processor, with the same result and a wait.

mod adapter;
mod adjust;
mod clock;
mod device;
mod elementwise;
mod embedding;
mod halves;
mod interaction;
mod linear;
mod lookups;
mod loss;
mod memory;
mod pipelines;
mod room;
mod slabs;
mod sort;
mod table_grads;
mod update_dense;
mod update_tables;

pub use adapter::{AdapterChoice, adapters};
pub use device::Counts;

use super::{Activation, Backend, Beta, Cpu, DenseGrads, Dropout, Interaction, LinearGrads, LossKind, Pooling};
use crate::backend::{
    DenseParameter, DeviceRoom, DeviceSpan, PackedWeight, RowFormat, State, Table, TableGrads, UpdateStep, WeightFormat,
};
use crate::error::Result;
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use device::Device;
use memory::Raw;
use std::sync::{Arc, Mutex};

/// Steps whose losses are looked at together.
const STEPS_BETWEEN_LOOKS: usize = 16;

/// How to set up a [`Wgpu`].
#[derive(Debug, Clone, Default)]
pub struct WgpuOptions {
    /// On which adapter.
    pub adapter: AdapterChoice,
    /// The most bytes of a buffer that a shader is to see, if fewer than the adapter allows: tables are cut there.
    pub max_binding: Option<u64>,
    /// Tables, activations between linear layers, and the interaction's output are stored in f16 on the device: half the
    /// memory, and half the bytes moved. Sums and gradients are of f32, and so are pooled vectors, weights of layers, and
    /// what an optimizer remembers.
    ///
    /// Numbers of a table are rounded to the nearest when it goes there, and a step of the optimizer up or down at random
    /// with the right mean, the same each run; whoever looks at a table sees them as f32. Those beyond ±65,504 become
    /// ±65,504; an activation there becomes infinite. An adapter without the feature `SHADER_F16` is an error.
    pub f16_storage: bool,
    /// Nothing is used that an adapter may lack: no subgroups. Slower, and the same but for rounding; for a driver with
    /// faults, and to compare.
    pub core_only: bool,
    /// Threads of the processor, for what has no shader; 0 means one for each.
    pub threads: usize,
}

/// The backend of a GPU.
#[derive(Debug)]
pub struct Wgpu {
    device: Arc<Device>,
    slices: linear::Slices,
    /// For what is not the device's affair, and through [`fallback`](Self::fallback) for what has no shader.
    cpu: Cpu,
    /// The number 0, for a shader to read where there is none, and to have where nobody wants what it would write.
    zero: Arc<Raw>,
    /// Sums of squares on their way here.
    sums: Mutex<Tensor>,
    /// Lists of ids that are on the device.
    lookups: lookups::Lookups,
    /// Small lists that never change.
    constants: lookups::Constants,
}

impl Wgpu {
    /// A device of the adapter that `options` ask for.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if there is no such adapter, with those that there are, its driver
    /// refuses, or it has no `SHADER_F16` and storage in f16 is asked for.
    pub fn new(options: &WgpuOptions) -> Result<Self> {
        let device = Device::open(options)?;
        Ok(Wgpu {
            slices: linear::Slices::default(),
            cpu: Cpu::new(options.threads),
            zero: device.create("a zero", 4),
            sums: Mutex::default(),
            lookups: Default::default(),
            constants: Default::default(),
            device,
        })
    }

    /// Gives up the device with its memory, now and not when the last who has it lets go. Whatever is asked of it
    /// afterwards is [`Error::Device`](crate::Error::Device), as after a driver has lost it.
    pub fn close(&self) {
        self.device.fail("the device is closed".into());
        self.device.device.destroy();
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

    /// The processor, for an operation on what may be on the device, and has no shader there: numbers come down, and go
    /// up again where they are needed.
    fn fallback(&self) -> &Cpu {
        self.device.count_fallback();
        &self.cpu
    }
}

impl Backend for Wgpu {
    fn describe(&self) -> String {
        self.device.name.clone()
    }

    fn available_memory(&self) -> Option<u64> {
        self.cpu.available_memory()
    }

    fn device_room(&self) -> Option<DeviceRoom> {
        let (most_of_one, small_table) = (self.device.max_binding, slabs::LARGE as u64);
        let Device { is_shared, f16_storage: half_tables, .. } = *self.device;
        Some(DeviceRoom { most_of_one, small_table, half_tables, is_shared })
    }

    fn submit(&self) {
        self.device.submit();
    }

    fn status(&self) -> Result<()> {
        self.device.status()
    }

    fn begin_timing(&self) -> Result<bool> {
        self.device.begin_timing().map(|()| true)
    }

    fn mark(&self, call: Option<u64>) {
        self.device.mark(call);
    }

    fn take_spans(&self) -> Vec<DeviceSpan> {
        self.device.take_spans()
    }

    fn steps_between_looks(&self) -> usize {
        STEPS_BETWEEN_LOOKS
    }

    fn scope(&self, work: &mut (dyn FnMut() + Send)) {
        self.cpu.scope(work);
    }

    fn table_grads(&self, tables: usize) -> Box<dyn TableGrads> {
        Box::new(table_grads::WgpuTableGrads::new(&self.device, tables))
    }

    fn fill_uniform(&self, table: &mut Table, key: u64, low: f64, high: f64) {
        self.cpu.fill_uniform(table, key, low, high);
        slabs::send_large(&self.device, table);
    }

    fn quantize_table(&self, table: &Table, format: Option<RowFormat>) -> Table {
        self.cpu.quantize_table(table, format)
    }

    /// Shaders read weights as they are.
    fn pack(&self, _: &Tensor, _: &mut PackedWeight) {}

    fn packed_lens(&self, _: usize, _: usize) -> [usize; 2] {
        [0, 0]
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
        linear::forward(self, x, weight, bias, act, y);
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
        linear::backward(self, [x, y], dy, weight, act, grads);
    }

    fn sigmoid(&self, x: &Tensor, y: &mut Tensor) {
        loss::sigmoid(self, x, y);
    }

    fn sigmoid_backward(&self, y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        loss::sigmoid_backward(self, y, dy, dx, beta);
    }

    fn clamp(&self, x: &Tensor, bound: f32, y: &mut Tensor) {
        loss::clamp(self, x, bound, y);
    }

    fn clamp_backward(&self, x: &Tensor, bound: f32, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
        loss::clamp_backward(self, [x, dy], bound, dx, beta);
    }

    fn add_to(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::add_to(self, x, y, beta);
    }

    fn mul(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::mul(self, [a, b], y, beta);
    }

    fn dot_rows(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::dot_rows(self, [a, b], y, beta);
    }

    fn sum_rows(&self, x: &Tensor, y: &mut Tensor, beta: Beta) {
        elementwise::sum_rows(self, x, y, beta);
    }

    fn put_columns(&self, x: &Tensor, first: usize, out: &mut Tensor) {
        elementwise::put_columns(self, x, first, out);
    }

    fn take_columns(&self, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta) {
        elementwise::take_columns(self, from, first, x, beta);
    }

    fn embedding_bags(&self, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
        embedding::forward(self, tables, pooling, bags, out);
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
        embedding::backward(self, tables, pooling, bags, grad_out, grads, first);
    }

    fn gather_weights(&self, row_weights: &[Table], bags: &mut [JaggedTensor]) {
        self.fallback().gather_weights(row_weights, bags);
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
        embedding::gather_weights_backward(self, tables, pooling, bags, grad_out, grads, first);
    }

    fn interaction(&self, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
        interaction::forward(self, kind, dense, pooled, out);
    }

    fn interaction_backward(
        &self,
        kind: Interaction,
        dense: Option<&Tensor>,
        pooled: &Tensor,
        grad_out: &Tensor,
        grads: [Option<(&mut Tensor, Beta)>; 2],
    ) {
        interaction::backward(self, kind, dense, pooled, grad_out, grads);
    }

    fn loss(&self, kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor) {
        loss::forward(self, kind, logits, labels, out);
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
        loss::backward(self, kind, [logits, labels, grad_out], dx, beta);
    }

    fn dropout(&self, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta) {
        adjust::dropout(self, mask, x, y, beta);
    }

    fn copy(&self, from: &[f32], to: &mut [f32]) {
        self.cpu.copy(from, to);
    }

    fn copy_bags(&self, from: &[JaggedTensor], to: &mut [JaggedTensor]) {
        self.cpu.copy_bags(from, to);
    }

    fn scale(&self, a: f32, x: &mut Tensor) {
        adjust::scale(self, a, x);
    }

    fn sum_of_squares(&self, x: &Tensor) -> f64 {
        adjust::sum_of_squares(self, x)
    }

    fn check_finite(&self, factor: f32, x: &Tensor, found: &mut Tensor) {
        adjust::check_finite(self, factor, x, found);
    }

    fn sum_table_grads(&self, grads: &mut dyn TableGrads) {
        table_grads::sum(self, grads);
    }

    fn add_l2(&self, l2: f32, tables: &[Table], grads: &mut dyn TableGrads) {
        update_tables::add_l2(self, l2, tables, grads);
    }

    fn update_dense<'a>(
        &self,
        step: UpdateStep<'_>,
        parameters: &mut [DenseParameter],
        grads: &'a DenseGrads<'a>,
        states: &mut [State],
    ) {
        update_dense::update(self, step, parameters, grads, states);
    }

    fn update_tables(&self, step: UpdateStep<'_>, tables: &mut [Table], grads: &dyn TableGrads, states: &mut [State]) {
        update_tables::tables(self, step, tables, grads, states);
    }
}
