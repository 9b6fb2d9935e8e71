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
//! 2. A row that was looked up once, by a plain sum, has the pooled row's gradient: it is not even
//!    copied.
//! 3. Rows ascend, so that the table is passed from front to back, and each is asked for `AHEAD` rows
//!    before its turn. The pooled gradients are small beside the table, and mostly in a cache.
//! 4. A row has one owner and its lookups one order: no atomics, and the bits do not depend on how
//!    the rows are shared out.
//!
//! Bound: memory, at two operations for each 4 bytes of a table's row, read and written, and of a
//! gradient's, read.

use super::RowSegments;
use crate::check;
use crate::columns::{AHEAD, Columns, prefetch_row, with_blocks};
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::Simd;

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
    /// Asks for what [`row`](Self::row) will touch, `row` counted from the base row.
    fn prefetch(&self, simd: S, row: usize);

    /// # Safety
    /// The `r`-th gradient is that of row `row`, counted from the base row, which must exist, and
    /// `dim` values must be readable at `g`.
    unsafe fn row(&mut self, simd: S, r: usize, row: usize, g: *const f32);
}

/// Calls `each` with every row of `grad` and its gradient.
///
/// # Safety
/// `grad` must have passed [`RowGradient::check`] with whatever `each` touches.
#[inline(always)]
pub(crate) unsafe fn for_each_row<S: Simd>(
    simd: S,
    grad: RowGradient,
    scratch: &mut Scratch,
    each: &mut impl EachRow<S>,
) {
    let [room] = scratch.rooms([grad.dim]);
    // SAFETY: as the caller vouches.
    unsafe { with_blocks!(S, grad.dim, for_each_row_in_blocks(simd, grad, room, each)) }
}

/// # Safety
/// As [`for_each_row`]; `room` must hold a row.
#[inline(always)]
unsafe fn for_each_row_in_blocks<S: Simd, const NV: usize, const WHOLE: bool>(
    simd: S,
    grad: RowGradient,
    room: &mut [f32],
    each: &mut impl EachRow<S>,
) {
    let RowGradient { segments, range: [from, to], grad_out, grad_stride, dim, base_row } = grad;
    let (rows, bags) = (&segments.rows()[..to], segments.bags());
    for &row in rows[from..].iter().take(AHEAD) {
        each.prefetch(simd, row as usize - base_row);
    }
    for r in from..to {
        if let Some(&next) = rows.get(r + AHEAD) {
            each.prefetch(simd, next as usize - base_row);
        }
        let segment = segments.starts()[r] as usize..segments.starts()[r + 1] as usize;
        let row = rows[r] as usize - base_row;
        let g = if segment.len() == 1 && segments.coefficients().is_empty() {
            prefetch_bag(simd, bags, segment.start + AHEAD, grad);
            grad_out.as_ptr().wrapping_add(bags[segment.start] as usize * grad_stride)
        } else {
            for first in (0..dim).step_by(NV * S::LANES) {
                let columns = Columns::<NV, WHOLE> { first, dim };
                let mut sums = [simd.zero(); NV];
                for at in segment.clone() {
                    if first == 0 {
                        prefetch_bag(simd, bags, at + AHEAD, grad);
                    }
                    let coefficient = segments.coefficients().get(at).map(|&c| simd.splat(c));
                    // SAFETY: grad_out holds a row for each bag, as was checked.
                    unsafe {
                        let from = grad_out.as_ptr().add(bags[at] as usize * grad_stride);
                        columns.add(simd, &mut sums, from, coefficient);
                    }
                }
                // SAFETY: the room holds a row.
                unsafe { columns.store(simd, &sums, room.as_mut_ptr()) }
            }
            room.as_ptr()
        };
        // SAFETY: the row lies in what was checked; g points at dim values.
        unsafe { each.row(simd, r - from, row, g) }
    }
}

/// Asks for the gradient of the bag of lookup `at`, if there is one.
#[inline(always)]
fn prefetch_bag<S: Simd>(simd: S, bags: &[u32], at: usize, grad: RowGradient) {
    if let Some(&bag) = bags.get(at) {
        prefetch_row(simd, grad.grad_out.as_ptr(), bag as usize, grad.grad_stride, grad.dim);
    }
}

/// The gradient of each row, written out: `values` is `grad.rows().len()` × D.
///
/// # Panics
/// If `grad` does not hold together, or `values` does not have its shape.
pub fn embedding_bag_backward(isa: Isa, grad: RowGradient, values: &mut [f32], scratch: &mut Scratch) {
    const OP: &str = "embedding_bag_backward";
    check::shape(OP, "values", values.len(), [grad.rows().len(), grad.dim]);
    let unlimited = RowGradient { base_row: 0, ..grad };
    unlimited.check(OP, "table", grad.rows().last().map_or(0, |&last| (last as usize + 1) * grad.dim), grad.dim);
    isa.run(WriteOut { grad: unlimited, values, scratch });
}

struct WriteOut<'a> {
    grad: RowGradient<'a>,
    values: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for WriteOut<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: embedding_bag_backward checked the gradient; values has a row for each of its.
        unsafe { for_each_row(simd, self.grad, self.scratch, &mut Values(self.values, self.grad.dim)) }
    }
}

/// Rows of a length, one for each gradient.
struct Values<'a>(&'a mut [f32], usize);

impl<S: Simd> EachRow<S> for Values<'_> {
    #[inline(always)]
    fn prefetch(&self, _: S, _: usize) {}

    #[inline(always)]
    unsafe fn row(&mut self, _: S, r: usize, _: usize, g: *const f32) {
        // SAFETY: the caller vouches for dim values at g; they are no part of values.
        let g = unsafe { std::slice::from_raw_parts(g, self.1) };
        self.0[r * self.1..][..self.1].copy_from_slice(g);
    }
}
