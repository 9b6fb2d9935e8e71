//! The vocabulary that every kernel is written in: vectors of `f32`, as wide as the instruction
//! set makes them.
//!
//! A token (a value of [`Scalar`], [`Avx2`] or [`Avx512`]) is the proof that its instructions
//! exist; its methods are lane operations and nothing else. Bits agree between the sets for every
//! operation but [`fma`](Simd::fma), which the scalar token may round twice, and
//! [`reduce_sum`](Simd::reduce_sum), whose tree depends on the width; kernels that promise equal
//! bits use neither, and sum over lanes with [`dot16`].

#[cfg(x86_simd)]
mod avx2;
#[cfg(x86_simd)]
mod avx512;
mod bytes;
mod scalar;

#[cfg(x86_simd)]
pub(crate) use avx2::Avx2;
#[cfg(x86_simd)]
pub(crate) use avx512::Avx512;
pub(crate) use bytes::Bytes;
#[cfg(x86_simd)]
pub(crate) use bytes::Vnni;
pub(crate) use scalar::Scalar;

/// Vectors of [`LANES`](Simd::LANES) `f32`. Implementations are `#[inline(always)]` throughout.
pub(crate) trait Simd: Copy {
    /// A vector.
    type V: Copy;
    /// Its lanes: 8 or 16.
    const LANES: usize;
    /// Rows of the GEMM register tile (MR): as many accumulators as the registers hold beside
    /// NV vectors of the right operand and one broadcast.
    const TILE_ROWS: usize;
    /// Vectors a row of the GEMM register tile (NV): 1 or 2.
    const TILE_VECTORS: usize;

    /// All lanes 0.
    fn zero(self) -> Self::V;
    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::V;

    /// # Safety
    /// `LANES` floats must be readable at `from`; no alignment is needed.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// The first `n ≤ LANES` lanes from memory, the others 0; memory beyond `n` is not touched.
    ///
    /// # Safety
    /// `n` floats must be readable at `from`.
    unsafe fn load_partial(self, from: *const f32, n: usize) -> Self::V;
    /// `LANES` f16 as they lie in memory, little-endian, each widened.
    ///
    /// # Safety
    /// `2 · LANES` bytes must be readable at `from`; no alignment is needed.
    unsafe fn load_f16(self, from: *const u8) -> Self::V;
    /// `LANES` bf16 as they lie in memory, little-endian, each widened.
    ///
    /// # Safety
    /// `2 · LANES` bytes must be readable at `from`; no alignment is needed.
    unsafe fn load_bf16(self, from: *const u8) -> Self::V;
    /// `LANES` bytes as numbers.
    ///
    /// # Safety
    /// `LANES` bytes must be readable at `from`.
    unsafe fn load_u8(self, from: *const u8) -> Self::V;
    /// `LANES` numbers of four bits, two in a byte, the first in its lower half.
    ///
    /// # Safety
    /// `LANES / 2` bytes must be readable at `from`.
    unsafe fn load_u4(self, from: *const u8) -> Self::V;
    /// # Safety
    /// `LANES` floats must be writable at `to`; no alignment is needed.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// Writes the first `n ≤ LANES` lanes; memory beyond `n` is not touched.
    ///
    /// # Safety
    /// `n` floats must be writable at `to`.
    unsafe fn store_partial(self, to: *mut f32, v: Self::V, n: usize);
    /// Writes a vector past the caches, where the instruction set can.
    ///
    /// # Safety
    /// `LANES` floats must be writable at `to`, which must be a multiple of their size in bytes;
    /// nobody may touch them before [`fence`](Self::fence) was called.
    unsafe fn stream(self, to: *mut f32, v: Self::V);
    /// Puts everything [streamed](Self::stream) before whatever follows.
    fn fence(self);
    /// Transposes a block of `rows × cols` floats (each at most `LANES`) in registers: `row(i)` gives
    /// its rows, and `column(j, v)` gets its columns, the lanes from `rows` on 0.
    fn transpose(self, rows: usize, cols: usize, row: impl Fn(usize) -> Self::V, column: impl FnMut(usize, Self::V));

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `a · b + c`, rounded once where the instruction set has a fused multiply-add.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `v` where it is not below `floor`, else `floor`: a maximum that lets NaN through.
    fn at_least(self, floor: Self::V, v: Self::V) -> Self::V;
    /// `v` where `condition > 0`, else 0.
    fn where_positive(self, condition: Self::V, v: Self::V) -> Self::V;
    /// The sum of all lanes: halves added until one lane is left.
    fn reduce_sum(self, v: Self::V) -> f32;
    /// Which of 64 bytes are tabs or newlines, the first in the lowest bit.
    fn separators(self, bytes: &[u8; 64]) -> u64;
    /// Takes sorted pairs (a row in the upper half, its bag in the lower) apart: all bags to `bags`, and where a pair has
    /// another row than the one before it (`before` for the first) the row to `rows` and its number, counted from `at`, to
    /// `starts`. Returns how many rows that were; whatever else is written beyond them means nothing.
    ///
    /// # Safety
    /// Sixteen numbers must be writable in each list.
    #[inline(always)]
    unsafe fn split_pairs(self, pairs: &[u64; 16], before: u32, at: u32, [rows, starts, bags]: [*mut u32; 3]) -> usize {
        let (mut found, mut before) = (0, before);
        for (i, &pair) in pairs.iter().enumerate() {
            let row = (pair >> 32) as u32;
            // SAFETY: found ≤ i < 16; the caller vouches for as many numbers.
            unsafe {
                // Written for every pair, and written over until the row changes: a branch would be taken or not by
                // chance.
                *rows.add(found) = row;
                *starts.add(found) = at + i as u32;
                *bags.add(i) = pair as u32;
            }
            found += usize::from(row != before);
            before = row;
        }
        found
    }
    /// Asks for the cache line at `address`, which may lie anywhere.
    fn prefetch(self, address: *const f32);
    /// As [`prefetch`](Self::prefetch), but only into L2, which can wait for more lines at a time
    /// than L1.
    fn prefetch_far(self, address: *const f32);
}

/// `Σ a[i] · b[i]`, with the same bits on every instruction set: sixteen partial sums (products
/// rounded before they are added, element `i` to sum `i mod 16`), then halves added until one is
/// left.
#[inline(always)]
pub(crate) fn dot16<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut sums = [simd.zero(); 2];
    let mut i = 0;
    while i < n {
        let lanes = S::LANES.min(n - i);
        // SAFETY: i + lanes ≤ n, the length of the shorter slice.
        let product = unsafe {
            let (a, b) = (a.as_ptr().add(i), b.as_ptr().add(i));
            if lanes == S::LANES {
                simd.mul(simd.load(a), simd.load(b))
            } else {
                simd.mul(simd.load_partial(a, lanes), simd.load_partial(b, lanes))
            }
        };
        let half = i / S::LANES % (16 / S::LANES);
        sums[half] = simd.add(sums[half], product);
        i += S::LANES;
    }
    sum16(simd, sums)
}

/// The end of [`dot16`]: its sixteen sums as one, which are one vector or two.
#[inline(always)]
pub(crate) fn sum16<S: Simd>(simd: S, sums: [S::V; 2]) -> f32 {
    simd.reduce_sum(if S::LANES == 16 { sums[0] } else { simd.add(sums[0], sums[1]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Kernel};

    struct Transpose<'a>(&'a [f32], usize, usize, &'a mut [f32]);

    impl Kernel for Transpose<'_> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> usize {
            let Transpose(from, rows, cols, to) = self;
            let (rows, cols) = (rows.min(S::LANES), cols.min(S::LANES));
            // SAFETY: cols floats lie in the slice, as its length tells.
            let row = |i: usize| unsafe { simd.load_partial(from[i * 16..][..cols].as_ptr(), cols) };
            simd.transpose(rows, cols, row, |j, column| {
                // SAFETY: LANES floats lie in the slice, as its length tells.
                unsafe { simd.store(to[j * S::LANES..][..S::LANES].as_mut_ptr(), column) }
            });
            S::LANES
        }
    }

    #[test]
    fn transposes_every_block_size() {
        let from: Vec<f32> = (0..256).map(|i| i as f32 + 1.0).collect();
        for isa in Isa::available() {
            for (rows, cols) in (0..=16).flat_map(|r| (0..=16).map(move |c| (r, c))) {
                let mut to = [f32::NAN; 256];
                let lanes = isa.run(Transpose(&from, rows, cols, &mut to));
                for (at, value) in to.iter().enumerate() {
                    let (j, i) = (at / lanes, at % lanes);
                    if j >= cols.min(lanes) {
                        assert!(value.is_nan(), "{} {rows}x{cols}: wrote column {j}", isa.name());
                    } else {
                        let expected = if i < rows { from[i * 16 + j] } else { 0.0 };
                        assert_eq!(*value, expected, "{} {rows}x{cols} at ({i}, {j})", isa.name());
                    }
                }
            }
        }
    }
}
