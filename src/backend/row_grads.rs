//! Sparse gradients.

use crate::buffer::Buffer;
use crate::tensor::Tensor;
use dlrm_kernels::embedding_bag::{RowGradient, RowSegments, embedding_bag_backward};
use dlrm_kernels::{Isa, Scratch};
use std::collections::BTreeMap;

/// The gradients of all embedding tables, each as the product it is.
///
/// With the lookups of a table as a sparse matrix `A` (`num_embeddings × B`), the pooled output is
/// `S = AᵀW` (paper section 2.1.1, equation 2) and the gradient `dW = A·dS`: zero but for the rows
/// that occur in `A`. Kept are `A`, sorted by row, and `dS`, which the backward pass has anyway; the
/// sums are made when the optimizer updates the rows, and never stored.
#[derive(Debug, Default)]
pub struct TableGrads {
    pub(crate) rows: Vec<RowGrads>,
    /// Gradients of pooled rows (`B × T × D`), one for each time that tables were looked up.
    pub(crate) pooled: Vec<Tensor>,
    /// How many of them belong to this backward pass.
    used: usize,
}

/// What the lookups of one table contribute to its gradient.
#[derive(Debug, Default)]
pub(crate) struct RowGrads {
    pub(crate) segments: RowSegments,
    pub(crate) source: Source,
    /// Gradients of this table alone, if its source says so.
    pub(crate) own: Buffer,
    pub(crate) dim: usize,
}

/// Where the gradients of a table's bags are.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) enum Source {
    /// There are none.
    #[default]
    None,
    /// In the tensor of this number, from this column on.
    Pooled { tensor: usize, column: usize },
    /// In the table's own list, `dim` a bag.
    Own,
}

impl TableGrads {
    /// No gradient yet, of `tables` tables.
    pub(crate) fn new(tables: usize) -> Self {
        let mut grads = TableGrads::default();
        grads.rows.resize_with(tables, RowGrads::default);
        grads
    }

    /// Forgets the gradients, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.rows.iter_mut().for_each(|r| r.source = Source::None);
        self.used = 0;
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes `grad`, the gradient of pooled rows, in exchange for memory of an earlier step; returns
    /// its number.
    pub(crate) fn take_pooled(&mut self, grad: &mut Tensor) -> usize {
        if self.used == self.pooled.len() {
            self.pooled.push(Tensor::default());
        }
        std::mem::swap(&mut self.pooled[self.used], grad);
        self.used += 1;
        self.used - 1
    }

    /// Ids of the rows of table `t` that have a gradient, rising, each once.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn rows(&self, t: usize) -> &[u32] {
        self.gradient(t).map_or(&[], |g| g.rows())
    }

    /// The gradients of [`rows`](Self::rows), `rows × D`, summed for whoever wants to look at them.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn values(&self, t: usize) -> Vec<f32> {
        self.rows[t].values(&self.pooled)
    }

    /// The gradient of table `t` as the kernels take it, if there is one.
    pub(crate) fn gradient(&self, t: usize) -> Option<RowGradient<'_>> {
        self.rows[t].gradient(&self.pooled)
    }
}

impl RowGrads {
    fn gradient<'a>(&'a self, pooled: &'a [Tensor]) -> Option<RowGradient<'a>> {
        let (grad_out, stride) = match self.source {
            Source::None => return None,
            Source::Pooled { tensor, column } => {
                let all = pooled[tensor].as_slice();
                (&all[column.min(all.len())..], pooled[tensor].cols())
            }
            Source::Own => (self.own.as_slice(), self.dim),
        };
        Some(RowGradient::new(&self.segments, grad_out, stride, self.dim))
    }

    fn values(&self, pooled: &[Tensor]) -> Vec<f32> {
        let Some(gradient) = self.gradient(pooled) else { return Vec::new() };
        let mut values = vec![0.0; gradient.rows().len() * self.dim];
        embedding_bag_backward(Isa::scalar(), gradient, &mut values, &mut Scratch::new());
        values
    }

    /// Adds what `fill` makes of an empty one: a second use of the same table.
    pub(crate) fn add(&mut self, pooled: &[Tensor], fill: impl FnOnce(&mut RowGrads)) {
        let mut more = RowGrads::default();
        fill(&mut more);
        let mut sum: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        for grads in [&*self, &more] {
            let values = grads.values(pooled);
            for (&row, values) in grads.segments.rows().iter().zip(values.chunks(grads.dim)) {
                let into = sum.entry(row).or_insert_with(|| vec![0.0; values.len()]);
                into.iter_mut().zip(values).for_each(|(s, v)| *s += v);
            }
        }
        self.own.resize(sum.len() * self.dim);
        self.own.as_mut_slice().chunks_mut(self.dim).zip(sum.values()).for_each(|(to, v)| to.copy_from_slice(v));
        self.segments.set_one_each(sum.into_keys());
        self.source = Source::Own;
    }
}
