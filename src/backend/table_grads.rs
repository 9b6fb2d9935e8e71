//! Gradients of embedding tables, as everything above the backends sees them.

use super::Backend;
use crate::tensor::Tensor;
use std::any::Any;
use std::fmt::Debug;

/// The gradients of all embedding tables, made by [`Backend::table_grads`]: how they are kept is the backend's affair.
///
/// With the lookups of a table as a sparse matrix `A` (`num_embeddings × B`), the pooled output is
/// `S = AᵀW` (paper section 2.1.1, equation 2) and the gradient `dW = A·dS`: zero but for the rows
/// that occur in `A`. A backend keeps `A` and `dS`, which the backward pass has anyway; the
/// sums are made when the optimizer updates the rows, and never stored. Only who wants to change a gradient before,
/// such as to clip it, has them [written out](Backend::sum_table_grads).
pub trait TableGrads: Any + Debug + Send + Sync {
    /// Forgets the gradients, and keeps the memory.
    fn clear(&mut self);

    /// How many tables there are.
    fn tables(&self) -> usize;

    /// Ids of the rows of table `t` that have a gradient, rising, each once.
    ///
    /// # Panics
    /// If there is no such table.
    fn rows(&self, t: usize) -> Vec<u32>;

    /// The gradients of [`rows`](Self::rows), `rows × D`, summed for whoever wants to look at them.
    ///
    /// # Panics
    /// If there is no such table.
    fn values(&self, t: usize) -> Vec<f32>;

    /// How much there is of table `t`, if it has a gradient.
    ///
    /// # Panics
    /// If there is no such table.
    fn touched(&self, t: usize) -> Option<Touched>;

    /// [`Backend::check_finite`] of every row's gradient, in little time: some pairs of gradients whose sum is beyond
    /// `f32` are said not to be finite where the sum itself is.
    ///
    /// A row's gradient is a sum over some of the table's lookups `i`, of `c_i · dS` for the gradient `dS` of the bag, so
    /// it is no farther from 0 than `n · max |c_i| · max |dS|`, with `n` lookups in the table.
    fn check_finite(&self, backend: &dyn Backend, found: &mut Tensor);

    /// Calls `f` with the sums of rows, of all tables that have them written out. Besides the sums there may be zeros.
    fn for_each_sum(&mut self, f: &mut dyn FnMut(&mut Tensor));
}

/// How much of a table has a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// Rows. A backend that has not counted them says that each lookup is of another one.
    pub rows: usize,
    /// Lookups of them.
    pub lookups: usize,
    /// Numbers of a row.
    pub dim: usize,
}
