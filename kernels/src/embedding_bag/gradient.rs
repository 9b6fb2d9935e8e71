//! The gradient of a table as the product it is, `dW = A · dS`: which bags looked a row up
//! ([`RowSegments`]), and the gradients of the pooled rows.
//!
//! ```text
//! for r in rows that were looked up
//!     g = Σ_{at in segment r} coefficients[at] · grad_out[bags[at]]
//!     use g                                                   to update the row, or to store it
//! ```
//!
//! 1. `g` is used at once: written out for all rows and read again by the update, it cost as much
//!    as the rows of the table themselves.
//! 2. `g` never leaves the registers: it is summed and used in blocks of columns, as wide as a row wherever a row
//!    is no wider than eight vectors. By way of memory (a row looked up once was not even copied there) the update of
//!    rows of 64 values took a fifth longer: fewer instructions a row are more rows that the processor works on at once.
//! 3. Rows ascend, so that the table is passed from front to back, and each is asked for `AHEAD` rows before its turn, and
//!    once more `AGAIN` rows before (see [`prefetch_rows`]). The pooled gradients are small beside the table, and mostly in
//!    a cache.
//! 4. A row has one owner and its lookups one order: no atomics, and the bits do not depend on how
//!    the rows are shared out.
//!
//! Bound: memory, at two operations for each 4 bytes of a table's row, read and written, and of a
//! gradient's, read.

use super::RowSegments;
use crate::check;
use crate::columns::{AGAIN, AHEAD, Columns, prefetch_list, prefetch_rows, with_blocks};
use crate::isa::{Isa, Kernel};
use crate::simd::{Simd, sum16};
use std::ops::Range;

/// The gradients of some rows of a table, not yet summed.
#[derive(Debug, Clone, Copy)]
pub struct RowGradient<'a> {
    /// Which bags looked which rows up.
    pub segments: &'a RowSegments,
    /// The first of the segments' rows that are meant, and the end.
    pub range: [usize; 2],
    /// Bag `b`'s gradient is `grad_out[b · grad_stride ..][..dim]`.
    pub grad_out: &'a [f32],
    /// Between the gradients of two bags.
    pub grad_stride: usize,
    /// D.
    pub dim: usize,
    /// The number of the first row of the table (and state) slices.
    pub base_row: usize,
}

impl<'a> RowGradient<'a> {
    /// All rows of `segments`, of a table that starts at row 0.
    pub fn new(segments: &'a RowSegments, grad_out: &'a [f32], grad_stride: usize, dim: usize) -> Self {
        RowGradient { segments, range: [0, segments.rows().len()], grad_out, grad_stride, dim, base_row: 0 }
    }

    /// The numbers of the rows.
    pub fn rows(&self) -> &'a [u32] {
        &self.segments.rows()[self.range[0]..self.range[1]]
    }

    /// How many lookups lie before row `self.range[0] + r`, counted from the first of these rows.
    fn lookups_before(&self, r: usize) -> usize {
        (self.segments.starts()[self.range[0] + r] - self.segments.starts()[self.range[0]]) as usize
    }

    /// Rows and lookups: about what the update has to touch.
    pub fn len(&self) -> usize {
        let rows = self.range[1] - self.range[0];
        if rows == 0 { 0 } else { rows + self.lookups_before(rows) }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.range[0] == self.range[1]
    }

    /// In two, with about as many rows and lookups on either side. The second has at least one row,
    /// and the first as well if there are two.
    pub fn halves(self) -> [RowGradient<'a>; 2] {
        let (rows, half) = (self.range[1] - self.range[0], self.len() / 2);
        let (mut low, mut high) = (1.min(rows), rows.saturating_sub(1));
        while low < high {
            let mid = (low + high) / 2;
            if mid + self.lookups_before(mid) < half { low = mid + 1 } else { high = mid }
        }
        let cut = self.range[0] + low.min(rows.saturating_sub(1));
        [RowGradient { range: [self.range[0], cut], ..self }, RowGradient { range: [cut, self.range[1]], ..self }]
    }

    /// Panics unless there is a gradient for each bag, and all rows lie in a table (or state) of
    /// `len` values, `dim` a row. The rows ascend, so their ends tell.
    #[track_caller]
    pub(crate) fn check(&self, op: &str, name: &str, len: usize, dim: usize) {
        let [from, to] = self.range;
        let all = self.segments.rows().len();
        assert!(from <= to && to <= all, "{op}: rows {from}..{to} of the segments' {all}");
        super::check_strided(op, "grad_out", self.grad_out.len(), self.segments.num_bags(), self.dim, self.grad_stride);
        let count = len / dim;
        check::shape(op, name, len, [count, dim]);
        if let [first, ..] = self.rows() {
            let last = self.rows()[self.rows().len() - 1] as usize;
            assert!(
                *first as usize >= self.base_row && last - self.base_row < count,
                "{op}: rows {first} to {last} leave {name}, which has {count} rows from {} on",
                self.base_row
            );
        }
    }
}

/// What is done with the gradient of a row. Implementations are `#[inline(always)]`.
pub(crate) trait EachRow<S: Simd> {
    /// Asks for what [`block`](Self::block) will touch of a row of `dim` values, `row` counted from the base row.
    fn prefetch(&self, simd: S, row: usize, dim: usize);

    /// Whether [`begin`](Self::begin) has to be called.
    #[inline(always)]
    fn wants_squares(&self) -> bool {
        false
    }

    /// Comes before the blocks of row `row`, with `Σ g²` of its `dim` values: the bits of [`dot16`](crate::simd::dot16).
    #[inline(always)]
    fn begin(&mut self, _row: usize, _dim: usize, _squares: f32) {}

    /// Some columns of the `r`-th gradient, which is that of row `row`, counted from the base row.
    ///
    /// # Safety
    /// Gradient and row must exist, with `columns.dim` values.
    unsafe fn block<const NV: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        r: usize,
        row: usize,
        columns: Columns<NV, WHOLE>,
        g: [S::V; NV],
    );
}

/// Calls `each` with every row of `grad` and its gradient.
///
/// # Safety
/// `grad` must have passed [`RowGradient::check`] with whatever `each` touches.
#[inline(always)]
pub(crate) unsafe fn for_each_row<S: Simd>(simd: S, grad: RowGradient, each: &mut impl EachRow<S>) {
    // SAFETY: as the caller vouches.
    unsafe {
        // One block too, though it is sixteen vectors of AVX2: of several, those that want squares first sum each twice.
        if S::LANES == 8 && grad.dim == 128 {
            return for_each_row_in_blocks::<S, 16, true>(simd, grad, each, 128);
        }
        with_blocks!(S, grad.dim, for_each_row_in_blocks(simd, grad, each))
    }
}

/// # Safety
/// As [`for_each_row`].
#[inline(always)]
unsafe fn for_each_row_in_blocks<S: Simd, const NV: usize, const WHOLE: bool>(
    simd: S,
    grad: RowGradient,
    each: &mut impl EachRow<S>,
    dim: usize,
) {
    let (rows, base_row) = (grad.rows(), grad.base_row);
    for &row in rows.iter().take(AHEAD) {
        each.prefetch(simd, row as usize - base_row, dim);
    }
    let starts = &grad.segments.starts()[grad.range[0]..];
    for (r, (&row, bounds)) in rows.iter().zip(starts.windows(2)).enumerate() {
        prefetch_list(simd, rows, r);
        prefetch_list(simd, starts, r);
        if let Some(&next) = rows.get(r + AHEAD) {
            each.prefetch(simd, next as usize - base_row, dim);
        }
        if let Some(&next) = rows.get(r + AGAIN) {
            each.prefetch(simd, next as usize - base_row, dim);
        }
        let (row, segment) = (row as usize - base_row, bounds[0] as usize..bounds[1] as usize);
        // SAFETY: grad was checked, with what each touches; the segment is one of its own.
        unsafe {
            if each.wants_squares() {
                let (mut g, mut squares) = ([simd.zero(); NV], [simd.zero(); 2]);
                for first in (0..dim).step_by(NV * S::LANES) {
                    g = sum(simd, grad, segment.clone(), Columns::<NV, WHOLE> { first, dim });
                    for (v, &g) in g.iter().enumerate() {
                        let half = (first / S::LANES + v) % (16 / S::LANES);
                        squares[half] = simd.add(squares[half], simd.mul(g, g));
                    }
                }
                each.begin(row, dim, sum16(simd, squares));
                if dim <= NV * S::LANES {
                    each.block(simd, r, row, Columns::<NV, WHOLE> { first: 0, dim }, g);
                    continue;
                }
            }
            for first in (0..dim).step_by(NV * S::LANES) {
                let columns = Columns::<NV, WHOLE> { first, dim };
                let g = sum(simd, grad, segment.clone(), columns);
                each.block(simd, r, row, columns, g);
            }
        }
    }
}

/// Columns of the gradient of a row that was looked up by the bags of `segment`.
///
/// # Safety
/// `grad` must have been checked, and `segment` be one of its segments.
#[inline(always)]
unsafe fn sum<S: Simd, const NV: usize, const WHOLE: bool>(
    simd: S,
    grad: RowGradient,
    segment: Range<usize>,
    columns: Columns<NV, WHOLE>,
) -> [S::V; NV] {
    let (bags, coefficients) = (grad.segments.bags(), grad.segments.coefficients());
    let mut sums = [simd.zero(); NV];
    for at in segment {
        if columns.first == 0 {
            prefetch_rows(simd, grad.grad_out.as_ptr(), bags, at, grad.grad_stride, columns.dim);
        }
        let coefficient = if coefficients.is_empty() { None } else { Some(simd.splat(coefficients[at])) };
        // SAFETY: grad_out holds a row for each bag, as was checked.
        unsafe {
            let from = grad.grad_out.as_ptr().add(*bags.get_unchecked(at) as usize * grad.grad_stride);
            columns.add(simd, &mut sums, from, coefficient);
        }
    }
    sums
}

/// The gradient of each row, written out: `values` is `grad.rows().len()` × D.
///
/// # Panics
/// If `grad` does not hold together, or `values` does not have its shape.
pub fn embedding_bag_backward(isa: Isa, grad: RowGradient, values: &mut [f32]) {
    const OP: &str = "embedding_bag_backward";
    check::shape(OP, "values", values.len(), [grad.rows().len(), grad.dim]);
    let unlimited = RowGradient { base_row: 0, ..grad };
    unlimited.check(OP, "table", grad.rows().last().map_or(0, |&last| (last as usize + 1) * grad.dim), grad.dim);
    isa.run(WriteOut { grad: unlimited, values });
}

struct WriteOut<'a> {
    grad: RowGradient<'a>,
    values: &'a mut [f32],
}

impl Kernel for WriteOut<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: embedding_bag_backward checked the gradient; values has a row for each of its.
        unsafe { for_each_row(simd, self.grad, &mut Values(self.values.as_mut_ptr())) }
    }
}

/// Rows of the gradient's length, one for each gradient.
struct Values(*mut f32);

impl<S: Simd> EachRow<S> for Values {
    #[inline(always)]
    fn prefetch(&self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn block<const NV: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        r: usize,
        _: usize,
        columns: Columns<NV, WHOLE>,
        g: [S::V; NV],
    ) {
        // SAFETY: there is a row for each gradient.
        unsafe { columns.store(simd, &g, self.0.add(r * columns.dim)) }
    }
}
