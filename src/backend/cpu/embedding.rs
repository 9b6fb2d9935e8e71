//! Pooled lookups: batches cut by bags forward, tables and rows shared out backward.

use super::{Cpu, MIN_PARALLEL_WORK, Pooling};
use crate::backend::row_grads::Rows;
use crate::backend::{RowGrads, Table};
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use dlrm_kernels::embedding_bag::{self as kernel, Bags};
use rayon::prelude::*;

/// Bags of each table a piece, at most.
const MAX_BAGS: usize = 512;

/// Rows of one table's gradient a piece.
const ROWS_PIECE: usize = 1 << 11;

fn view(list: &JaggedTensor) -> Bags<'_> {
    Bags { indices: list.values(), offsets: list.offsets(), weights: list.weights() }
}

/// Numbers read and added, in all lists.
fn work(tables: &[Table], bags: &[JaggedTensor]) -> usize {
    tables.iter().zip(bags).map(|(t, b)| t.embedding_dim() * b.values().len()).sum()
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
    let rows = cpu.piece(b, 8 * work(tables, bags), 16, MAX_BAGS);
    cpu.for_each_piece(out.as_mut_slice(), rows * t * dim, |i, out| {
        let (from, m) = (i * rows, out.len() / (t * dim));
        for (t_i, (table, list)) in tables.iter().zip(bags).enumerate() {
            let bags = Bags { offsets: &list.offsets()[from..=from + m], ..view(list) };
            kernel::embedding_bag(cpu.isa, table.values(), dim, bags, pooling, &mut out[t_i * dim..], t * dim);
        }
    });
}

pub(super) fn backward(
    cpu: &Cpu,
    tables: &[Table],
    pooling: Pooling,
    bags: &[JaggedTensor],
    grad_out: &Tensor,
    grads: &mut [RowGrads],
) {
    let stride = grad_out.cols();
    let one = |t: usize, list: &JaggedTensor, grads: &mut RowGrads| {
        let dim = tables[t].embedding_dim();
        let grad_out = &grad_out.as_slice()[t * dim..];
        Pooled { bags: view(list), pooling, grad_out, stride, dim }.contribute(cpu, grads);
    };
    if cpu.threads == 1 || 8 * work(tables, bags) < MIN_PARALLEL_WORK {
        return grads.iter_mut().zip(bags).enumerate().for_each(|(t, (grads, list))| one(t, list, grads));
    }
    cpu.pool.install(|| {
        let all = grads.par_iter_mut().zip(bags).enumerate().with_max_len(1);
        all.for_each(|(t, (grads, list))| one(t, list, grads));
    });
}

/// One list of bags, and the gradient of what they were pooled to.
#[derive(Clone, Copy)]
struct Pooled<'a> {
    bags: Bags<'a>,
    pooling: Pooling,
    /// Bag `b`'s is `grad_out[b · stride ..][..dim]`.
    grad_out: &'a [f32],
    stride: usize,
    dim: usize,
}

impl Pooled<'_> {
    /// Adds this list's share to the gradient of its table.
    fn contribute(self, cpu: &Cpu, grads: &mut RowGrads) {
        if grads.rows().is_empty() {
            return self.overwrite(cpu, grads);
        }
        let mut more = RowGrads::default();
        self.overwrite(cpu, &mut more);
        grads.merge(&more);
    }

    fn overwrite(self, cpu: &Cpu, grads: &mut RowGrads) {
        let Pooled { bags, pooling, grad_out, stride, dim } = self;
        let RowGrads { segments, values, .. } = grads;
        kernel::coalesce(bags, segments);
        values.resize(segments.rows().len() * dim);
        let segments = &*segments;
        cpu.for_each_piece(values.as_mut_slice(), ROWS_PIECE * dim, |i, values| {
            let range = i * ROWS_PIECE..i * ROWS_PIECE + values.len() / dim;
            kernel::embedding_bag_backward(cpu.isa, segments, range, bags, pooling, grad_out, stride, dim, values);
        });
        grads.dim = dim;
        grads.state = Rows::Once;
    }
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
    grads: &mut [RowGrads],
) {
    for (t, (table, (list, grads))) in tables.iter().zip(bags.iter().zip(grads)).enumerate() {
        let (dim, lookups) = (table.embedding_dim(), list.values().len());
        let mut by_lookup = vec![0.0; lookups];
        let grad_out_t = &grad_out.as_slice()[t * dim..];
        kernel::per_sample_weight_backward(
            cpu.isa,
            table.values(),
            dim,
            view(list),
            pooling,
            grad_out_t,
            grad_out.cols(),
            &mut by_lookup,
        );
        // A weight is a row of one number, and each lookup a bag of one weight.
        let single: Vec<u32> = (0..=lookups as u32).collect();
        let bags = Bags { indices: list.values(), offsets: &single, weights: None };
        Pooled { bags, pooling: Pooling::Sum, grad_out: &by_lookup, stride: 1, dim: 1 }.contribute(cpu, grads);
    }
}
