//! Sums of products of bytes: the few operations that a matrix product of 8-bit numbers is made of.
//!
//! All of it is integers, so that every instruction set gives the same sums.

/// Vectors of `LANES` i32. Implementations are `#[inline(always)]` throughout.
pub(crate) trait Bytes: Copy {
    /// A vector of sums.
    type Sums: Copy;
    /// Four i8 for each lane, as [`dot4`](Self::dot4) takes them.
    type Weights: Copy;
    /// Lanes: 8 or 16.
    const LANES: usize;
    /// Rows of the register tile, beside two vectors a row.
    const TILE_ROWS: usize;

    /// All sums 0.
    fn zero(self) -> Self::Sums;
    /// # Safety
    /// `LANES` words of four i8 must be readable at `from`.
    unsafe fn load(self, from: *const u32) -> Self::Weights;
    /// Adds to each lane the sum of the products of `four` u8 and its four i8. (Exact: i32 has room for 66,000
    /// such products.)
    fn dot4(self, sums: Self::Sums, four: u32, weights: Self::Weights) -> Self::Sums;
    /// # Safety
    /// `LANES` i32 must be writable at `to`.
    unsafe fn store(self, to: *mut i32, sums: Self::Sums);
}

impl Bytes for super::Scalar {
    type Sums = [i32; 8];
    type Weights = [[i8; 4]; 8];
    const LANES: usize = 8;
    const TILE_ROWS: usize = 2;

    #[inline(always)]
    fn zero(self) -> [i32; 8] {
        [0; 8]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> [[i8; 4]; 8] {
        // SAFETY: the caller vouches for eight words.
        let words = unsafe { from.cast::<[u32; 8]>().read() };
        words.map(|word| word.to_le_bytes().map(|b| b as i8))
    }

    #[inline(always)]
    fn dot4(self, mut sums: [i32; 8], four: u32, weights: [[i8; 4]; 8]) -> [i32; 8] {
        let four = four.to_le_bytes().map(i32::from);
        for (sum, w) in sums.iter_mut().zip(weights) {
            let w = w.map(i32::from);
            *sum += (four[0] * w[0] + four[1] * w[1]) + (four[2] * w[2] + four[3] * w[3]);
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, sums: [i32; 8]) {
        // SAFETY: the caller vouches for eight i32.
        unsafe { to.cast::<[i32; 8]>().write(sums) }
    }
}

#[cfg(x86_simd)]
mod x86 {
    use super::Bytes;
    use crate::simd::Avx2;
    use std::arch::x86_64::*;

    /// Two bytes at a time, widened: `vpmaddubsw` would take four, but its sums of two products are i16, and
    /// 2 · 255 · 127 does not fit.
    impl Bytes for Avx2 {
        type Sums = __m256i;
        /// The first and third of four i8, and the second and fourth, as i16.
        type Weights = [__m256i; 2];
        const LANES: usize = 8;
        // Sixteen registers: 4 × 2 sums, two pairs of weights, two vectors of the left operand.
        const TILE_ROWS: usize = 4;

        #[inline(always)]
        fn zero(self) -> __m256i {
            // SAFETY: the token is the proof of AVX2.
            unsafe { _mm256_setzero_si256() }
        }

        #[inline(always)]
        unsafe fn load(self, from: *const u32) -> [__m256i; 2] {
            // SAFETY: the token is the proof of AVX2; the caller vouches for eight words.
            unsafe {
                let all = _mm256_loadu_si256(from.cast());
                [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(all)), _mm256_srai_epi16::<8>(all)]
            }
        }

        #[inline(always)]
        fn dot4(self, sums: __m256i, four: u32, [even, odd]: [__m256i; 2]) -> __m256i {
            // SAFETY: the token is the proof of AVX2.
            unsafe {
                let four = _mm256_set1_epi32(four as i32);
                let first = _mm256_and_si256(four, _mm256_set1_epi16(0xff));
                let second = _mm256_srli_epi16::<8>(four);
                let products = _mm256_add_epi32(_mm256_madd_epi16(first, even), _mm256_madd_epi16(second, odd));
                _mm256_add_epi32(sums, products)
            }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut i32, sums: __m256i) {
            // SAFETY: the token is the proof of AVX2; the caller vouches for eight i32.
            unsafe { _mm256_storeu_si256(to.cast(), sums) }
        }
    }

    /// The token of AVX512-VNNI beside AVX-512: whoever holds it may use their instructions.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Vnni(());

    impl Vnni {
        #[target_feature(enable = "avx512f,avx512vnni")]
        #[inline]
        pub(crate) fn new() -> Self {
            Vnni(())
        }
    }

    impl Bytes for Vnni {
        type Sums = __m512i;
        type Weights = __m512i;
        const LANES: usize = 16;
        // Thirty-two registers: 12 × 2 sums, two vectors of weights, one of the left operand.
        const TILE_ROWS: usize = 12;

        #[inline(always)]
        fn zero(self) -> __m512i {
            // SAFETY: the token is the proof of AVX-512.
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn load(self, from: *const u32) -> __m512i {
            // SAFETY: the token is the proof of AVX-512; the caller vouches for sixteen words.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }

        #[inline(always)]
        fn dot4(self, sums: __m512i, four: u32, weights: __m512i) -> __m512i {
            // SAFETY: the token is the proof of AVX512-VNNI.
            unsafe { _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(four as i32), weights) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut i32, sums: __m512i) {
            // SAFETY: the token is the proof of AVX-512; the caller vouches for sixteen i32.
            unsafe { _mm512_storeu_si512(to.cast(), sums) }
        }
    }
}

#[cfg(x86_simd)]
pub(crate) use x86::Vnni;
