//! Weights in panels: the order in which the register tile reads them.
//!
//! A panel is NR columns wide ([`panel_width`]) and as deep as the inner dimension, row after row,
//! so that the tile reads it from front to back; columns beyond the matrix are 0. Packing is done
//! once a step, and one panel at a time, so that threads can share it.

use crate::check;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// NR: columns of a packed panel.
pub fn panel_width(isa: Isa) -> usize {
    isa.run(Width)
}

/// Values in the forward panels of `W` (N × K): `ceil(N / NR)` panels of K × NR. They should start
/// at a multiple of 64 bytes, or every vector of them crosses a cache line (5 to 20 % slower).
/// `usize::MAX`, which no slice has, if there are more than that.
pub fn packed_len(isa: Isa, n: usize, k: usize) -> usize {
    let nr = panel_width(isa);
    n.div_ceil(nr).saturating_mul(nr).saturating_mul(k)
}

/// Values in the backward panels of `W` (N × K): `ceil(K / NR)` panels of N × NR.
pub fn packed_backward_len(isa: Isa, n: usize, k: usize) -> usize {
    packed_len(isa, k, n)
}

/// Fills forward panel `panel` (of `ceil(N / NR)`): `out[p · NR + j] = W[panel · NR + j][p]`.
///
/// # Panics
/// If `w` is not N × K, `out` not K × NR, or there is no such panel.
pub fn pack_forward_panel(isa: Isa, w: &[f32], n: usize, k: usize, panel: usize, out: &mut [f32]) {
    const OP: &str = "pack_forward_panel";
    let nr = panel_width(isa);
    check::shape(OP, "w", w.len(), [n, k]);
    check::shape(OP, "out", out.len(), [k, nr]);
    assert!(panel < n.div_ceil(nr), "{OP}: panel {panel} of {n} rows in panels of {nr}");
    isa.run(PackForward { w, n, k, first: panel * nr, out });
}

/// Fills backward panel `panel` (of `ceil(K / NR)`): `out[i · NR + j] = W[i][panel · NR + j]`.
///
/// # Panics
/// If `w` is not N × K, `out` not N × NR, or there is no such panel.
pub fn pack_backward_panel(isa: Isa, w: &[f32], n: usize, k: usize, panel: usize, out: &mut [f32]) {
    const OP: &str = "pack_backward_panel";
    let nr = panel_width(isa);
    check::shape(OP, "w", w.len(), [n, k]);
    check::shape(OP, "out", out.len(), [n, nr]);
    assert!(panel < k.div_ceil(nr), "{OP}: panel {panel} of {k} columns in panels of {nr}");
    let first = panel * nr;
    let width = nr.min(k - first);
    for (row, out) in w.chunks_exact(k).zip(out.chunks_exact_mut(nr)) {
        out[..width].copy_from_slice(&row[first..first + width]);
        out[width..].fill(0.0);
    }
}

struct Width;

impl Kernel for Width {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES * S::TILE_VECTORS
    }
}

struct PackForward<'a> {
    w: &'a [f32],
    n: usize,
    k: usize,
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for PackForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let nr = S::LANES * S::TILE_VECTORS;
        for v in 0..S::TILE_VECTORS {
            let first = (self.first + v * S::LANES).min(self.n);
            let rows = S::LANES.min(self.n - first);
            for p in (0..self.k).step_by(S::LANES) {
                let cols = S::LANES.min(self.k - p);
                let from = self.w.as_ptr().wrapping_add(first * self.k + p);
                let to = self.out.as_mut_ptr().wrapping_add(p * nr + v * S::LANES);
                // SAFETY: rows first .. first + rows and columns p .. p + cols lie in W (N × K), as
                // the caller asserted.
                let row = |r: usize| unsafe {
                    let from = from.add(r * self.k);
                    if cols == S::LANES { simd.load(from) } else { simd.load_partial(from, cols) }
                };
                // SAFETY: vectors v of rows p .. p + cols lie in out (K × NR), as the caller asserted.
                simd.transpose(rows, cols, row, |c, column| unsafe { simd.store(to.add(c * nr), column) });
            }
        }
    }
}
