//! AVX2 with FMA: eight lanes, sixteen registers.

use super::Simd;
use std::arch::x86_64::*;

/// The token of AVX2, FMA and F16C: whoever holds it may use their instructions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(crate) fn new() -> Self {
        Avx2(())
    }
}

/// A window of eight that starts at `8 - n` has its first `n` lanes set.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn first_lanes(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: n ≤ 8, so that the eight integers from 8 - n on lie in the table of sixteen.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()) }
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    // Sixteen registers: 6 × 2 accumulators, two vectors of the right operand, one broadcast.
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 2;

    #[inline(always)]
    fn zero(self) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the token is the proof of AVX2; the caller vouches for eight readable floats.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, n: usize) -> __m256 {
        // SAFETY: the token is the proof of AVX2; only the first n lanes are read, for which the caller vouches.
        unsafe { _mm256_maskload_ps(from, first_lanes(n)) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u8) -> __m256 {
        // SAFETY: the token is the proof of F16C; the caller vouches for sixteen readable bytes.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u8) -> __m256 {
        // SAFETY: the token is the proof of AVX2; the caller vouches for sixteen readable bytes.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8) -> __m256 {
        // SAFETY: the token is the proof of AVX2; the caller vouches for eight readable bytes.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_u4(self, from: *const u8) -> __m256 {
        // SAFETY: the token is the proof of AVX2; the caller vouches for four readable bytes.
        unsafe {
            let pairs = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(from.cast::<i32>().read_unaligned()));
            let low = _mm_and_si128(pairs, _mm_set1_epi16(0x000f));
            let high = _mm_and_si128(_mm_slli_epi16::<4>(pairs), _mm_set1_epi16(0x0f00));
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_or_si128(low, high)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m256) {
        // SAFETY: the token is the proof of AVX2; the caller vouches for eight writable floats.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, v: __m256, n: usize) {
        // SAFETY: the token is the proof of AVX2; only the first n lanes are written, for which the caller vouches.
        unsafe { _mm256_maskstore_ps(to, first_lanes(n), v) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, v: __m256) {
        // SAFETY: the token is the proof of AVX2; the caller vouches for eight writable floats,
        // their alignment, and a fence before anyone touches them.
        unsafe { _mm256_stream_ps(to, v) }
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: every x86-64 has it.
        unsafe { _mm_sfence() }
    }

    #[inline(always)]
    fn transpose(self, rows: usize, cols: usize, row: impl Fn(usize) -> __m256, mut column: impl FnMut(usize, __m256)) {
        let mut r = [self.zero(); 8];
        for (i, r) in r.iter_mut().enumerate() {
            if i < rows {
                *r = row(i);
            }
        }
        // SAFETY: the token is the proof of AVX2.
        let columns = unsafe { transpose_registers(r) };
        for (j, c) in columns.into_iter().enumerate() {
            if j < cols {
                column(j, c);
            }
        }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_sqrt_ps(a) }
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the token is the proof of FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn at_least(self, floor: __m256, v: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2. (`maxps` returns its second operand for NaN.)
        unsafe { _mm256_max_ps(floor, v) }
    }

    #[inline(always)]
    fn where_positive(self, condition: __m256, v: __m256) -> __m256 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(condition, _mm256_setzero_ps()), v) }
    }

    #[inline(always)]
    fn reduce_sum(self, v: __m256) -> f32 {
        // SAFETY: the token is the proof of AVX2.
        unsafe { reduce_sum(v) }
    }

    #[inline(always)]
    fn separators(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: the token is the proof of AVX2; both halves lie in the array.
        let half = |i: usize| unsafe {
            let half = _mm256_loadu_si256(bytes.as_ptr().add(32 * i).cast());
            let tabs = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'\t' as i8));
            let newlines = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'\n' as i8));
            u64::from(_mm256_movemask_epi8(_mm256_or_si256(tabs, newlines)) as u32)
        };
        half(0) | half(1) << 32
    }

    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a prefetch never faults, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn prefetch_far(self, address: *const f32) {
        // SAFETY: a prefetch never faults, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }
}

/// Halves added until one lane is left.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn reduce_sum(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// An 8 × 8 transpose: pairs, then fours, then halves.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose_registers(r: [__m256; 8]) -> [__m256; 8] {
    let mut pairs = r;
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    let mut fours = r;
    for i in 0..2 {
        let (p, f) = (&pairs[4 * i..4 * i + 4], &mut fours[4 * i..4 * i + 4]);
        f[0] = _mm256_shuffle_ps::<0x44>(p[0], p[2]);
        f[1] = _mm256_shuffle_ps::<0xee>(p[0], p[2]);
        f[2] = _mm256_shuffle_ps::<0x44>(p[1], p[3]);
        f[3] = _mm256_shuffle_ps::<0xee>(p[1], p[3]);
    }
    let mut columns = r;
    for i in 0..4 {
        columns[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
        columns[i + 4] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
    }
    columns
}
