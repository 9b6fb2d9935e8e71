//! Pooled lookups: batches cut by bags forward, tables and rows shared out backward.

use super::row_grads::{CpuTableGrads, RowGrads, Source};
use super::{Cpu, LOOKUP_WORK, MIN_PARALLEL_WORK, Pooling, with_scratch};
use crate::backend::{RowFormat, StoredRows, Table, TableGrads};
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use dlrm_kernels::elementwise;
use dlrm_kernels::embedding_bag::{self as kernel, Bags};
use dlrm_kernels::quantized::quantize_rows;
use rayon::prelude::*;

/// Bags of each table a piece, at most. (On two cores of a Zen 4, pieces of 512 take 8 % longer where each bag holds one
/// lookup.)
const MAX_BAGS: usize = 1024;

/// Rows of a table a piece, when they are quantised.
const MAX_ROWS: usize = 1 << 14;

fn view(list: &JaggedTensor) -> Bags<'_> {
    Bags { indices: list.values(), offsets: list.offsets(), weights: list.weights() }
}

/// What all the lookups weigh. One waits for memory some 10 ns, and is sorted in as long.
fn work(bags: &[JaggedTensor]) -> usize {
    LOOKUP_WORK * bags.iter().map(|list| list.values().len()).sum::<usize>()
}

pub(super) fn copy_bags(cpu: &Cpu, from: &[JaggedTensor], to: &mut [JaggedTensor]) {
    assert_eq!(from.len(), to.len(), "copy_bags: lists of ids");
    let ids: usize = from.iter().map(|list| list.values().len() + list.offsets().len()).sum();
    if cpu.threads == 1 || 8 * ids < MIN_PARALLEL_WORK {
        return to.iter_mut().zip(from).for_each(|(to, from)| to.copy_from(from));
    }
    cpu.pool.install(|| to.par_iter_mut().zip(from).with_max_len(1).for_each(|(to, from)| to.copy_from(from)));
}

pub(super) fn forward(cpu: &Cpu, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor) {
    let (b, t, dim) = (out.rows(), tables.len(), out.cols() / tables.len());
    let fits = tables.iter().all(|t| t.embedding_dim() == dim) && bags.iter().all(|l| l.num_bags() == b);
    assert!(
        fits && bags.len() == t,
        "embedding bags: {} lists of ids and {t} tables into {:?}",
        bags.len(),
        out.shape()
    );
    let rows = cpu.piece(b, work(bags), 16, MAX_BAGS);
    cpu.for_each_piece(out.as_mut_slice(), rows * t * dim, |i, out| {
        let (from, m) = (i * rows, out.len() / (t * dim));
        for (t_i, (table, list)) in tables.iter().zip(bags).enumerate() {
            let bags = Bags { offsets: &list.offsets()[from..=from + m], ..view(list) };
            let out = &mut out[t_i * dim..];
            match table.rows() {
                StoredRows::F32(rows) => kernel::embedding_bag(cpu.isa, rows, dim, bags, pooling, out, t * dim),
                StoredRows::Quantized(format, rows) => {
                    kernel::embedding_bag_quantized(cpu.isa, format, rows, dim, bags, pooling, out, t * dim);
                }
            }
        }
    });
}

pub(super) fn quantize(cpu: &Cpu, table: &Table, format: Option<RowFormat>) -> Table {
    let dim = table.embedding_dim();
    table.stored_as(format, |format, values, bytes| {
        let pieces = (values.par_chunks(MAX_ROWS * dim), bytes.par_chunks_mut(MAX_ROWS * format.row_bytes(dim)));
        cpu.pool.install(|| pieces.into_par_iter().for_each(|(values, out)| quantize_rows(format, values, dim, out)));
    })
}

/// Sorts the lookups; the sums are left to the update.
pub(super) fn backward(
    cpu: &Cpu,
    tables: &[Table],
    pooling: Pooling,
    bags: &[JaggedTensor],
    grad_out: &mut Tensor,
    grads: &mut dyn TableGrads,
    first: usize,
) {
    tables.iter().for_each(Table::check_f32);
    let grads = CpuTableGrads::of_mut(grads);
    let tensor = grads.take_pooled(grad_out);
    let CpuTableGrads { rows, pooled, .. } = grads;
    let one = |t: usize, list: &JaggedTensor, grads: &mut RowGrads| {
        let dim = tables[t].embedding_dim();
        contribute(cpu, grads, pooled, |grads| {
            with_scratch(|scratch| kernel::coalesce(cpu.isa, view(list), pooling, &mut grads.segments, scratch));
            (grads.dim, grads.source) = (dim, Source::Pooled { tensor, column: t * dim });
        });
    };
    if cpu.threads == 1 || work(bags) < MIN_PARALLEL_WORK {
        return rows[first..].iter_mut().zip(bags).enumerate().for_each(|(t, (grads, list))| one(t, list, grads));
    }
    cpu.reserve_sort(bags.iter().map(|list| list.values().len()).max().unwrap_or(0));
    cpu.pool.install(|| {
        let lists = rows[first..].par_iter_mut().zip(bags).enumerate().with_max_len(1);
        lists.for_each(|(t, (grads, list))| one(t, list, grads));
    });
}

/// Fills `grads`, or adds to it if the table was used before.
fn contribute(cpu: &Cpu, grads: &mut RowGrads, pooled: &[Tensor], fill: impl FnOnce(&mut RowGrads)) {
    if let Source::None = grads.source {
        return fill(grads);
    }
    let mut more = grads.take_more();
    fill(&mut more);
    [&mut *grads, &mut *more].into_iter().for_each(|g| g.sum(cpu.isa, pooled));
    grads.add(more);
}

pub(super) fn sum(cpu: &Cpu, grads: &mut dyn TableGrads) {
    let CpuTableGrads { rows, pooled, .. } = CpuTableGrads::of_mut(grads);
    let one = |grads: &mut RowGrads| grads.sum(cpu.isa, pooled);
    if cpu.threads == 1 {
        return rows.iter_mut().for_each(one);
    }
    cpu.pool.install(|| rows.par_iter_mut().with_max_len(1).for_each(one));
}

pub(super) fn add_l2(cpu: &Cpu, l2: f32, tables: &[Table], grads: &mut dyn TableGrads) {
    let rows = &mut CpuTableGrads::of_mut(grads).rows;
    let one = |(table, grads): (&Table, &mut RowGrads)| {
        let RowGrads { segments, source, own, dim, .. } = grads;
        assert!(!matches!(source, Source::Pooled { .. } | Source::Own), "add_l2: gradients that are not summed");
        if let Source::None = source {
            return;
        }
        for (&row, grad) in segments.rows().iter().zip(own.as_mut_slice().chunks_mut(*dim)) {
            elementwise::axpy(cpu.isa, l2, table.row(row as usize), grad);
        }
    };
    if cpu.threads == 1 {
        return tables.iter().zip(&mut rows[..]).for_each(one);
    }
    cpu.pool.install(|| tables.par_iter().zip(&mut rows[..]).with_max_len(1).for_each(one));
}

pub(super) fn gather_weights(row_weights: &[Table], bags: &mut [JaggedTensor]) {
    for (table, list) in row_weights.iter().zip(bags) {
        list.weigh(|id| table.values()[id as usize]);
    }
}

pub(super) fn gather_weights_backward(
    cpu: &Cpu,
    tables: &[Table],
    pooling: Pooling,
    bags: &[JaggedTensor],
    grad_out: &Tensor,
    grads: &mut dyn TableGrads,
    first: usize,
) {
    let CpuTableGrads { rows, pooled, .. } = CpuTableGrads::of_mut(grads);
    for (t, (table, (list, grads))) in tables.iter().zip(bags.iter().zip(&mut rows[first..])).enumerate() {
        let (dim, lookups) = (table.embedding_dim(), list.values().len());
        // A weight is a row of one number, and each lookup a bag of one weight.
        let single: Vec<u32> = (0..=lookups as u32).collect();
        contribute(cpu, grads, pooled, |grads| {
            grads.own.resize(&[lookups]);
            kernel::per_sample_weight_backward(
                cpu.isa,
                table.values(),
                dim,
                view(list),
                pooling,
                &grad_out.as_slice()[(t * dim).min(grad_out.len())..],
                grad_out.cols(),
                grads.own.as_mut_slice(),
            );
            let each = Bags { indices: list.values(), offsets: &single, weights: None };
            with_scratch(|scratch| kernel::coalesce(cpu.isa, each, Pooling::Sum, &mut grads.segments, scratch));
            (grads.dim, grads.source) = (1, Source::Own);
        });
    }
}
