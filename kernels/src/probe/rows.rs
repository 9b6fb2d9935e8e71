//! Rows of a table in random order: nearly every one a cache miss, hidden by asking for rows
//! ahead of their use, as the embedding kernels do.

use crate::columns::prefetch_rows;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Vectors summed side by side.
const SUMS: usize = 8;

/// Row numbers and the largest of them, so that a list is looked through once and not each time
/// it is used.
#[derive(Debug, Clone, Copy)]
pub struct RowList<'a> {
    rows: &'a [u32],
    max: Option<u32>,
}

impl<'a> RowList<'a> {
    /// The rows `rows`, in this order; a row may come more than once.
    pub fn new(rows: &'a [u32]) -> Self {
        RowList { rows, max: rows.iter().copied().max() }
    }

    #[track_caller]
    fn check(self, op: &str, table: &[f32], dim: usize) {
        assert!(matches!(dim, 16 | 32 | 64 | 128), "{op}: rows of {dim} values, expected 16, 32, 64 or 128");
        let rows = table.len() / dim;
        if let Some(max) = self.max {
            assert!((max as usize) < rows, "{op}: row {max}, but the table has {rows} rows of {dim}");
        }
    }
}

/// The sum of all values of the listed rows of `table`, `dim` values each, in an order that
/// depends on the instruction set.
///
/// # Panics
/// If `dim` is not 16, 32, 64 or 128, or the table does not have the largest of the rows.
pub fn read_rows(isa: Isa, table: &[f32], dim: usize, rows: RowList) -> f32 {
    rows.check("read_rows", table, dim);
    isa.run(Read { table, dim, rows: rows.rows })
}

/// Subtracts `step` (a learning rate times a gradient) from all values of the listed rows of
/// `table`, `dim` values each, a row as often as it is listed.
///
/// # Panics
/// If `dim` is not 16, 32, 64 or 128, or the table does not have the largest of the rows.
pub fn update_rows(isa: Isa, table: &mut [f32], dim: usize, rows: RowList, step: f32) {
    rows.check("update_rows", table, dim);
    isa.run(Update { table, dim, rows: rows.rows, step });
}

/// Runs `$call` with the vectors of a row as a constant.
macro_rules! with_vectors {
    ($S:ident, $dim:expr, $call:ident($($argument:expr),*)) => {
        match $dim / $S::LANES {
            1 => $call::<$S, 1>($($argument),*),
            2 => $call::<$S, 2>($($argument),*),
            4 => $call::<$S, 4>($($argument),*),
            8 => $call::<$S, 8>($($argument),*),
            _ => $call::<$S, 16>($($argument),*),
        }
    };
}

struct Read<'a> {
    table: &'a [f32],
    dim: usize,
    rows: &'a [u32],
}

impl Kernel for Read<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        // SAFETY: read_rows checked the rows, and that dim is one of those with_vectors knows.
        unsafe { with_vectors!(S, self.dim, sum(simd, self)) }
    }
}

/// # Safety
/// The rows must be rows of the table, of `NV` vectors each.
#[inline(always)]
unsafe fn sum<S: Simd, const NV: usize>(simd: S, r: Read) -> f32 {
    let dim = NV * S::LANES;
    let mut sums = [simd.zero(); SUMS];
    for (i, &row) in r.rows.iter().enumerate() {
        prefetch_rows(simd, r.table.as_ptr(), r.rows, i, dim, dim);
        for v in 0..NV {
            // SAFETY: the table has this row, of NV vectors.
            let values = unsafe { simd.load(r.table.as_ptr().add(row as usize * dim + v * S::LANES)) };
            sums[v % SUMS] = simd.add(sums[v % SUMS], values);
        }
    }
    simd.reduce_sum(sums.into_iter().fold(simd.zero(), |all, sum| simd.add(all, sum)))
}

struct Update<'a> {
    table: &'a mut [f32],
    dim: usize,
    rows: &'a [u32],
    step: f32,
}

impl Kernel for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: update_rows checked the rows, and that dim is one of those with_vectors knows.
        unsafe { with_vectors!(S, self.dim, subtract(simd, self)) }
    }
}

/// # Safety
/// The rows must be rows of the table, of `NV` vectors each.
#[inline(always)]
unsafe fn subtract<S: Simd, const NV: usize>(simd: S, u: Update) {
    let (dim, step) = (NV * S::LANES, simd.splat(u.step));
    for (i, &row) in u.rows.iter().enumerate() {
        prefetch_rows(simd, u.table.as_ptr(), u.rows, i, dim, dim);
        for v in 0..NV {
            // SAFETY: the table has this row, of NV vectors.
            unsafe {
                let at = u.table.as_mut_ptr().add(row as usize * dim + v * S::LANES);
                simd.store(at, simd.sub(simd.load(at), step));
            }
        }
    }
}
