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
//! 2. A lookup of a big table is a cache miss and nothing else. The row of the lookup `AHEAD` places further on is
//!    prefetched, and that of the one `AGAIN` places further on once more, in case the first request was dropped; the list
//!    of lookups runs through all bags, so short bags profit too.
//! 3. Bags of one lookup each (Criteo's) are rows to copy: without a bag's bounds to look up and a sum
//!    to start, a fifth quicker.
//! 4. Offsets and indices are checked in passes of vector operations before anything is written, so that
//!    the loop itself has no checks. (A pass that ends at the first mistake is not made of them: with bags
//!    of one lookup it took a fifth of the time.)
//! 5. Products are rounded before they are added, in index order, column by column: every
//!    instruction set (and the reference loop) gives the same bits.
//!
//! Bound: memory, with one addition for each 4 bytes that are read.
//!
//! The backward pass only sorts the lookups by row ([`coalesce`]): the gradient stays a product
//! ([`RowGradient`]) until the optimizer needs it. Nothing is ever as large as the table.
//!
//! Paper: section 2.1, equation (1) (`W^T` times a multi-hot vector), with weights equation (2);
//! reference: `nn.EmbeddingBag` with `mode="sum"`, `sparse=True`.

pub(crate) mod gradient;
mod quantized;
pub(crate) mod segments;

pub use gradient::{RowGradient, embedding_bag_backward};
pub use quantized::embedding_bag_quantized;
pub use segments::{RowSegments, coalesce};

use crate::check;
use crate::columns::{AHEAD, Columns, prefetch_row, prefetch_rows, with_blocks};
use crate::isa::{Isa, Kernel};
use crate::simd::{Simd, dot16};
use std::ops::Range;

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

    /// The number of lookups of bag `b`.
    fn len_of(&self, b: usize) -> f32 {
        (self.offsets[b + 1] - self.offsets[b]) as f32
    }

    #[track_caller]
    fn check(&self, isa: Isa, op: &str) {
        assert!(!self.offsets.is_empty(), "{op}: offsets is empty, expected B + 1 entries");
        assert!(!isa.run(Falls(self.offsets)), "{op}: offsets fall");
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
    bags.check(isa, OP);
    check_strided(OP, "out", out.len(), bags.num_bags(), dim, out_stride);
    check_indices(isa, OP, table, dim, bags);
    isa.run(Forward { table, dim, bags, pooling, out, out_stride });
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
    bags.check(isa, OP);
    check_strided(OP, "grad_out", grad_out.len(), bags.num_bags(), dim, grad_stride);
    check::shape(OP, "out", out.len(), [1, bags.lookups().len()]);
    check_indices(isa, OP, table, dim, bags);
    isa.run(WeightBackward { table, dim, bags, pooling, grad_out, grad_stride, out });
}

/// `rows` rows of `dim` values, `stride` apart, must fit into `len`.
#[track_caller]
fn check_strided(op: &str, name: &str, len: usize, rows: usize, dim: usize, stride: usize) {
    assert!(dim > 0 && stride >= dim, "{op}: {name} has rows of {dim} values {stride} apart");
    // Without a limit of its own `stride` could wrap around, and the rows would leave `len`.
    let needed = rows.checked_sub(1).map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(dim));
    assert!(
        needed.is_some_and(|needed| len >= needed),
        "{op}: {name} has {len} values, expected {rows} rows of {dim}, {stride} apart"
    );
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

/// Whether there is an offset below the one before it. (Here and in [`one_each`] no answer comes early: without that, and
/// the branch it takes, these are vector operations.)
struct Falls<'a>(&'a [u32]);

impl Kernel for Falls<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        let mut falls = false;
        for (from, to) in self.0.iter().zip(&self.0[1..]) {
            falls |= to < from;
        }
        falls
    }
}

/// Whether each bag holds one lookup.
#[inline(always)]
fn one_each(offsets: &[u32]) -> bool {
    let mut others = 0;
    for (from, to) in offsets.iter().zip(&offsets[1..]) {
        others |= to.wrapping_sub(*from) ^ 1;
    }
    others == 0
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
        let one_each = self.bags.weights.is_none() && one_each(self.bags.offsets);
        // SAFETY: embedding_bag checked the bags, the indices and the length of out.
        unsafe {
            if one_each {
                with_blocks!(S, self.dim, copy_rows(simd, self))
            } else {
                with_blocks!(S, self.dim, forward(simd, self))
            }
        }
    }
}

/// Bags of one lookup, whose weight is 1: rows are copied, and no bag has bounds to look up.
///
/// # Safety
/// As [`forward`]; each bag must hold one lookup.
#[inline(always)]
unsafe fn copy_rows<S: Simd, const NV: usize, const WHOLE: bool>(simd: S, f: Forward, dim: usize) {
    let table = f.table.as_ptr();
    let indices = &f.bags.indices[f.bags.lookups()];
    for &index in indices.iter().take(AHEAD) {
        prefetch_row(simd, table, index as usize, dim, dim);
    }
    let mut out = f.out.as_mut_ptr();
    for (b, &index) in indices.iter().enumerate() {
        prefetch_rows(simd, table, indices, b, dim, dim);
        for first in (0..dim).step_by(NV * S::LANES) {
            let columns = Columns::<NV, WHOLE> { first, dim };
            let mut row = [simd.zero(); NV];
            // SAFETY: the index is below the number of rows, and out holds row b.
            unsafe {
                columns.add(simd, &mut row, table.add(index as usize * dim), None);
                columns.store(simd, &row, out);
            }
        }
        out = out.wrapping_add(f.out_stride);
    }
}

/// # Safety
/// The indices must be below the number of rows, and `out` must hold a row of `dim` for each bag.
#[inline(always)]
unsafe fn forward<S: Simd, const NV: usize, const WHOLE: bool>(simd: S, f: Forward, dim: usize) {
    let table = f.table.as_ptr();
    let indices = &f.bags.indices[..f.bags.lookups().end];
    for &index in indices[f.bags.lookups().start..].iter().take(AHEAD) {
        prefetch_row(simd, table, index as usize, dim, dim);
    }
    for (b, bounds) in f.bags.offsets.windows(2).enumerate() {
        let bag = bounds[0] as usize..bounds[1] as usize;
        for first in (0..dim).step_by(NV * S::LANES) {
            let columns = Columns::<NV, WHOLE> { first, dim };
            let mut sums = [simd.zero(); NV];
            for i in bag.clone() {
                if first == 0 {
                    prefetch_rows(simd, table, indices, i, dim, dim);
                }
                // SAFETY: i lies in the bag, and its index is below the number of rows.
                unsafe {
                    let row = table.add(*indices.get_unchecked(i) as usize * dim);
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
                prefetch_rows(simd, self.table.as_ptr(), indices, i, self.dim, self.dim);
                let dot = dot16(simd, grad, &self.table[indices[i] as usize * self.dim..][..self.dim]);
                self.out[i - first] = match self.pooling {
                    Pooling::Sum => dot,
                    Pooling::Mean => dot / self.bags.len_of(b),
                };
            }
        }
    }
}
