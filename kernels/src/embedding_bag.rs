//! Pooled embedding lookup: `B` bags of row numbers in, `B` pooled rows out, and the way back to
//! a gradient that has only the rows that were looked up.
//!
//! ```text
//! for b in 0..B
//!     out[b] = Σ_{i in offsets[b]..offsets[b + 1]} weights[i] · table[indices[i]]
//!     mean:  out[b] /= offsets[b + 1] - offsets[b]
//! ```
//!
//! How the fast loop differs:
//!
//! 1. The sum of a bag stays in registers: the columns of a row are cut into blocks of 1, 2, 4 or 8
//!    vectors, and the loop over the lookups is inside a block.
//! 2. A lookup of a big table is a cache miss and nothing else. The row of the lookup
//!    `AHEAD` places further on is prefetched; the list of lookups runs through all bags, so short
//!    bags profit too.
//! 3. Indices are checked against the table in one pass before anything is written, so that the
//!    loop itself has no checks.
//! 4. Products are rounded before they are added, in index order, column by column: every
//!    instruction set (and the reference loop) gives the same bits.
//!
//! The backward pass sorts the lookups by row ([`coalesce`]) and then sums each row's segment the
//! same way. Nothing is ever as large as the table.
//!
//! Paper: section 2.1, equation (1) (`W^T` times a multi-hot vector), with weights equation (2);
//! reference: `nn.EmbeddingBag` with `mode="sum"`, `sparse=True`.

mod segments;

pub use segments::{RowSegments, coalesce};

use crate::check;
use crate::isa::{Isa, Kernel};
use crate::simd::{Simd, dot16};
use std::ops::Range;

/// Lookups between a prefetch and its use: at a few nanoseconds a row, enough to cover a DRAM access.
pub(crate) const AHEAD: usize = 32;

/// Bags of row numbers, or a range of the bags of a batch.
///
/// Bag `b` holds `indices[offsets[b] .. offsets[b + 1]]`; `offsets` has `B + 1` entries, of which
/// the first need not be 0, so that `&offsets[r.start..=r.end]` is bags `r`. With `weights` (as long
/// as `indices`), lookup `i` counts `weights[i]` times.
#[derive(Debug, Clone, Copy)]
pub struct Bags<'a> {
    /// Row numbers, bag after bag.
    pub indices: &'a [u32],
    /// Where each bag starts, and the end: `B + 1` entries that never fall.
    pub offsets: &'a [u32],
    /// A weight for each lookup.
    pub weights: Option<&'a [f32]>,
}

impl<'a> Bags<'a> {
    /// `B`.
    pub fn num_bags(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Bags `range` of these.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn slice(&self, range: Range<usize>) -> Bags<'a> {
        Bags { offsets: &self.offsets[range.start..=range.end], ..*self }
    }

    /// The lookups of all these bags, as a range of `indices`.
    pub fn lookups(&self) -> Range<usize> {
        match self.offsets {
            [] => 0..0,
            [first, ..] => *first as usize..self.offsets[self.offsets.len() - 1] as usize,
        }
    }

    #[track_caller]
    fn check(&self, op: &str) {
        assert!(!self.offsets.is_empty(), "{op}: offsets is empty, expected B + 1 entries");
        assert!(self.offsets.is_sorted(), "{op}: offsets fall");
        let end = self.lookups().end;
        assert!(end <= self.indices.len(), "{op}: offsets end at {end}, but there are {} indices", self.indices.len());
        if let Some(weights) = self.weights {
            check::shape(op, "weights", weights.len(), [1, self.indices.len()]);
        }
    }
}

/// How a bag's rows become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their (weighted) sum.
    Sum,
    /// Their (weighted) sum over the number of lookups; zeros for an empty bag.
    Mean,
}

/// Pools `B` bags of rows of `table` (num_embeddings × `dim`): bag `b` goes to
/// `out[b · out_stride ..][..dim]`. Nothing else of `out` is touched.
///
/// # Panics
/// If the bags are malformed, an index is not below the number of rows, or `out` is too short.
pub fn embedding_bag(
    isa: Isa,
    table: &[f32],
    dim: usize,
    bags: Bags,
    pooling: Pooling,
    out: &mut [f32],
    out_stride: usize,
) {
    const OP: &str = "embedding_bag";
    bags.check(OP);
    check_strided(OP, "out", out.len(), bags.num_bags(), dim, out_stride);
    check_indices(isa, OP, table, dim, bags);
    isa.run(Forward { table, dim, bags, pooling, out, out_stride });
}

/// The gradient of the rows in segments `range`: `values[r] = Σ coefficient · grad_out[bag]` over
/// the lookups of segment `range.start + r`, in order; the coefficient is the lookup's weight (1
/// without weights), for the mean divided by the bag's number of lookups. `values` is
/// `range.len()` × `dim`; bag `b`'s gradient is `grad_out[b · grad_stride ..][..dim]`.
///
/// # Panics
/// If `segments` was not made from `bags`, `range` leaves it, or a slice does not have its shape.
#[allow(clippy::too_many_arguments)] // the forward's operands, and the segments
pub fn embedding_bag_backward(
    isa: Isa,
    segments: &RowSegments,
    range: Range<usize>,
    bags: Bags,
    pooling: Pooling,
    grad_out: &[f32],
    grad_stride: usize,
    dim: usize,
    values: &mut [f32],
) {
    const OP: &str = "embedding_bag_backward";
    bags.check(OP);
    check_strided(OP, "grad_out", grad_out.len(), bags.num_bags(), dim, grad_stride);
    check::shape(OP, "values", values.len(), [range.len(), dim]);
    assert!(range.end <= segments.rows().len(), "{OP}: segments {range:?} of {}", segments.rows().len());
    assert!(segments.made_from(bags), "{OP}: the segments were made from other bags");
    isa.run(Backward { segments, range, bags, pooling, grad_out, grad_stride, dim, values });
}

/// The gradient of the weights: `out[i - first] = Σ_d grad_out[bag][d] · table[indices[i]][d]` for
/// each lookup `i` of `bags` (the first is `first`), for the mean divided by the bag's number of
/// lookups. Same bits on every instruction set.
///
/// # Panics
/// If the bags are malformed, an index is not below the number of rows, or a slice does not have
/// its shape.
#[allow(clippy::too_many_arguments)] // the forward's operands, mirrored
pub fn per_sample_weight_backward(
    isa: Isa,
    table: &[f32],
    dim: usize,
    bags: Bags,
    pooling: Pooling,
    grad_out: &[f32],
    grad_stride: usize,
    out: &mut [f32],
) {
    const OP: &str = "per_sample_weight_backward";
    bags.check(OP);
    check_strided(OP, "grad_out", grad_out.len(), bags.num_bags(), dim, grad_stride);
    check::shape(OP, "out", out.len(), [1, bags.lookups().len()]);
    check_indices(isa, OP, table, dim, bags);
    isa.run(WeightBackward { table, dim, bags, pooling, grad_out, grad_stride, out });
}

/// `rows` rows of `dim` values, `stride` apart, must fit into `len`.
#[track_caller]
fn check_strided(op: &str, name: &str, len: usize, rows: usize, dim: usize, stride: usize) {
    assert!(dim > 0 && stride >= dim, "{op}: {name} has rows of {dim} values {stride} apart");
    let needed = rows.checked_sub(1).map_or(0, |last| last * stride + dim);
    assert!(len >= needed, "{op}: {name} has {len} values, expected {rows} rows of {dim}, {stride} apart");
}

#[track_caller]
fn check_indices(isa: Isa, op: &str, table: &[f32], dim: usize, bags: Bags) {
    let rows = table.len() / dim;
    check::shape(op, "table", table.len(), [rows, dim]);
    let indices = &bags.indices[bags.lookups()];
    if let Some(max) = isa.run(Max(indices)) {
        assert!((max as usize) < rows, "{op}: index {max}, but the table has {rows} rows of {dim}");
    }
}

struct Max<'a>(&'a [u32]);

impl Kernel for Max<'_> {
    type Output = Option<u32>;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<u32> {
        let mut max = *self.0.first()?;
        for &index in self.0 {
            max = max.max(index);
        }
        Some(max)
    }
}

/// Runs `$body` with `NV` vectors a block and `WHOLE` (no partial vectors), as `$dim` asks.
macro_rules! with_blocks {
    ($S:ident, $dim:expr, $call:ident($($argument:expr),*)) => {
        match ($dim.div_ceil($S::LANES), $dim % $S::LANES == 0) {
            (1, true) => $call::<$S, 1, true>($($argument),*),
            (2, true) => $call::<$S, 2, true>($($argument),*),
            (4, true) => $call::<$S, 4, true>($($argument),*),
            (n, true) if n % 8 == 0 => $call::<$S, 8, true>($($argument),*),
            (1, _) => $call::<$S, 1, false>($($argument),*),
            (2, _) => $call::<$S, 2, false>($($argument),*),
            (3 | 4, _) => $call::<$S, 4, false>($($argument),*),
            _ => $call::<$S, 8, false>($($argument),*),
        }
    };
}

struct Forward<'a> {
    table: &'a [f32],
    dim: usize,
    bags: Bags<'a>,
    pooling: Pooling,
    out: &'a mut [f32],
    out_stride: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: embedding_bag checked the bags, the indices and the length of out.
        unsafe { with_blocks!(S, self.dim, forward(simd, self)) }
    }
}

/// # Safety
/// The indices must be below the number of rows, and `out` must hold a row of `dim` for each bag.
#[inline(always)]
unsafe fn forward<S: Simd, const NV: usize, const WHOLE: bool>(simd: S, f: Forward) {
    let indices = &f.bags.indices[..f.bags.lookups().end];
    for &index in indices[f.bags.lookups().start..].iter().take(AHEAD) {
        prefetch_row(simd, f.table, index as usize, f.dim, f.dim);
    }
    for (b, bounds) in f.bags.offsets.windows(2).enumerate() {
        let bag = bounds[0] as usize..bounds[1] as usize;
        for column in (0..f.dim).step_by(NV * S::LANES) {
            let columns = Columns::<NV, WHOLE> { first: column, dim: f.dim };
            let mut sums = [simd.zero(); NV];
            for i in bag.clone() {
                if column == 0
                    && let Some(&next) = indices.get(i + AHEAD)
                {
                    prefetch_row(simd, f.table, next as usize, f.dim, f.dim);
                }
                // SAFETY: i lies in the bag, and its index is below the number of rows.
                unsafe {
                    let row = f.table.as_ptr().add(*indices.get_unchecked(i) as usize * f.dim);
                    let weight = f.bags.weights.map(|w| simd.splat(*w.get_unchecked(i)));
                    columns.add(simd, &mut sums, row, weight);
                }
            }
            if f.pooling == Pooling::Mean && !bag.is_empty() {
                let count = simd.splat(bag.len() as f32);
                for sum in &mut sums {
                    *sum = simd.div(*sum, count);
                }
            }
            // SAFETY: out holds row b.
            unsafe { columns.store(simd, &sums, f.out.as_mut_ptr().add(b * f.out_stride)) }
        }
    }
}

/// Asks for row `row` of a matrix whose rows are `stride` apart.
#[inline(always)]
pub(crate) fn prefetch_row<S: Simd>(simd: S, matrix: &[f32], row: usize, stride: usize, dim: usize) {
    let row = matrix.as_ptr().wrapping_add(row * stride);
    for line in (0..dim).step_by(16) {
        simd.prefetch(row.wrapping_add(line));
    }
}

/// Columns `first .. first + NV · LANES` of rows of `dim`; unless `WHOLE`, cut off at `dim`.
#[derive(Clone, Copy)]
struct Columns<const NV: usize, const WHOLE: bool> {
    first: usize,
    dim: usize,
}

impl<const NV: usize, const WHOLE: bool> Columns<NV, WHOLE> {
    #[inline(always)]
    fn lanes<S: Simd>(self, v: usize) -> usize {
        self.dim.saturating_sub(self.first + v * S::LANES).min(S::LANES)
    }

    /// `sums += coefficient · row`, the product rounded first.
    ///
    /// # Safety
    /// `dim` floats must be readable at `row`.
    #[inline(always)]
    unsafe fn add<S: Simd>(self, simd: S, sums: &mut [S::V; NV], row: *const f32, coefficient: Option<S::V>) {
        for (v, sum) in sums.iter_mut().enumerate() {
            let at = row.wrapping_add(self.first + v * S::LANES);
            // SAFETY: a whole vector lies below dim, a partial one is cut off there.
            let row = unsafe { if WHOLE { simd.load(at) } else { simd.load_partial(at, self.lanes::<S>(v)) } };
            *sum = simd.add(*sum, coefficient.map_or(row, |c| simd.mul(c, row)));
        }
    }

    /// # Safety
    /// `dim` floats must be writable at `row`.
    #[inline(always)]
    unsafe fn store<S: Simd>(self, simd: S, sums: &[S::V; NV], row: *mut f32) {
        for (v, &sum) in sums.iter().enumerate() {
            let at = row.wrapping_add(self.first + v * S::LANES);
            // SAFETY: a whole vector lies below dim, a partial one is cut off there.
            unsafe { if WHOLE { simd.store(at, sum) } else { simd.store_partial(at, sum, self.lanes::<S>(v)) } }
        }
    }
}

struct Backward<'a> {
    segments: &'a RowSegments,
    range: Range<usize>,
    bags: Bags<'a>,
    pooling: Pooling,
    grad_out: &'a [f32],
    grad_stride: usize,
    dim: usize,
    values: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: embedding_bag_backward checked the segments, the bags and both shapes.
        unsafe { with_blocks!(S, self.dim, backward(simd, self)) }
    }
}

impl Backward<'_> {
    /// What the gradient of `bag` is multiplied with on its way to `lookup`'s row.
    #[inline(always)]
    fn coefficient(&self, lookup: u32, bag: u32) -> f32 {
        let weight = self.bags.weights.map_or(1.0, |w| w[lookup as usize]);
        match self.pooling {
            Pooling::Sum => weight,
            Pooling::Mean => weight / bag_len(self.bags.offsets, bag as usize),
        }
    }
}

#[inline(always)]
fn bag_len(offsets: &[u32], bag: usize) -> f32 {
    (offsets[bag + 1] - offsets[bag]) as f32
}

/// # Safety
/// The segments' bags must exist in `grad_out`, and `values` must hold a row a segment.
#[inline(always)]
unsafe fn backward<S: Simd, const NV: usize, const WHOLE: bool>(simd: S, f: Backward) {
    let (lookups, bags) = (f.segments.lookups(), f.segments.bags());
    for (r, s) in f.range.clone().enumerate() {
        let segment = f.segments.starts()[s] as usize..f.segments.starts()[s + 1] as usize;
        for column in (0..f.dim).step_by(NV * S::LANES) {
            let columns = Columns::<NV, WHOLE> { first: column, dim: f.dim };
            let mut sums = [simd.zero(); NV];
            for at in segment.clone() {
                if column == 0
                    && let Some(&next) = bags.get(at + AHEAD)
                {
                    prefetch_row(simd, f.grad_out, next as usize, f.grad_stride, f.dim);
                }
                let bag = bags[at];
                let coefficient = simd.splat(f.coefficient(lookups[at], bag));
                // SAFETY: the bag lies in the bags that the segments were made from, for each of
                // which grad_out holds a row.
                unsafe {
                    let row = f.grad_out.as_ptr().add(bag as usize * f.grad_stride);
                    columns.add(simd, &mut sums, row, Some(coefficient));
                }
            }
            // SAFETY: values holds a row a segment of the range.
            unsafe { columns.store(simd, &sums, f.values.as_mut_ptr().add(r * f.dim)) }
        }
    }
}

struct WeightBackward<'a> {
    table: &'a [f32],
    dim: usize,
    bags: Bags<'a>,
    pooling: Pooling,
    grad_out: &'a [f32],
    grad_stride: usize,
    out: &'a mut [f32],
}

impl Kernel for WeightBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let first = self.bags.lookups().start;
        let indices = &self.bags.indices[..self.bags.lookups().end];
        for (b, bounds) in self.bags.offsets.windows(2).enumerate() {
            let bag = bounds[0] as usize..bounds[1] as usize;
            let grad = &self.grad_out[b * self.grad_stride..][..self.dim];
            for i in bag {
                if let Some(&next) = indices.get(i + AHEAD) {
                    prefetch_row(simd, self.table, next as usize, self.dim, self.dim);
                }
                let dot = dot16(simd, grad, &self.table[indices[i] as usize * self.dim..][..self.dim]);
                self.out[i - first] = match self.pooling {
                    Pooling::Sum => dot,
                    Pooling::Mean => dot / bag_len(self.bags.offsets, b),
                };
            }
        }
    }
}
