//! What a model learns: dense parameters and embedding tables, outside the tape.

mod norms;
mod quantized;

pub use crate::backend::{DenseParameter, PackedWeight, Table};
pub use norms::Norms;
pub use quantized::Quantization;

use crate::backend::Backend;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Names a dense parameter of a [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenseId(pub(crate) usize);

/// Names an embedding table of a [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableId(pub(crate) usize);

/// Every parameter of a model, by name and in the order they were added.
///
/// Parameters live here and not on the tape: the tape is rebuilt each step, they stay. Layers keep
/// the ids; an [`Optimizer`](crate::optim::Optimizer) walks over all of them.
#[derive(Debug)]
pub struct Parameters {
    backend: Arc<dyn Backend>,
    dense: Vec<DenseParameter>,
    tables: Vec<Table>,
    /// Whether names and shapes are all that is kept.
    hollow: bool,
}

impl Parameters {
    /// No parameter yet; those to come live on `backend`.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Parameters { backend, dense: Vec::new(), tables: Vec::new(), hollow: false }
    }

    /// No parameter yet; of those to come only names and shapes are kept. A model made with it tells what a file has to
    /// hold, before memory is taken for it.
    pub(crate) fn plan(backend: Arc<dyn Backend>) -> Self {
        Parameters { hollow: true, ..Parameters::new(backend) }
    }

    /// Where the parameters live.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Zeros for a parameter that is to be added, or their shape alone in a [plan](Self::plan).
    pub(crate) fn zeros(&self, shape: &[usize]) -> Tensor {
        if self.hollow { Tensor::hollow(shape) } else { Tensor::zeros(shape) }
    }

    /// Whether names and shapes are all that is kept.
    pub(crate) fn is_plan(&self) -> bool {
        self.hollow
    }

    /// Adds a dense parameter: a weight if `value` has two dimensions, else a bias.
    pub fn add_dense(&mut self, name: impl Into<String>, value: Tensor) -> DenseId {
        let value = if self.hollow { Tensor::hollow(&value.shape()) } else { value };
        let mut parameter = DenseParameter { name: name.into(), value, packed: PackedWeight::default() };
        if !self.hollow {
            repack(&*self.backend, &mut parameter);
        }
        self.dense.push(parameter);
        DenseId(self.dense.len() - 1)
    }

    /// Adds a table of zeros, `num_embeddings × embedding_dim`.
    pub fn add_table(&mut self, name: impl Into<String>, num_embeddings: usize, embedding_dim: usize) -> TableId {
        let make = if self.hollow { Table::hollow } else { Table::zeros };
        self.tables.push(make(name.into(), num_embeddings, embedding_dim));
        TableId(self.tables.len() - 1)
    }

    /// All dense parameters.
    pub fn dense(&self) -> &[DenseParameter] {
        &self.dense
    }

    /// All tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The dense parameter of that name, if there is one.
    pub fn find_dense(&self, name: &str) -> Option<DenseId> {
        self.dense.iter().position(|p| p.name == name).map(DenseId)
    }

    /// The table of that name, if there is one.
    pub fn find_table(&self, name: &str) -> Option<TableId> {
        self.tables.iter().position(|t| t.name() == name).map(TableId)
    }

    /// One dense parameter.
    pub fn get(&self, id: DenseId) -> &DenseParameter {
        &self.dense[id.0]
    }

    /// One table.
    pub fn table(&self, id: TableId) -> &Table {
        &self.tables[id.0]
    }

    /// Changes a dense parameter; its packed copies follow.
    ///
    /// # Panics
    /// If it is not stored as `f32`.
    pub fn update(&mut self, id: DenseId, change: impl FnOnce(&mut Tensor)) {
        let parameter = &mut self.dense[id.0];
        parameter.check_f32();
        change(&mut parameter.value);
        repack(&*self.backend, parameter);
    }

    /// All dense parameters, for whoever keeps their packed copies in step.
    pub(crate) fn dense_mut(&mut self) -> &mut [DenseParameter] {
        &mut self.dense
    }

    /// All tables, to change.
    pub fn tables_mut(&mut self) -> &mut [Table] {
        &mut self.tables
    }

    /// How many numbers there are in all.
    pub fn count(&self) -> usize {
        self.dense.iter().map(|p| p.shape().iter().product::<usize>()).sum::<usize>()
            + self.tables.iter().map(|t| t.num_embeddings() * t.embedding_dim()).sum::<usize>()
    }
}

/// Packs a weight anew; a bias has nothing to pack.
fn repack(backend: &dyn Backend, parameter: &mut DenseParameter) {
    if parameter.value.shape().len() == 2 {
        backend.pack(&parameter.value, &mut parameter.packed);
    }
}
