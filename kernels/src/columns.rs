//! Rows of `D` values as blocks of registers: what the loops over rows of a table share.

use crate::simd::Simd;

/// Rows between the first request for one and its use: at a few nanoseconds a row, enough to cover a DRAM access. (On two
/// cores of a Zen 4, rows of 64 bytes come fastest at 64 out of tables of 64 MB and at 32 out of one of 4 GiB; 48 loses 8 %
/// there and 5 % here. Longer rows do not mind.)
pub(crate) const AHEAD: usize = 48;

/// Rows between the second request and the use. (On the same machine 8 to 24 are as good, 4 is too late.)
pub(crate) const AGAIN: usize = 16;

/// Entries of a list of rows between a request and its use. (From 128 on it makes no difference.)
const LIST_AHEAD: usize = 256;

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

/// Before row `list[at]` of a matrix of `dim` columns that is larger than the caches, whose rows are `stride` apart, is
/// used: asks for rows that come later, and for their numbers.
///
/// 1. A row is asked for twice. A processor drops requests when it has no room for more, and a line that was dropped is
///    waited for: of two threads' lookups in rows of 256 and 512 bytes, a Zen 4 brings 24 GB/s with one request a row and
///    32 with two. The second costs instructions only.
/// 2. The list is asked for too. The processor would see by itself that it is read from front to back, but is left no room
///    for requests of its own.
#[inline(always)]
pub(crate) fn prefetch_rows<S: Simd>(simd: S, matrix: *const f32, list: &[u32], at: usize, stride: usize, dim: usize) {
    prefetch_list(simd, list, at);
    if let Some(&row) = list.get(at + AHEAD) {
        prefetch_row(simd, matrix, row as usize, stride, dim);
    }
    if let Some(&row) = list.get(at + AGAIN) {
        prefetch_row(simd, matrix, row as usize, stride, dim);
    }
}

/// Asks for what comes `LIST_AHEAD` entries after `list[at]`.
#[inline(always)]
pub(crate) fn prefetch_list<S: Simd>(simd: S, list: &[u32], at: usize) {
    simd.prefetch_far(list.as_ptr().wrapping_add(at + LIST_AHEAD).cast());
}

/// Asks for row `row`, `dim` values, of a matrix whose rows are `stride` apart. Into L2, which can wait for more lines than
/// L1: on a Zen 4, rows of 256 and 512 bytes out of 4 GiB come a quarter faster than into L1, shorter ones as fast.
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
