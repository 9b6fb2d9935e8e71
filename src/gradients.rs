//! Gradients of parameters: dense for the MLPs, a few rows for the tables. Which is which is a
//! matter of type, so that no path ever allocates `num_embeddings × D` for a gradient.

pub use crate::backend::RowGrads;

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

/// Where a gradient goes, and whether to overwrite or to add.
pub type Contribution<'a> = (&'a mut Tensor, Beta);

/// The gradients of all of a [`Parameters`], in memory that stays from step to step.
#[derive(Debug)]
pub struct Gradients {
    dense: Vec<Slot>,
    rows: Vec<RowGrads>,
}

impl Gradients {
    /// No gradient yet, for each of `params`.
    pub fn new(params: &Parameters) -> Self {
        let mut g = Gradients { dense: Vec::new(), rows: Vec::new() };
        g.dense.resize_with(params.dense().len(), Slot::default);
        g.rows.resize_with(params.tables().len(), RowGrads::default);
        g
    }

    /// Forgets every gradient; the next backward pass starts from zero.
    pub fn clear(&mut self) {
        self.dense.iter_mut().for_each(|s| s.filled = false);
        self.rows.iter_mut().for_each(RowGrads::clear);
    }

    /// The gradient of a dense parameter, if the last backward pass reached it.
    pub fn dense(&self, id: DenseId) -> Option<&Tensor> {
        let slot = &self.dense[id.0];
        slot.filled.then_some(&slot.value)
    }

    /// The gradient of a table; no rows if the last backward pass did not reach it.
    pub fn table(&self, id: TableId) -> &RowGrads {
        &self.rows[id.0]
    }

    /// The gradients of all tables.
    pub fn tables(&self) -> &[RowGrads] {
        &self.rows
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

    /// For an operation's backward: where the gradients of the tables from `first` on go.
    pub(crate) fn tables_from(&mut self, first: TableId, count: usize) -> &mut [RowGrads] {
        &mut self.rows[first.0..first.0 + count]
    }
}
