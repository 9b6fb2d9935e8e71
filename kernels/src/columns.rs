//! Rows of `D` values as blocks of registers: what the loops over rows of a table share.

use crate::simd::Simd;

/// Rows between a prefetch and its use: at a few nanoseconds a row, enough to cover a DRAM access.
pub(crate) const AHEAD: usize = 32;

/// Calls `$call::<S, NV, WHOLE>(…, dim)`, with `NV` vectors a block and `WHOLE` (no partial vectors) as
/// `$dim` asks. `dim` is `$dim`, and a constant where a row is one whole block: the loops over its vectors and lines are
/// then gone, and with a few instructions a row less, more rows are under way at once (26 tables of 16 columns, one
/// lookup each: a tenth).
macro_rules! with_blocks {
    ($S:ident, $dim:expr, $call:ident($($argument:expr),*)) => {{
        let dim: usize = $dim;
        match (dim.div_ceil($S::LANES), dim % $S::LANES == 0) {
            (1, true) => $call::<$S, 1, true>($($argument),*, $S::LANES),
            (2, true) => $call::<$S, 2, true>($($argument),*, 2 * $S::LANES),
            (4, true) => $call::<$S, 4, true>($($argument),*, 4 * $S::LANES),
            (8, true) => $call::<$S, 8, true>($($argument),*, 8 * $S::LANES),
            (n, true) if n % 8 == 0 => $call::<$S, 8, true>($($argument),*, dim),
            (1, _) => $call::<$S, 1, false>($($argument),*, dim),
            (2, _) => $call::<$S, 2, false>($($argument),*, dim),
            (3 | 4, _) => $call::<$S, 4, false>($($argument),*, dim),
            _ => $call::<$S, 8, false>($($argument),*, dim),
        }
    }};
}
pub(crate) use with_blocks;

/// Asks for row `row`, `dim` values, of a matrix that is larger than the caches, whose rows are
/// `stride` apart. Into L2, which can wait for more lines than L1: on a Zen 4, rows of 256 and 512 bytes
/// out of 4 GiB come a quarter faster than into L1, shorter ones as fast.
#[inline(always)]
pub(crate) fn prefetch_row<S: Simd>(simd: S, matrix: *const f32, row: usize, stride: usize, dim: usize) {
    let row = matrix.wrapping_add(row * stride);
    for line in (0..dim).step_by(16) {
        simd.prefetch_far(row.wrapping_add(line));
    }
}

/// Columns `first .. first + NV · LANES` of rows of `dim`; unless `WHOLE`, cut off at `dim`.
#[derive(Clone, Copy)]
pub(crate) struct Columns<const NV: usize, const WHOLE: bool> {
    pub first: usize,
    pub dim: usize,
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
    pub(crate) unsafe fn add<S: Simd>(
        self,
        simd: S,
        sums: &mut [S::V; NV],
        row: *const f32,
        coefficient: Option<S::V>,
    ) {
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            let row = unsafe { self.load(simd, v, row) };
            *sum = simd.add(*sum, coefficient.map_or(row, |c| simd.mul(c, row)));
        }
    }

    /// Vector `v` of these columns of `row`.
    ///
    /// # Safety
    /// `dim` floats must be readable at `row`.
    #[inline(always)]
    pub(crate) unsafe fn load<S: Simd>(self, simd: S, v: usize, row: *const f32) -> S::V {
        let at = row.wrapping_add(self.first + v * S::LANES);
        // SAFETY: a whole vector lies below dim, a partial one is cut off there.
        unsafe { if WHOLE { simd.load(at) } else { simd.load_partial(at, self.lanes::<S>(v)) } }
    }

    /// Writes vector `v` of these columns of `row`.
    ///
    /// # Safety
    /// `dim` floats must be writable at `row`.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd>(self, simd: S, v: usize, value: S::V, row: *mut f32) {
        let at = row.wrapping_add(self.first + v * S::LANES);
        // SAFETY: a whole vector lies below dim, a partial one is cut off there.
        unsafe { if WHOLE { simd.store(at, value) } else { simd.store_partial(at, value, self.lanes::<S>(v)) } }
    }

    /// # Safety
    /// `dim` floats must be writable at `row`.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd>(self, simd: S, sums: &[S::V; NV], row: *mut f32) {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe { self.put(simd, v, sum, row) }
        }
    }
}
