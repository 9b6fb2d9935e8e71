//! What is learned, as a backend stores it: dense parameters and embedding tables.

use crate::buffer::Buffer;
use crate::tensor::Tensor;

/// A weight matrix or a bias vector.
#[derive(Debug)]
pub struct DenseParameter {
    pub(crate) name: String,
    pub(crate) value: Tensor,
    pub(crate) packed: PackedWeight,
}

/// A weight matrix once more, in the two orders in which the backend's GEMM reads it.
///
/// Packed when the weight changes, so once a training step, and used by every product with it.
/// Empty for a bias. The layout is the backend's own.
#[derive(Debug, Default)]
pub struct PackedWeight {
    /// For `Y = X · Wᵀ`.
    pub forward: Buffer,
    /// For `dX = dY · W`.
    pub backward: Buffer,
}

impl DenseParameter {
    /// The reference's name, such as `bot_l.0.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value: `N × K` (out × in) for a weight, `N` for a bias.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The packed copies of a weight.
    pub fn packed(&self) -> &PackedWeight {
        &self.packed
    }
}

/// An embedding table: `num_embeddings` rows of `embedding_dim` numbers, on huge pages.
///
/// How a row is stored (`f32` today) is the table's own affair: models see ids going in and
/// pooled `f32` vectors coming out.
#[derive(Debug)]
pub struct Table {
    name: String,
    num_embeddings: usize,
    embedding_dim: usize,
    values: Buffer,
}

impl Table {
    /// `num_embeddings × embedding_dim` zeros.
    pub(crate) fn zeros(name: String, num_embeddings: usize, embedding_dim: usize) -> Self {
        Table { name, num_embeddings, embedding_dim, values: Buffer::zeros(num_embeddings * embedding_dim) }
    }

    /// A table without numbers, for a plan of what is to be.
    pub(crate) fn hollow(name: String, num_embeddings: usize, embedding_dim: usize) -> Self {
        Table { name, num_embeddings, embedding_dim, values: Buffer::default() }
    }

    /// The reference's name, such as `emb_l.3.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rows there are; ids are below it.
    pub fn num_embeddings(&self) -> usize {
        self.num_embeddings
    }

    /// The length of a row, `D`.
    pub fn embedding_dim(&self) -> usize {
        self.embedding_dim
    }

    /// All rows, one after the other.
    pub fn values(&self) -> &[f32] {
        self.values.as_slice()
    }

    /// All rows, to write.
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.values.as_mut_slice()
    }

    /// Row `id`.
    ///
    /// # Panics
    /// If `id` is not below [`num_embeddings`](Self::num_embeddings).
    pub fn row(&self, id: usize) -> &[f32] {
        &self.values()[id * self.embedding_dim..][..self.embedding_dim]
    }
}
