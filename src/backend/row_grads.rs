//! Sparse gradients.

use super::Backend;
use crate::tensor::Tensor;
use dlrm_kernels::embedding_bag::{RowGradient, RowSegments, embedding_bag_backward};
use dlrm_kernels::{Isa, Scratch};

/// The gradients of all embedding tables, each as the product it is.
///
/// With the lookups of a table as a sparse matrix `A` (`num_embeddings × B`), the pooled output is
/// `S = AᵀW` (paper section 2.1.1, equation 2) and the gradient `dW = A·dS`: zero but for the rows
/// that occur in `A`. Kept are `A`, sorted by row, and `dS`, which the backward pass has anyway; the
/// sums are made when the optimizer updates the rows, and never stored. Only who wants to change a gradient before,
/// such as to clip it, or to add that of another batch, has them [written out](crate::backend::Backend::sum_table_grads).
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
    pub(crate) own: Tensor,
    pub(crate) dim: usize,
    /// A further use of the table, until it is added; kept for its memory, as are the next two.
    more: Option<Box<RowGrads>>,
    sums: Tensor,
    ids: Vec<u32>,
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
    /// In the table's own list, summed: `dim` a row.
    Summed,
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

    /// Whether every row's gradient is finite, in little time: some pairs of gradients whose sum is beyond `f32` are
    /// said not to be where the sum itself is.
    ///
    /// A row's gradient is a sum over some of the table's lookups `i`, of `c_i · dS` for the gradient `dS` of the bag, so
    /// it is no farther from 0 than `n · max |c_i| · max |dS|`, with `n` lookups in the table.
    pub(crate) fn all_finite(&self, backend: &dyn Backend) -> bool {
        let pooled = self.rows.iter().filter(|r| matches!(r.source, Source::Pooled { .. }));
        let factor = pooled.map(RowGrads::factor).fold(1.0, f32::max);
        let own = self.rows.iter().all(|r| match r.source {
            Source::None | Source::Pooled { .. } => true,
            Source::Own | Source::Summed => backend.all_finite(r.factor(), &r.own),
        });
        own && self.pooled[..self.used].iter().all(|grads| backend.all_finite(factor, grads))
    }

    /// The sums of every table's rows, of those that are written out.
    pub(crate) fn sums_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.rows.iter_mut().filter(|r| matches!(r.source, Source::Summed)).map(|r| &mut r.own)
    }

    /// The gradient of table `t` as the kernels take it, if there is one.
    pub(crate) fn gradient(&self, t: usize) -> Option<RowGradient<'_>> {
        self.rows[t].gradient(&self.pooled)
    }
}

impl RowGrads {
    /// At most how many times as large as one of its terms the gradient of a row is.
    fn factor(&self) -> f32 {
        let most = self.segments.coefficients().iter().fold(1.0f32, |most, c| most.max(c.abs()));
        most * self.segments.bags().len() as f32
    }

    fn gradient<'a>(&'a self, pooled: &'a [Tensor]) -> Option<RowGradient<'a>> {
        let (grad_out, stride) = match self.source {
            Source::None => return None,
            Source::Pooled { tensor, column } => {
                let all = pooled[tensor].as_slice();
                (&all[column.min(all.len())..], pooled[tensor].cols())
            }
            Source::Own | Source::Summed => (self.own.as_slice(), self.dim),
        };
        Some(RowGradient::new(&self.segments, grad_out, stride, self.dim))
    }

    fn values(&self, pooled: &[Tensor]) -> Vec<f32> {
        let Some(gradient) = self.gradient(pooled) else { return Vec::new() };
        let mut values = vec![0.0; gradient.rows().len() * self.dim];
        embedding_bag_backward(Isa::scalar(), gradient, &mut values, &mut Scratch::new());
        values
    }

    /// Writes the sum of each row's gradient out.
    pub(crate) fn sum(&mut self, isa: Isa, pooled: &[Tensor], scratch: &mut Scratch) {
        let mut sums = std::mem::take(&mut self.sums);
        if let (Some(gradient), false) = (self.gradient(pooled), matches!(self.source, Source::Summed)) {
            sums.resize(&[gradient.rows().len(), self.dim]);
            embedding_bag_backward(isa, gradient, sums.as_mut_slice(), scratch);
            std::mem::swap(&mut self.own, &mut sums);
            self.segments.one_each();
            self.source = Source::Summed;
        }
        self.sums = sums;
    }

    /// Room for a second use of the same table; [`add`](Self::add) takes it back.
    pub(crate) fn take_more(&mut self) -> Box<RowGrads> {
        self.more.take().unwrap_or_default()
    }

    /// Adds a second use of the same table, both summed.
    pub(crate) fn add(&mut self, more: Box<RowGrads>) {
        let [mine, theirs] = [self.segments.rows(), more.segments.rows()];
        self.ids.clear();
        merge(mine, theirs, |id, _| self.ids.push(id));
        self.sums.resize(&[self.ids.len(), self.dim]);
        let mut rows = self.sums.as_mut_slice().chunks_mut(self.dim);
        let dim = self.dim;
        let row = |at: usize| at * dim..(at + 1) * dim;
        merge(mine, theirs, |_, at| {
            let to = rows.next().expect("a row an id");
            match at {
                [Some(i), None] => to.copy_from_slice(&self.own.as_slice()[row(i)]),
                [None, Some(j)] => to.copy_from_slice(&more.own.as_slice()[row(j)]),
                [Some(i), Some(j)] => {
                    let terms = self.own.as_slice()[row(i)].iter().zip(&more.own.as_slice()[row(j)]);
                    to.iter_mut().zip(terms).for_each(|(to, (a, b))| *to = a + b);
                }
                [None, None] => unreachable!("an id is in one list or both"),
            }
        });
        std::mem::swap(&mut self.own, &mut self.sums);
        self.segments.set_one_each(self.ids.iter().copied());
        self.more = Some(more);
    }
}

/// Calls `each` with every number of two rising lists, once, and where it is in each of them.
fn merge(a: &[u32], b: &[u32], mut each: impl FnMut(u32, [Option<usize>; 2])) {
    let (mut i, mut j) = (0, 0);
    while let Some(id) = a.get(i).into_iter().chain(b.get(j)).min().copied() {
        let at = [a.get(i) == Some(&id), b.get(j) == Some(&id)];
        each(id, [at[0].then_some(i), at[1].then_some(j)]);
        i += usize::from(at[0]);
        j += usize::from(at[1]);
    }
}
