//! `y = act(x · Wᵀ + b)` of one row: what a service that predicts row by row spends its time on.
//!
//! ```text
//! for j in groups of 4 panels of NR columns
//!     for p in 0..k
//!         y[j ..] += x[p] · panel[p]
//! ```
//!
//! 1. A register tile of one row is two accumulators, each of which waits four cycles for itself; four panels at a time are
//!    eight, and the multiply-adds are as quick as the loads.
//! 2. A weight is used once: reading is all that counts. Four panels are four streams from front to back, which the processor
//!    fetches ahead. (To ask for lines 16 steps ahead as well took a tenth longer.)
//! 3. Each sum is the one chain that the tile makes too, so that a row has the same bits in any batch.

use super::microkernel::{Epilogue, Target, write};
use super::packed::Packed;
use crate::simd::Simd;

impl Packed<'_> {
    /// The product, of one row that is not added to anything.
    #[inline(always)]
    pub(super) fn row<S: Simd>(self, simd: S) {
        let c = self.c.as_mut_ptr();
        let nr = S::LANES * S::TILE_VECTORS;
        let mut j = 0;
        while j < self.n {
            let panels = (self.n - j).div_ceil(nr);
            // SAFETY: a has k values, c has n, and there are panels for all of n, as the public functions checked.
            j += nr
                * unsafe {
                    match panels {
                        4.. => self.panels_of_row::<S, 4>(simd, c, j),
                        2.. => self.panels_of_row::<S, 2>(simd, c, j),
                        _ => self.panels_of_row::<S, 1>(simd, c, j),
                    }
                };
        }
    }

    /// # Safety
    /// There must be `G` panels from column `j` on, though the last may be narrower than NR; `c` must have all columns.
    #[inline(always)]
    unsafe fn panels_of_row<S: Simd, const G: usize>(&self, simd: S, c: *mut f32, j: usize) -> usize {
        // SAFETY: the caller vouches for the panels.
        unsafe {
            if S::TILE_VECTORS == 2 {
                self.columns_of_row::<S, G, 2>(simd, c, j)
            } else {
                self.columns_of_row::<S, G, 1>(simd, c, j)
            }
        }
        G
    }

    /// # Safety
    /// As above; `NV` must be the vectors of a panel.
    #[inline(always)]
    unsafe fn columns_of_row<S: Simd, const G: usize, const NV: usize>(&self, simd: S, c: *mut f32, j: usize) {
        let nr = S::LANES * NV;
        let panels = self.panels.as_ptr().wrapping_add(j * self.k);
        let mut sums = [[simd.zero(); NV]; G];
        for p in 0..self.k {
            let x = simd.splat(self.a[p]);
            for (g, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: panel g of these begins g · k · NR further on, and has k steps of NR values.
                    let weight = unsafe { simd.load(panels.add((g * self.k + p) * nr + v * S::LANES)) };
                    *sum = simd.fma(x, weight, *sum);
                }
            }
        }
        for (g, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let column = j + g * nr + v * S::LANES;
                let tail = S::LANES.min(self.n.saturating_sub(column));
                if tail == 0 {
                    break;
                }
                let to = Target { at: c.wrapping_add(column), row: self.n, tail };
                let bias = self.epilogue.bias.map(|bias| bias.wrapping_add(column));
                // SAFETY: `tail` columns of c, and of the bias, are left from here on.
                unsafe { write::<S, 1, 1, false>(simd, [[sum]], to, Epilogue { bias, ..self.epilogue }) }
            }
        }
    }
}
