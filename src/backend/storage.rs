//! What is learned, as a backend stores it: dense parameters and embedding tables.

pub use dlrm_kernels::quantized::{RowFormat, WeightFormat};

use crate::buffer::Buffer;
use crate::tensor::{Shape, Tensor};

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
///
/// A quantized weight has this alone, for the first product alone.
#[derive(Debug, Default)]
pub struct PackedWeight {
    /// For `Y = X · Wᵀ`.
    pub forward: Buffer,
    /// For `dX = dY · W`.
    pub backward: Buffer,
    /// What `forward` is made of, if not of `f32`.
    pub format: Option<WeightFormat>,
}

impl DenseParameter {
    /// The reference's name, such as `bot_l.0.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value: `N × K` (out × in) for a weight, `N` for a bias.
    ///
    /// # Panics
    /// If it is not stored as `f32`.
    pub fn value(&self) -> &Tensor {
        self.check_f32();
        &self.value
    }

    /// The value's shape, however it is stored.
    pub fn shape(&self) -> Shape {
        self.value.shape()
    }

    /// How the value is stored, if not as `f32`.
    pub fn format(&self) -> Option<WeightFormat> {
        self.packed.format
    }

    /// Bytes of the value as it is stored; the packed copies of an `f32` weight come on top.
    pub fn stored_bytes(&self) -> usize {
        size_of::<f32>() * if self.format().is_some() { self.packed.forward.len() } else { self.value.len() }
    }

    /// # Panics
    /// If the value is not stored as `f32`.
    #[track_caller]
    pub(crate) fn check_f32(&self) {
        if let Some(format) = self.format() {
            panic!("{}: a weight of {} is to multiply with, not to learn or to read as f32", self.name, format.name());
        }
    }

    /// The packed copies of a weight.
    pub fn packed(&self) -> &PackedWeight {
        &self.packed
    }
}

/// An embedding table: `num_embeddings` rows of `embedding_dim` numbers, on huge pages.
///
/// How a row is stored is the table's own affair ([`StoredRows`]): models see ids going in and
/// pooled `f32` vectors coming out.
#[derive(Debug)]
pub struct Table {
    name: String,
    num_embeddings: usize,
    embedding_dim: usize,
    /// The rows, whatever they are made of.
    values: Buffer,
    /// What they are made of, if not of `f32`.
    format: Option<RowFormat>,
}

/// The rows of a table as they lie in memory, one after the other.
#[derive(Debug, Clone, Copy)]
pub enum StoredRows<'a> {
    /// `f32`, to learn or to look up.
    F32(&'a [f32]),
    /// Fewer bytes, to look up alone.
    Quantized(RowFormat, &'a [u8]),
}

impl Table {
    /// `num_embeddings × embedding_dim` zeros.
    pub(crate) fn zeros(name: String, num_embeddings: usize, embedding_dim: usize) -> Self {
        let values = Buffer::zeros(num_embeddings * embedding_dim);
        Table { name, num_embeddings, embedding_dim, values, format: None }
    }

    /// A table of the name and size of this one whose rows are those that `fill` writes, or a copy if
    /// they are to be `f32`.
    pub(crate) fn stored_as(&self, format: Option<RowFormat>, fill: impl FnOnce(RowFormat, &[f32], &mut [u8])) -> Self {
        let Table { num_embeddings, embedding_dim, .. } = *self;
        let mut table =
            Table { name: self.name.clone(), num_embeddings, embedding_dim, values: Buffer::default(), format };
        table.values = Buffer::zeros(table.stored_bytes().div_ceil(size_of::<f32>()));
        match format {
            None => table.values.as_mut_slice().copy_from_slice(self.values()),
            Some(format) => {
                let bytes = table.stored_bytes();
                let all: &mut [u8] = bytemuck::cast_slice_mut(table.values.as_mut_slice());
                fill(format, self.values(), &mut all[..bytes]);
            }
        }
        table
    }

    /// A table without numbers, for a plan of what is to be.
    pub(crate) fn hollow(name: String, num_embeddings: usize, embedding_dim: usize) -> Self {
        Table { name, num_embeddings, embedding_dim, values: Buffer::default(), format: None }
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

    /// How the rows are stored, if not as `f32`.
    pub fn format(&self) -> Option<RowFormat> {
        self.format
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.format.map_or(size_of::<f32>() * self.embedding_dim, |format| format.row_bytes(self.embedding_dim))
    }

    /// Bytes of all rows.
    pub fn stored_bytes(&self) -> usize {
        self.num_embeddings * self.row_bytes()
    }

    /// Where the rows are, for a backend on a device.
    pub fn buffer(&self) -> &Buffer {
        &self.values
    }

    /// The same, to write.
    pub fn buffer_mut(&mut self) -> &mut Buffer {
        &mut self.values
    }

    /// The rows as they are stored.
    pub fn rows(&self) -> StoredRows<'_> {
        match self.format {
            None => StoredRows::F32(self.values.as_slice()),
            Some(format) => {
                let all: &[u8] = bytemuck::cast_slice(self.values.as_slice());
                StoredRows::Quantized(format, &all[..self.stored_bytes()])
            }
        }
    }

    /// All rows, one after the other.
    ///
    /// # Panics
    /// If they are not stored as `f32`.
    pub fn values(&self) -> &[f32] {
        self.check_f32();
        self.values.as_slice()
    }

    /// All rows, to write.
    ///
    /// # Panics
    /// If they are not stored as `f32`.
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.check_f32();
        self.values.as_mut_slice()
    }

    /// Row `id`.
    ///
    /// # Panics
    /// If `id` is not below [`num_embeddings`](Self::num_embeddings), or rows are not stored as `f32`.
    pub fn row(&self, id: usize) -> &[f32] {
        &self.values()[id * self.embedding_dim..][..self.embedding_dim]
    }

    /// # Panics
    /// If the rows are not stored as `f32`.
    #[track_caller]
    pub(crate) fn check_f32(&self) {
        if let Some(format) = self.format {
            panic!("{}: rows of {} are to look up, not to learn or to read as f32", self.name, format.name());
        }
    }
}
