//! AVX-512: sixteen lanes, thirty-two registers, and masks that make partial vectors free.

use super::Simd;
use std::arch::x86_64::*;

/// The token of AVX-512 F, BW, DQ and VL: whoever holds it may use their instructions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    pub(crate) fn new() -> Self {
        Avx512(())
    }
}

#[inline(always)]
fn first_lanes(n: usize) -> __mmask16 {
    debug_assert!(n <= 16);
    ((1u32 << n) - 1) as __mmask16
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    // Thirty-two registers: 14 × 2 accumulators, two vectors of the right operand, one broadcast.
    // Out of the L1 cache 12 × 2, 8 × 3 and 6 × 4 are 5 % slower (fewer chains to hide the latency
    // in), and the last two draw more of the right operand out of L2 a cycle.
    const TILE_ROWS: usize = 14;
    const TILE_VECTORS: usize = 2;

    #[inline(always)]
    fn zero(self) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for sixteen readable floats.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, n: usize) -> __m512 {
        // SAFETY: the token is the proof of AVX-512; only the first n lanes are read, for which the caller vouches.
        unsafe { _mm512_maskz_loadu_ps(first_lanes(n), from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u8) -> __m512 {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for thirty-two readable bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u8) -> __m512 {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for thirty-two readable bytes.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8) -> __m512 {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for sixteen readable bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_u4(self, from: *const u8) -> __m512 {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for eight readable bytes.
        unsafe {
            let pairs = _mm_cvtepu8_epi16(_mm_loadl_epi64(from.cast()));
            let low = _mm_and_si128(pairs, _mm_set1_epi16(0x000f));
            let high = _mm_and_si128(_mm_slli_epi16::<4>(pairs), _mm_set1_epi16(0x0f00));
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, high)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m512) {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for sixteen writable floats.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, v: __m512, n: usize) {
        // SAFETY: the token is the proof of AVX-512; only the first n lanes are written, for which the caller vouches.
        unsafe { _mm512_mask_storeu_ps(to, first_lanes(n), v) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, v: __m512) {
        // SAFETY: the token is the proof of AVX-512; the caller vouches for sixteen writable floats,
        // their alignment, and a fence before anyone touches them.
        unsafe { _mm512_stream_ps(to, v) }
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: every x86-64 has it.
        unsafe { _mm_sfence() }
    }

    #[inline(always)]
    fn transpose(self, rows: usize, cols: usize, row: impl Fn(usize) -> __m512, mut column: impl FnMut(usize, __m512)) {
        let mut r = [self.zero(); 16];
        for (i, r) in r.iter_mut().enumerate() {
            if i < rows {
                *r = row(i);
            }
        }
        // SAFETY: the token is the proof of AVX-512.
        let columns = unsafe { transpose_registers(r) };
        for (j, c) in columns.into_iter().enumerate() {
            if j < cols {
                column(j, c);
            }
        }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn at_least(self, floor: __m512, v: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512. (`maxps` returns its second operand for NaN.)
        unsafe { _mm512_max_ps(floor, v) }
    }

    #[inline(always)]
    fn where_positive(self, condition: __m512, v: __m512) -> __m512 {
        // SAFETY: the token is the proof of AVX-512.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(condition, _mm512_setzero_ps()), v) }
    }

    #[inline(always)]
    fn reduce_sum(self, v: __m512) -> f32 {
        // SAFETY: the token is the proof of AVX-512, and with it of AVX2.
        unsafe { super::avx2::reduce_sum(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))) }
    }

    #[inline(always)]
    fn separators(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: the token is the proof of AVX-512 BW; the array has 64 bytes.
        unsafe {
            let all = _mm512_loadu_si512(bytes.as_ptr().cast());
            let tabs = _mm512_cmpeq_epi8_mask(all, _mm512_set1_epi8(b'\t' as i8));
            tabs | _mm512_cmpeq_epi8_mask(all, _mm512_set1_epi8(b'\n' as i8))
        }
    }

    #[inline(always)]
    unsafe fn split_pairs(self, pairs: &[u64; 16], before: u32, at: u32, [rows, starts, bags]: [*mut u32; 3]) -> usize {
        // SAFETY: the token is the proof of AVX-512; the array has sixteen pairs, and the caller vouches for sixteen
        // writable numbers in each list.
        unsafe {
            let (first, second) = (pairs.as_ptr().cast::<__m512i>(), pairs[8..].as_ptr().cast::<__m512i>());
            let (first, second) = (_mm512_loadu_si512(first), _mm512_loadu_si512(second));
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let low = _mm512_slli_epi32::<1>(lanes);
            _mm512_storeu_si512(bags.cast(), _mm512_permutex2var_epi32(first, low, second));
            let row = _mm512_permutex2var_epi32(first, _mm512_add_epi32(low, _mm512_set1_epi32(1)), second);
            let previous = _mm512_alignr_epi32::<15>(row, _mm512_set1_epi32(before as i32));
            let changes = _mm512_cmpneq_epi32_mask(row, previous);
            // In a register and then stored whole: compressed stores take a Zen 4 a hundred cycles.
            _mm512_storeu_si512(rows.cast(), _mm512_maskz_compress_epi32(changes, row));
            let place = _mm512_add_epi32(lanes, _mm512_set1_epi32(at as i32));
            _mm512_storeu_si512(starts.cast(), _mm512_maskz_compress_epi32(changes, place));
            changes.count_ones() as usize
        }
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

/// A 16 × 16 transpose: pairs, then fours, within quarters; then two rounds of whole quarters.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_registers(r: [__m512; 16]) -> [__m512; 16] {
    let mut pairs = r;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    // fours[4 i + c], quarter q: column 4 q + c of rows 4 i .. 4 i + 4.
    let mut fours = r;
    for i in 0..4 {
        let (p, f) = (&pairs[4 * i..4 * i + 4], &mut fours[4 * i..4 * i + 4]);
        f[0] = _mm512_shuffle_ps::<0x44>(p[0], p[2]);
        f[1] = _mm512_shuffle_ps::<0xee>(p[0], p[2]);
        f[2] = _mm512_shuffle_ps::<0x44>(p[1], p[3]);
        f[3] = _mm512_shuffle_ps::<0xee>(p[1], p[3]);
    }
    let mut columns = r;
    for c in 0..4 {
        let even_low = _mm512_shuffle_f32x4::<0x88>(fours[c], fours[c + 4]);
        let odd_low = _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[c + 4]);
        let even_high = _mm512_shuffle_f32x4::<0x88>(fours[c + 8], fours[c + 12]);
        let odd_high = _mm512_shuffle_f32x4::<0xdd>(fours[c + 8], fours[c + 12]);
        columns[c] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
        columns[c + 8] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
        columns[c + 4] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
        columns[c + 12] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
    }
    columns
}
