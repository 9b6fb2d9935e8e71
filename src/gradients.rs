//! Gradients of parameters: dense for the MLPs, a few rows for the tables. Which is which is a
//! matter of type, so that no path ever allocates `num_embeddings × D` for a gradient.

mod reduction;

pub use crate::backend::{Contribution, TableGrads};
pub(crate) use reduction::{BUCKET, Reduction};

use crate::backend::{Backend, Beta};
use crate::comm::Communicator;
use crate::error::Result;
use crate::parameters::{DenseId, Norms, Parameters, TableId};
use crate::tensor::{Shape, Tensor};
use std::ops::Range;

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
    tables: Box<dyn TableGrads>,
    /// Tables whose gradients another rank has too, and counts.
    counted_elsewhere: Range<usize>,
}

impl Gradients {
    /// No gradient yet, for each of `params`.
    pub fn new(params: &Parameters) -> Self {
        let tables = params.backend().table_grads(params.tables().len());
        let mut g = Gradients { dense: Vec::new(), tables, counted_elsewhere: 0..0 };
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
    pub fn table(&self, id: TableId) -> (Vec<u32>, Vec<f32>) {
        (self.tables.rows(id.0), self.tables.values(id.0))
    }

    /// The gradients of all tables.
    pub fn tables(&self) -> &dyn TableGrads {
        &*self.tables
    }

    /// Looks whether every gradient is finite, in little time: each number is looked at once, and tables' rows are not
    /// summed. (What is a few billion times smaller than the largest `f32` is never taken for infinite.) If one is not,
    /// `found`, one number, becomes 1.
    pub fn check_finite(&self, backend: &dyn Backend, found: &mut Tensor) {
        let dense = self.dense.iter().filter(|slot| slot.filled);
        dense.for_each(|slot| backend.check_finite(1.0, &slot.value, found));
        self.tables.check_finite(backend, found);
    }

    /// Adds the gradients of dense parameters over all ranks, the same bits on each; what has a gradient has one on all.
    /// That is the all-reduce of paper section 3, in front of the update.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    pub fn all_reduce(&mut self, comm: &Communicator) -> Result<()> {
        Reduction::default().finish(self, comm)
    }

    /// The dense parameters that have a gradient.
    fn dense_ids(&self) -> impl Iterator<Item = DenseId> {
        self.dense.iter().enumerate().filter(|(_, slot)| slot.filled).map(|(i, _)| DenseId(i))
    }

    /// Multiplies every gradient by `a`.
    pub fn scale(&mut self, backend: &dyn Backend, a: f32) {
        self.for_each(backend, |g| backend.scale(a, g));
    }

    /// Gradient clipping by global norm (Pascanu et al. 2013; PyTorch's `clip_grad_norm_`): if the Euclidean norm of
    /// all gradients together, of dense parameters and of the rows of tables, is above `max_norm`, multiplies each by
    /// `max_norm / norm`. `norms` are [those](Self::norms) of the gradients.
    pub fn clip(&mut self, backend: &dyn Backend, max_norm: f32, norms: Norms) {
        let norm = norms.dense.hypot(norms.embeddings);
        if norm > f64::from(max_norm) {
            self.scale(backend, (f64::from(max_norm) / norm) as f32);
        }
    }

    /// The Euclidean norms of all gradients. What an update makes of them afterwards is the same, bit for bit. Of tables
    /// that every rank has, rank 0 alone counts the gradients, so that those of all ranks together are what they are.
    pub fn norms(&mut self, backend: &dyn Backend) -> Norms {
        backend.sum_table_grads(&mut *self.tables);
        let dense = self.dense.iter().filter(|slot| slot.filled).map(|slot| backend.sum_of_squares(&slot.value));
        let mut embeddings = 0.0;
        if self.counted_elsewhere.is_empty() {
            self.tables.for_each_sum(&mut |sums| embeddings += backend.sum_of_squares(sums));
        } else {
            let counted = (0..self.tables.tables()).filter(|t| !self.counted_elsewhere.contains(t));
            let numbers = counted.flat_map(|t| self.tables.values(t));
            embeddings = numbers.map(|g| f64::from(g).powi(2)).sum();
        }
        Norms { dense: dense.sum::<f64>().sqrt(), embeddings: embeddings.sqrt() }
    }

    /// Adds the gradient of `l2 / 2 · Σ w²`, over the rows of tables that have a gradient, each once however often it
    /// was looked up: L2 regularisation that leaves the other rows alone.
    pub fn add_l2_embeddings(&mut self, params: &Parameters, l2: f32) {
        params.backend().sum_table_grads(&mut *self.tables);
        params.backend().add_l2(l2, params.tables(), &mut *self.tables);
    }

    /// Every gradient of a dense parameter, and the gradients of each table's rows.
    fn for_each(&mut self, backend: &dyn Backend, mut f: impl FnMut(&mut Tensor)) {
        backend.sum_table_grads(&mut *self.tables);
        let dense = self.dense.iter_mut().filter(|slot| slot.filled).map(|slot| &mut slot.value);
        dense.for_each(&mut f);
        self.tables.for_each_sum(&mut f);
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

    /// For an operation's backward: that the gradients of `tables` are counted by another rank. See [`norms`](Self::norms).
    pub(crate) fn count_elsewhere(&mut self, tables: Range<usize>) {
        self.counted_elsewhere = tables;
    }

    /// For an operation's backward: where the gradients of tables go.
    pub(crate) fn tables_mut(&mut self) -> &mut dyn TableGrads {
        &mut *self.tables
    }
}
