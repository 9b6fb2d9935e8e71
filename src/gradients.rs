//! Gradients of parameters: dense for the MLPs, a few rows for the tables. Which is which is a
//! matter of type, so that no path ever allocates `num_embeddings × D` for a gradient.

pub use crate::backend::{Contribution, TableGrads};

use crate::backend::Beta;
use crate::parameters::{DenseId, Parameters, TableId};
use crate::tensor::{Shape, Tensor};

/// A gradient that is complete or not there yet; its memory stays from step to step.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) value: Tensor,
    pub(crate) filled: bool,
}

impl Slot {
    /// The memory for a gradient of shape `shape`, and whether to overwrite it (the first
    /// contribution) or to add to it (each further one).
    pub(crate) fn contribute(&mut self, shape: &[usize]) -> (&mut Tensor, Beta) {
        let beta = if self.filled { Beta::One } else { Beta::Zero };
        if !self.filled {
            self.value.resize(shape);
        }
        self.filled = true;
        (&mut self.value, beta)
    }
}

/// The gradients of all of a [`Parameters`], in memory that stays from step to step.
#[derive(Debug)]
pub struct Gradients {
    dense: Vec<Slot>,
    tables: TableGrads,
}

impl Gradients {
    /// No gradient yet, for each of `params`.
    pub fn new(params: &Parameters) -> Self {
        let mut g = Gradients { dense: Vec::new(), tables: TableGrads::new(params.tables().len()) };
        g.dense.resize_with(params.dense().len(), Slot::default);
        g
    }

    /// Forgets every gradient; the next backward pass starts from zero.
    pub fn clear(&mut self) {
        self.dense.iter_mut().for_each(|s| s.filled = false);
        self.tables.clear();
    }

    /// The gradient of a dense parameter, if the last backward pass reached it.
    pub fn dense(&self, id: DenseId) -> Option<&Tensor> {
        let slot = &self.dense[id.0];
        slot.filled.then_some(&slot.value)
    }

    /// The ids of the rows of a table that have a gradient, rising, each once, and their gradients
    /// (`rows × D`); none if the last backward pass did not reach it.
    pub fn table(&self, id: TableId) -> (&[u32], Vec<f32>) {
        (self.tables.rows(id.0), self.tables.values(id.0))
    }

    /// The gradients of all tables.
    pub fn tables(&self) -> &TableGrads {
        &self.tables
    }

    /// For an operation's backward: where the gradient of dense parameter `id` goes, and whether
    /// to overwrite or to add.
    pub fn contribute(&mut self, id: DenseId, shape: &[usize]) -> (&mut Tensor, Beta) {
        self.dense[id.0].contribute(shape)
    }

    /// As [`contribute`](Self::contribute), for a weight and the bias beside it, if there is one.
    ///
    /// # Panics
    /// If both are the same parameter.
    pub fn contribute_both(
        &mut self,
        (weight, shape): (DenseId, Shape),
        bias: Option<(DenseId, Shape)>,
    ) -> (Contribution<'_>, Option<Contribution<'_>>) {
        match bias {
            None => (self.dense[weight.0].contribute(&shape), None),
            Some((bias, bias_shape)) => {
                let both = self.dense.get_disjoint_mut([weight.0, bias.0]);
                let [weight, bias] = both.unwrap_or_else(|e| panic!("gradients of a weight and its bias: {e}"));
                (weight.contribute(&shape), Some(bias.contribute(&bias_shape)))
            }
        }
    }

    /// For an operation's backward: where the gradients of tables go.
    pub(crate) fn tables_mut(&mut self) -> &mut TableGrads {
        &mut self.tables
    }
}
