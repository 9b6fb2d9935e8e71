//! A linear layer with weights of f16: `Y = act(X · Wᵀ + b)`, where only `W` is rounded (the reference's
//! `--quantize-mlp-with-bit 16`).
//!
//! ```text
//! for j in panels of NR columns of W
//!     widen the panel to f32                 K × NR, which stays in the caches
//!     for i in row tiles of X
//!         Y tile = act(X rows · panel + b)
//! ```
//!
//! The products are those of the f32 layer, tile by tile, on half the memory. A panel is widened once a call,
//! which a batch of hundreds of rows does not notice; one row alone takes longer than with f32, as then to widen
//! is most of the work.

use crate::check;
use crate::gemm::microkernel::{Epilogue, Left, Right, RowTiles, Target, accumulate_for, for_each_row_tile, write};
use crate::gemm::{Activation, packed_len, panel_width};
use crate::isa::{Isa, Kernel};
use crate::scratch::Scratch;
use crate::simd::Simd;
use half::f16;

/// Numbers in the packed `W` (N × K).
pub fn f16_len(isa: Isa, n: usize, k: usize) -> usize {
    packed_len(isa, n, k)
}

/// Rounds `w` (N × K) to f16 and lays it out for [`linear_f16`] on the same instruction set: the panels of
/// [`pack_forward_panel`](crate::gemm::pack_forward_panel), one after the other.
///
/// # Panics
/// If a slice does not have its shape.
pub fn pack_f16(isa: Isa, w: &[f32], n: usize, k: usize, out: &mut [u16]) {
    const OP: &str = "pack_f16";
    check::shape(OP, "w", w.len(), [n, k]);
    check::shape(OP, "out", out.len(), [1, f16_len(isa, n, k)]);
    let nr = panel_width(isa);
    out.fill(0);
    for (i, row) in w.chunks_exact(k.max(1)).enumerate() {
        let panel = &mut out[i / nr * nr * k..][..nr * k];
        for (p, v) in row.iter().enumerate() {
            panel[p * nr + i % nr] = f16::from_f32(*v).to_bits().to_le();
        }
    }
}

/// `Y = act(X · Wᵀ + b)` for `m` rows: `x` M × K, `y` M × N, `packed` what [`pack_f16`] made of `W`.
///
/// # Panics
/// If a slice does not have its shape.
#[allow(clippy::too_many_arguments)] // those of linear
pub fn linear_f16(
    isa: Isa,
    x: &[f32],
    packed: &[u16],
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    scratch: &mut Scratch,
) {
    check::linear("linear_f16", x, y, [packed.len(), f16_len(isa, n, k)], bias, [m, n, k]);
    let [panel] = scratch.rooms([panel_width(isa) * k]);
    isa.run(Linear { x, packed, panel, bias, relu: activation == Activation::Relu, y, m, n, k });
}

struct Linear<'a> {
    x: &'a [f32],
    packed: &'a [u16],
    /// Room for one panel.
    panel: &'a mut [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    y: &'a mut [f32],
    m: usize,
    n: usize,
    k: usize,
}

impl Kernel for Linear<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let nr = S::LANES * S::TILE_VECTORS;
        for j in (0..self.n).step_by(nr) {
            // A panel is K × NR numbers, a multiple of the lanes.
            let halves = self.packed[j * self.k..][..nr * self.k].chunks_exact(S::LANES);
            for (to, from) in self.panel.chunks_exact_mut(S::LANES).zip(halves) {
                // SAFETY: both chunks have LANES numbers.
                unsafe { simd.store(to.as_mut_ptr(), simd.load_f16(from.as_ptr().cast())) }
            }
            let tile = Panel {
                x: self.x.as_ptr(),
                k: self.k,
                panel: self.panel.as_ptr(),
                y: self.y.as_mut_ptr().wrapping_add(j),
                n: self.n,
                width: nr.min(self.n - j),
                epilogue: Epilogue { bias: self.bias.map(|b| b[j..].as_ptr()), relu: self.relu },
            };
            // SAFETY: x has m rows of k, y m rows of n with these columns, and the panel is whole.
            unsafe { for_each_row_tile(simd, self.m, &tile) }
        }
    }
}

/// A panel of `W`, widened, and where its columns of `Y` are.
struct Panel {
    x: *const f32,
    k: usize,
    panel: *const f32,
    y: *mut f32,
    n: usize,
    width: usize,
    epilogue: Epilogue,
}

impl<S: Simd> RowTiles<S> for Panel {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        let a = Left { at: self.x.wrapping_add(i * self.k), row: self.k, step: 1 };
        let b = Right { at: self.panel, step: S::LANES * S::TILE_VECTORS };
        let at = self.y.wrapping_add(i * self.n);
        // SAFETY: the caller vouches for the rows; the columns exist, and so does their bias.
        unsafe {
            if S::TILE_VECTORS == 2 && self.width > S::LANES {
                let to = Target { at, row: self.n, tail: self.width - S::LANES };
                let acc = accumulate_for::<S, MR, 2>(simd, self.k, a, b, to, &mut ());
                write::<S, MR, 2, false>(simd, acc, to, self.epilogue);
            } else {
                let to = Target { at, row: self.n, tail: self.width };
                let acc = accumulate_for::<S, MR, 1>(simd, self.k, a, b, to, &mut ());
                write::<S, MR, 1, false>(simd, acc, to, self.epilogue);
            }
        }
    }
}
