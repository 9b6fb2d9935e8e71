//! Eight lanes in plain Rust, for every target. The lane loops are small and fixed, so that the
//! compiler turns them into whatever vectors the target guarantees (two SSE registers on x86-64).

use super::Simd;
use half::{bf16, f16};

/// The token of the set that every target has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar(());

/// Eight lanes.
#[derive(Debug, Clone, Copy)]
#[repr(align(16))]
pub(crate) struct F32x8([f32; 8]);

impl Scalar {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Scalar(())
    }
}

#[inline(always)]
fn map(mut a: F32x8, f: impl Fn(usize, f32) -> f32) -> F32x8 {
    for (i, lane) in a.0.iter_mut().enumerate() {
        *lane = f(i, *lane);
    }
    a
}

impl Simd for Scalar {
    type V = F32x8;
    const LANES: usize = 8;
    // Sixteen SSE registers: eight accumulators, two for the right operand, one broadcast, and
    // products on their way, as baseline x86-64 has no fused multiply-add.
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    fn zero(self) -> F32x8 {
        F32x8([0.0; 8])
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F32x8 {
        F32x8([x; 8])
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F32x8 {
        // SAFETY: the caller vouches for eight readable floats; the read needs no more alignment than theirs.
        F32x8(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, n: usize) -> F32x8 {
        let mut v = [0.0; 8];
        for (i, lane) in v.iter_mut().enumerate().take(n) {
            // SAFETY: i < n, and the caller vouches for n readable floats.
            *lane = unsafe { from.add(i).read() };
        }
        F32x8(v)
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u8) -> F32x8 {
        // SAFETY: the caller vouches for sixteen readable bytes.
        let halves = unsafe { from.cast::<[[u8; 2]; 8]>().read() };
        F32x8(halves.map(|half| f16::from_le_bytes(half).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u8) -> F32x8 {
        // SAFETY: the caller vouches for sixteen readable bytes.
        let halves = unsafe { from.cast::<[[u8; 2]; 8]>().read() };
        F32x8(halves.map(|half| bf16::from_le_bytes(half).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8) -> F32x8 {
        // SAFETY: the caller vouches for eight readable bytes.
        F32x8(unsafe { from.cast::<[u8; 8]>().read() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn load_u4(self, from: *const u8) -> F32x8 {
        // SAFETY: the caller vouches for four readable bytes.
        let pairs = unsafe { from.cast::<[u8; 4]>().read() };
        F32x8(std::array::from_fn(|i| f32::from(pairs[i / 2] >> (4 * (i % 2)) & 15)))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: F32x8) {
        // SAFETY: the caller vouches for eight writable floats; the write needs no more alignment than theirs.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(v.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, v: F32x8, n: usize) {
        for (i, lane) in v.0.iter().enumerate().take(n) {
            // SAFETY: i < n, and the caller vouches for n writable floats.
            unsafe { to.add(i).write(*lane) }
        }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, v: F32x8) {
        // SAFETY: the caller vouches for eight writable floats.
        unsafe { self.store(to, v) }
    }

    #[inline(always)]
    fn fence(self) {}

    #[inline(always)]
    fn transpose(self, rows: usize, cols: usize, row: impl Fn(usize) -> F32x8, mut column: impl FnMut(usize, F32x8)) {
        let mut block = [[0.0; 8]; 8];
        for (i, r) in block.iter_mut().enumerate().take(rows) {
            *r = row(i).0;
        }
        for j in 0..cols {
            column(j, F32x8(block.map(|r| r[j])));
        }
    }

    #[inline(always)]
    fn add(self, a: F32x8, b: F32x8) -> F32x8 {
        map(a, |i, x| x + b.0[i])
    }

    #[inline(always)]
    fn sub(self, a: F32x8, b: F32x8) -> F32x8 {
        map(a, |i, x| x - b.0[i])
    }

    #[inline(always)]
    fn mul(self, a: F32x8, b: F32x8) -> F32x8 {
        map(a, |i, x| x * b.0[i])
    }

    #[inline(always)]
    fn div(self, a: F32x8, b: F32x8) -> F32x8 {
        map(a, |i, x| x / b.0[i])
    }

    #[inline(always)]
    fn sqrt(self, a: F32x8) -> F32x8 {
        map(a, |_, x| x.sqrt())
    }

    #[inline(always)]
    fn fma(self, a: F32x8, b: F32x8, c: F32x8) -> F32x8 {
        // Without the instruction `mul_add` is a call into the C library, a hundred times slower.
        if cfg!(target_feature = "fma") {
            map(a, |i, x| x.mul_add(b.0[i], c.0[i]))
        } else {
            map(a, |i, x| x * b.0[i] + c.0[i])
        }
    }

    #[inline(always)]
    fn at_least(self, floor: F32x8, v: F32x8) -> F32x8 {
        map(v, |i, x| if x < floor.0[i] { floor.0[i] } else { x })
    }

    #[inline(always)]
    fn where_positive(self, condition: F32x8, v: F32x8) -> F32x8 {
        map(v, |i, x| if condition.0[i] > 0.0 { x } else { 0.0 })
    }

    #[inline(always)]
    fn reduce_sum(self, v: F32x8) -> f32 {
        let [a, b, c, d, e, f, g, h] = v.0;
        let [a, b, c, d] = [a + e, b + f, c + g, d + h];
        (a + c) + (b + d)
    }

    #[inline(always)]
    fn separators(self, bytes: &[u8; 64]) -> u64 {
        bytes.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(byte == b'\t' || byte == b'\n'))
    }

    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        #[cfg(x86_simd)]
        // SAFETY: a prefetch never faults, wherever it points, and every x86-64 has it.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
        #[cfg(not(x86_simd))]
        let _ = address;
    }

    #[inline(always)]
    fn prefetch_far(self, address: *const f32) {
        #[cfg(x86_simd)]
        // SAFETY: a prefetch never faults, wherever it points, and every x86-64 has it.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(address.cast());
        }
        #[cfg(not(x86_simd))]
        let _ = address;
    }
}
