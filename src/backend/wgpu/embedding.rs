//! Pooled lookups, in tables that lie in slabs.

use super::lookups::Sent;
use super::{Wgpu, memory, slabs};
use crate::backend::{Backend, Pooling, Table};
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;

pub(super) fn forward(gpu: &Wgpu, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
    if tables.iter().any(|table| table.format().is_some()) {
        // Fewer bytes a row are for serving from a processor.
        return gpu.cpu.embedding_bags(tables, pooling, bags, out);
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
    slabs::send(device, tables);
    let slabs = slabs::by_slab(tables.iter().map(slabs::memory).enumerate(), dim);
    let pieces = gpu.constants.get(device, &pieces(&slabs));
    let out = memory::output(device, out);
    let mut first = 0;
    for (slab, rows) in &slabs {
        let Sent { ids_at, weights_at, .. } = sent;
        let mean = u32::from(pooling == Pooling::Mean);
        let params = [b as u32, t as u32, dim as u32, first, rows.len() as u32, ids_at, weights_at, mean];
        device.dispatch_linear(&wgsl::EMBEDDING_BAG, &[slab, &sent.raw, &pieces, out], &params, b * rows.len() * dim);
        first += rows.len() as u32;
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
