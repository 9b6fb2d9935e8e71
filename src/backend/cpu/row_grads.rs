//! Sparse gradients, as the kernels take them.

use crate::backend::{Backend, TableGrads, Touched};
use crate::tensor::Tensor;
use dlrm_kernels::Isa;
use dlrm_kernels::embedding_bag::{RowGradient, RowSegments, embedding_bag_backward};
use std::any::Any;

/// The lookups of each table, sorted by row, and the gradients of pooled rows.
#[derive(Debug, Default)]
pub(super) struct CpuTableGrads {
    pub rows: Vec<RowGrads>,
    /// Gradients of pooled rows (`B × T × D`), one for each time that tables were looked up.
    pub pooled: Vec<Tensor>,
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

impl CpuTableGrads {
    /// No gradient yet, of `tables` tables.
    pub fn new(tables: usize) -> Self {
        let mut grads = CpuTableGrads::default();
        grads.rows.resize_with(tables, RowGrads::default);
        grads
    }

    /// What [`new`](Self::new) made.
    ///
    /// # Panics
    /// If another backend made it.
    pub fn of(grads: &dyn TableGrads) -> &Self {
        let any: &dyn Any = grads;
        any.downcast_ref().unwrap_or_else(|| panic!("Cpu: gradients of tables that another backend made"))
    }

    /// The same, to change.
    pub fn of_mut(grads: &mut dyn TableGrads) -> &mut Self {
        let any: &mut dyn Any = grads;
        any.downcast_mut().unwrap_or_else(|| panic!("Cpu: gradients of tables that another backend made"))
    }

    /// Takes `grad`, the gradient of pooled rows, in exchange for memory of an earlier step; returns
    /// its number.
    pub fn take_pooled(&mut self, grad: &mut Tensor) -> usize {
        if self.used == self.pooled.len() {
            self.pooled.push(Tensor::default());
        }
        std::mem::swap(&mut self.pooled[self.used], grad);
        self.used += 1;
        self.used - 1
    }

    /// The gradient of table `t` as the kernels take it, if there is one.
    pub fn gradient(&self, t: usize) -> Option<RowGradient<'_>> {
        self.rows[t].gradient(&self.pooled)
    }
}

impl TableGrads for CpuTableGrads {
    fn clear(&mut self) {
        self.rows.iter_mut().for_each(|r| r.source = Source::None);
        self.used = 0;
    }

    fn tables(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self, t: usize) -> Vec<u32> {
        self.gradient(t).map_or(Vec::new(), |g| g.rows().to_vec())
    }

    fn values(&self, t: usize) -> Vec<f32> {
        self.rows[t].values(&self.pooled)
    }

    fn touched(&self, t: usize) -> Option<Touched> {
        self.gradient(t).map(|g| Touched { rows: g.rows().len(), lookups: g.len() - g.rows().len(), dim: g.dim })
    }

    fn check_finite(&self, backend: &dyn Backend, found: &mut Tensor) {
        let pooled = self.rows.iter().filter(|r| matches!(r.source, Source::Pooled { .. }));
        let factor = pooled.map(RowGrads::factor).fold(1.0, f32::max);
        for r in self.rows.iter().filter(|r| matches!(r.source, Source::Own | Source::Summed)) {
            backend.check_finite(r.factor(), &r.own, found);
        }
        self.pooled[..self.used].iter().for_each(|grads| backend.check_finite(factor, grads, found));
    }

    fn for_each_sum(&mut self, f: &mut dyn FnMut(&mut Tensor)) {
        self.rows.iter_mut().filter(|r| matches!(r.source, Source::Summed)).for_each(|r| f(&mut r.own));
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
        embedding_bag_backward(Isa::scalar(), gradient, &mut values);
        values
    }

    /// Writes the sum of each row's gradient out.
    pub(crate) fn sum(&mut self, isa: Isa, pooled: &[Tensor]) {
        let mut sums = std::mem::take(&mut self.sums);
        if let (Some(gradient), false) = (self.gradient(pooled), matches!(self.source, Source::Summed)) {
            sums.resize(&[gradient.rows().len(), self.dim]);
            embedding_bag_backward(isa, gradient, sums.as_mut_slice());
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
