//! Pooled lookups, in tables that lie in slabs.

use super::lookups::Sent;
use super::table_grads::WgpuTableGrads;
use super::{Wgpu, memory, slabs};
use crate::backend::{Backend, Pooling, Table, TableGrads};
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;

pub(super) fn forward(gpu: &Wgpu, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
    if tables.iter().any(|table| table.format().is_some()) {
        // Fewer bytes a row are for serving from a processor.
        return gpu.fallback().embedding_bags(tables, pooling, bags, out);
    }
    let (b, t, dim) = (out.rows(), tables.len(), out.cols() / tables.len());
    let fits = tables.iter().all(|t| t.embedding_dim() == dim) && bags.iter().all(|l| l.num_bags() == b);
    assert!(
        fits && bags.len() == t,
        "embedding bags: {} lists of ids and {t} tables into {:?}",
        bags.len(),
        out.shape()
    );
    if out.is_empty() {
        return; // a batch of no sample
    }
    let device = &gpu.device;
    let sent = gpu.lookups.send(device, bags);
    sent.check("embedding bags", tables);
    slabs::send(device, &tables.iter().collect::<Vec<_>>());
    let slabs = slabs::by_slab(tables.iter().map(slabs::memory).enumerate(), dim);
    let pieces = gpu.constants.get(device, &pieces(&slabs));
    let out = memory::output(device, out);
    let shader = if device.f16_storage { &wgsl::EMBEDDING_BAG_F16 } else { &wgsl::EMBEDDING_BAG };
    let mut first = 0;
    for (slab, rows) in &slabs {
        let Sent { ids_at, weights_at, .. } = sent;
        let mean = u32::from(pooling == Pooling::Mean);
        let params = [b as u32, t as u32, dim as u32, first, rows.len() as u32, ids_at, weights_at, mean];
        device.dispatch_linear(shader, &[slab, &sent.raw, &pieces, out], &params, b * rows.len() * dim);
        first += rows.len() as u32;
    }
}

/// Writes the lookups down for the update.
pub(super) fn backward(
    gpu: &Wgpu,
    tables: &[Table],
    pooling: Pooling,
    bags: &[JaggedTensor],
    grad_out: &Tensor,
    grads: &mut dyn TableGrads,
    first: usize,
) {
    tables.iter().for_each(Table::check_f32);
    let [table, ..] = tables else { return };
    let rows: Vec<usize> = tables.iter().map(Table::num_embeddings).collect();
    let sent = gpu.lookups.send(&gpu.device, bags);
    let place = (first, &rows[..], table.embedding_dim());
    WgpuTableGrads::of_mut(grads).append(&gpu.constants, place, pooling, &sent, grad_out);
}

/// Has the processor compute the gradient of each row's weight, and appends these as lookups of their own.
pub(super) fn gather_weights_backward(
    gpu: &Wgpu,
    tables: &[Table],
    pooling: Pooling,
    bags: &[JaggedTensor],
    grad_out: &Tensor,
    grads: &mut dyn TableGrads,
    first: usize,
) {
    let mut summed = gpu.cpu.table_grads(tables.len());
    gpu.fallback().gather_weights_backward(tables, pooling, bags, grad_out, &mut *summed, 0);
    let grads = WgpuTableGrads::of_mut(grads);
    for (t, table) in tables.iter().enumerate() {
        let values = summed.values(t);
        let sent = gpu.lookups.send(&gpu.device, &[JaggedTensor::one_per_bag(summed.rows(t))]);
        let grad = Tensor::from_slice(&[values.len()], &values);
        let place = (first + t, &[table.num_embeddings()][..], 1);
        grads.append(&gpu.constants, place, Pooling::Sum, &sent, &grad);
    }
}

/// Every piece as the shader reads it.
fn pieces(slabs: &[(std::sync::Arc<memory::Raw>, Vec<slabs::Rows>)]) -> Vec<u32> {
    let all = slabs.iter().flat_map(|(_, rows)| rows);
    let words = all.flat_map(|rows| {
        let order = u32::from(rows.follows) + 2 * u32::from(rows.is_last);
        [rows.table as u32, rows.first_row as u32, rows.rows as u32, rows.at as u32, order]
    });
    words.collect()
}
