//! Sparse gradients.

use crate::buffer::Buffer;
use dlrm_kernels::embedding_bag::RowSegments;
use std::collections::BTreeMap;

/// The gradient of an embedding table: the rows that were looked up, each once, in rising order.
///
/// With the lookups as the columns of a sparse matrix `A` (`num_embeddings × B`), the pooled output
/// is `S = AᵀW` (paper section 2.1.1, equation 2) and the gradient `dW = A·dS`: zero but for the
/// rows that occur in `A`.
#[derive(Debug, Default)]
pub struct RowGrads {
    pub(crate) segments: RowSegments,
    pub(crate) values: Buffer,
    pub(crate) dim: usize,
    pub(crate) state: Rows,
    merged: Vec<u32>,
}

/// Where the ids of a [`RowGrads`] stand.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Rows {
    /// There is no gradient.
    #[default]
    None,
    /// In the segments: the table was used once.
    Once,
    /// In a list of their own: the table was used several times.
    Merged,
}

impl RowGrads {
    /// Ids of the rows, rising, each once.
    pub fn rows(&self) -> &[u32] {
        match self.state {
            Rows::None => &[],
            Rows::Once => self.segments.rows(),
            Rows::Merged => &self.merged,
        }
    }

    /// Their gradients, `rows().len() × D`.
    pub fn values(&self) -> &[f32] {
        &self.values.as_slice()[..self.rows().len() * self.dim]
    }

    /// The length of a row, `D`.
    pub fn embedding_dim(&self) -> usize {
        self.dim
    }

    /// Forgets the gradient, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.state = Rows::None;
    }

    /// Adds the gradient of a second use of the same table.
    pub(crate) fn merge(&mut self, other: &RowGrads) {
        let mut sum: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        for grads in [&*self, other] {
            for (&row, values) in grads.rows().iter().zip(grads.values().chunks(grads.dim)) {
                let into = sum.entry(row).or_insert_with(|| vec![0.0; values.len()]);
                into.iter_mut().zip(values).for_each(|(s, v)| *s += v);
            }
        }
        self.values = Buffer::zeros(sum.len() * self.dim);
        self.values.as_mut_slice().chunks_mut(self.dim).zip(sum.values()).for_each(|(to, v)| to.copy_from_slice(v));
        self.merged = sum.into_keys().collect();
        self.state = Rows::Merged;
    }
}
