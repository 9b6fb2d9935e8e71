//! Pooled lookup straight from rows of 16, 8 or 4 bits a number: see [`RowFormat`] for their bytes.
//!
//! ```text
//! for b in 0..B
//!     out[b] = Σ_{i in offsets[b]..offsets[b + 1]} weights[i] · dequantised(table[indices[i]])
//! ```
//!
//! The loop is that of the f32 lookup, with its blocks of registers, its prefetches and its one check of
//! the indices. What differs:
//!
//! 1. A vector of numbers is loaded in its format and widened in registers: bytes to f32 in two
//!    instructions, nibbles in five, f16 in one. No dequantised row is ever in memory.
//! 2. The scale and minimum of a row are read once a block of columns; they lie at the row's end, and so
//!    most often in a cache line that is read anyway.
//! 3. Rows of D + 8 or D / 2 + 4 bytes start anywhere: a row of 24 bytes lies in two cache lines in one
//!    of three or four cases, so the prefetch asks for the line of its last byte too.
//! 4. `q · scale` is rounded before `min` is added, and both before the weight: every instruction set
//!    and the plain loop give the same bits.
//!
//! Bound: memory, as the f32 lookup, with a half to an eighth of its bytes; rows of a few numbers are one
//! or two lines either way, and gain only what more of them in the caches brings.

use super::{Bags, Max, Pooling, check_strided};
use crate::check;
use crate::columns::{AGAIN, AHEAD, Columns, prefetch_list, with_blocks};
use crate::isa::{Isa, Kernel};
use crate::quantized::RowFormat;
use crate::simd::Simd;
use half::f16;

/// Pools `B` bags of rows of `table` (num_embeddings rows of `dim` numbers in `format`) as
/// [`embedding_bag`](super::embedding_bag) does of f32 rows: bag `b` goes to
/// `out[b · out_stride ..][..dim]`. Nothing else of `out` is touched.
///
/// # Panics
/// If the bags are malformed, an index is not below the number of rows, or a slice has not its shape.
#[allow(clippy::too_many_arguments)] // those of embedding_bag, and the format
pub fn embedding_bag_quantized(
    isa: Isa,
    format: RowFormat,
    table: &[u8],
    dim: usize,
    bags: Bags,
    pooling: Pooling,
    out: &mut [f32],
    out_stride: usize,
) {
    const OP: &str = "embedding_bag_quantized";
    bags.check(isa, OP);
    check_strided(OP, "out", out.len(), bags.num_bags(), dim, out_stride);
    let row_bytes = format.row_bytes(dim);
    let rows = table.len() / row_bytes;
    check::shape(OP, "table", table.len(), [rows, row_bytes]);
    if let Some(max) = isa.run(Max(&bags.indices[bags.lookups()])) {
        assert!((max as usize) < rows, "{OP}: index {max}, but the table has {rows} rows of {dim}");
    }
    isa.run(Forward { format, table, row_bytes, dim, bags, pooling, out, out_stride });
}

struct Forward<'a> {
    format: RowFormat,
    table: &'a [u8],
    row_bytes: usize,
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
        // SAFETY: embedding_bag_quantized checked the bags, the indices and the lengths.
        unsafe {
            match self.format {
                RowFormat::F16 => with_blocks!(S, self.dim, forward_f16(simd, self)),
                RowFormat::Bf16 => with_blocks!(S, self.dim, forward_bf16(simd, self)),
                RowFormat::Int8 => with_blocks!(S, self.dim, forward_int8(simd, self)),
                RowFormat::Int4 => with_blocks!(S, self.dim, forward_int4(simd, self)),
            }
        }
    }
}

/// A format's name as `with_blocks!` calls it.
macro_rules! forward_of {
    ($name:ident, $layout:ty) => {
        /// # Safety
        /// As [`forward`].
        #[inline(always)]
        unsafe fn $name<S: Simd, const NV: usize, const WHOLE: bool>(simd: S, f: Forward, dim: usize) {
            // SAFETY: as the caller vouches.
            unsafe { forward::<S, $layout, NV, WHOLE>(simd, f, dim) }
        }
    };
}
forward_of!(forward_f16, F16);
forward_of!(forward_bf16, Bf16);
forward_of!(forward_int8, Int8);
forward_of!(forward_int4, Int4);

/// How numbers are read of a row. Implementations are `#[inline(always)]`.
trait Layout {
    /// Bits of a number.
    const BITS: usize;
    /// Whether a row ends with a scale and a minimum.
    const SCALED: bool;

    /// The row's scale and minimum.
    ///
    /// # Safety
    /// A row of `dim` numbers in this layout must be readable at `row`.
    #[inline(always)]
    unsafe fn scale_and_min(row: *const u8, dim: usize) -> [f32; 2] {
        let _ = (row, dim);
        [1.0, 0.0]
    }

    /// `LANES` numbers as they are stored.
    ///
    /// # Safety
    /// `LANES · BITS / 8` bytes must be readable at `from`.
    unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::V;
}

struct F16;
struct Bf16;
struct Int8;
struct Int4;

impl Layout for F16 {
    const BITS: usize = 16;
    const SCALED: bool = false;
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::V {
        // SAFETY: as the caller vouches.
        unsafe { simd.load_f16(from) }
    }
}

impl Layout for Bf16 {
    const BITS: usize = 16;
    const SCALED: bool = false;
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::V {
        // SAFETY: as the caller vouches.
        unsafe { simd.load_bf16(from) }
    }
}

impl Layout for Int8 {
    const BITS: usize = 8;
    const SCALED: bool = true;
    #[inline(always)]
    unsafe fn scale_and_min(row: *const u8, dim: usize) -> [f32; 2] {
        // SAFETY: eight bytes follow the numbers; the caller vouches for the row.
        let end = unsafe { row.add(dim).cast::<[[u8; 4]; 2]>().read() };
        end.map(f32::from_le_bytes)
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::V {
        // SAFETY: as the caller vouches.
        unsafe { simd.load_u8(from) }
    }
}

impl Layout for Int4 {
    const BITS: usize = 4;
    const SCALED: bool = true;
    #[inline(always)]
    unsafe fn scale_and_min(row: *const u8, dim: usize) -> [f32; 2] {
        // SAFETY: four bytes follow the numbers; the caller vouches for the row.
        let end = unsafe { row.add(dim.div_ceil(2)).cast::<[[u8; 2]; 2]>().read() };
        end.map(|half| f16::from_le_bytes(half).to_f32())
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const u8) -> S::V {
        // SAFETY: as the caller vouches.
        unsafe { simd.load_u4(from) }
    }
}

/// Numbers `first .. first + LANES` of a row, cut off at `dim`: what lies in the lanes from there on
/// means nothing.
///
/// # Safety
/// A row of `dim` numbers must be readable at `row`; with `WHOLE` all those numbers must be in it.
#[inline(always)]
unsafe fn load<S: Simd, L: Layout, const WHOLE: bool>(simd: S, row: *const u8, first: usize, dim: usize) -> S::V {
    // A vector starts with a whole byte, since LANES is even.
    let at = row.wrapping_add(first * L::BITS / 8);
    if WHOLE || first + S::LANES <= dim {
        // SAFETY: the numbers lie in the row.
        return unsafe { L::load(simd, at) };
    }
    let mut rest = [0; 32];
    let bytes = (dim.saturating_sub(first) * L::BITS).div_ceil(8);
    // SAFETY: these bytes are the row's last numbers, fewer than 16 of at most two bytes; a copy of a
    // row does not overlap it, and a whole vector of 16 numbers can be read from 32 bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(at, rest.as_mut_ptr(), bytes);
        L::load(simd, rest.as_ptr())
    }
}

/// Asks for all lines of row `row`.
#[inline(always)]
fn prefetch<S: Simd>(simd: S, table: *const u8, row: u32, row_bytes: usize) {
    let row = table.wrapping_add(row as usize * row_bytes);
    for line in (0..row_bytes).step_by(64) {
        simd.prefetch_far(row.wrapping_add(line).cast());
    }
    simd.prefetch_far(row.wrapping_add(row_bytes - 1).cast());
}

/// # Safety
/// The indices must be below the number of rows, and `out` must hold a row of `dim` for each bag.
#[inline(always)]
unsafe fn forward<S: Simd, L: Layout, const NV: usize, const WHOLE: bool>(simd: S, f: Forward, dim: usize) {
    let (table, indices) = (f.table.as_ptr(), &f.bags.indices[..f.bags.lookups().end]);
    for &index in indices[f.bags.lookups().start..].iter().take(AHEAD) {
        prefetch(simd, table, index, f.row_bytes);
    }
    for (b, bounds) in f.bags.offsets.windows(2).enumerate() {
        let bag = bounds[0] as usize..bounds[1] as usize;
        for first in (0..dim).step_by(NV * S::LANES) {
            let mut sums = [simd.zero(); NV];
            for i in bag.clone() {
                if first == 0 {
                    prefetch_list(simd, indices, i);
                    if let Some(&next) = indices.get(i + AHEAD) {
                        prefetch(simd, table, next, f.row_bytes);
                    }
                    if let Some(&next) = indices.get(i + AGAIN) {
                        prefetch(simd, table, next, f.row_bytes);
                    }
                }
                // SAFETY: i lies in the bag, and its index is below the number of rows.
                unsafe {
                    let row = table.add(*indices.get_unchecked(i) as usize * f.row_bytes);
                    let weight = f.bags.weights.map(|w| simd.splat(*w.get_unchecked(i)));
                    let [scale, min] = L::scale_and_min(row, dim).map(|v| simd.splat(v));
                    for (v, sum) in sums.iter_mut().enumerate() {
                        let mut value = load::<S, L, WHOLE>(simd, row, first + v * S::LANES, dim);
                        if L::SCALED {
                            value = simd.add(simd.mul(value, scale), min);
                        }
                        *sum = simd.add(*sum, weight.map_or(value, |w| simd.mul(w, value)));
                    }
                }
            }
            if f.pooling == Pooling::Mean && !bag.is_empty() {
                let count = simd.splat(bag.len() as f32);
                for sum in &mut sums {
                    *sum = simd.div(*sum, count);
                }
            }
            let columns = Columns::<NV, WHOLE> { first, dim };
            // SAFETY: out holds row b.
            unsafe { columns.store(simd, &sums, f.out.as_mut_ptr().add(b * f.out_stride)) }
        }
    }
}
