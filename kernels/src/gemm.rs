//! The three matrix products of a linear layer. `W` is N × K (out × in), `X` is M × K, `Y` is
//! M × N, all row-major.
//!
//! ```text
//! Y  = act(X · Wᵀ + b)      Y[m][n]  = act(Σ_k X[m][k] · W[n][k] + b[n])
//! dX = dY · W               dX[m][k] = Σ_n dY[m][n] · W[n][k]
//! dW = dYᵀ · X              dW[n][k] = Σ_m dY[m][n] · X[m][k]
//! ```
//!
//! How the fast loops differ from those three lines:
//!
//! 1. All three are one register tile (`microkernel`): MR rows by NR contiguous columns of the
//!    output, which needs one operand as NR contiguous values for each step of the sum. `W` is
//!    packed into such panels, both ways round, once a step ([`pack_forward_panel`],
//!    [`pack_backward_panel`]); `X` in `dW` has them already, but see `weight.rs`.
//! 2. The other operand is broadcast, value by value, and read in place (BLIS would pack it). A
//!    row tile of it (MR × K values) stays in the L1 cache while all panels pass by.
//! 3. Panels stream through the L2 cache, so they are taken in blocks that fit there (`NC_BYTES`).
//!    The inner dimension is not cut: a tile of 14 × 32 draws 9 bytes a cycle out of L2, well
//!    under what it gives.
//! 4. `dW` sums over M, thousands of rows: M is cut into blocks, so that a block of `X` and of `dY`
//!    stays in L2, and the output tile adds the blocks up.
//! 5. Bias and ReLU happen in registers, on the way out.
//!
//! Bits do not depend on how M (or, for `dW`, N) is cut into calls: see `microkernel`, number 4.

pub(crate) mod microkernel;
mod pack;
mod weight;

pub use pack::{pack_backward_panel, pack_forward_panel, packed_backward_len, packed_len, panel_width};
pub use weight::{column_sums, linear_backward_weight};

use crate::check;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;
use microkernel::{
    Accumulate, BiasRelu, Finish, Left, Right, RowTiles, Target, Tiles, accumulate, for_each_column_tile,
    for_each_row_tile, write,
};
use std::ops::Range;

/// Bytes of packed panels that are kept in L2 at a time: half of the 1 MiB that a server core has.
const NC_BYTES: usize = 512 * 1024;

/// What a linear layer does to its sums before it stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(0, y)`, NaN kept.
    Relu,
}

/// What happens to an output that already holds something (the BLAS `beta`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beta {
    /// It is overwritten, and never read.
    Zero,
    /// The result is added to it.
    One,
}

/// `Y = act(X · Wᵀ + b)` for `m` rows: `x` M × K, `y` M × N, `packed` all forward panels of `W`.
///
/// # Panics
/// If a slice does not have its shape.
#[allow(clippy::too_many_arguments)] // the operands and the shape of a BLAS call
pub fn linear(
    isa: Isa,
    x: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
) {
    const OP: &str = "linear";
    check::shape(OP, "x", x.len(), [m, k]);
    check::shape(OP, "y", y.len(), [m, n]);
    check::shape(OP, "packed", packed.len(), [1, packed_len(isa, n, k)]);
    if let Some(bias) = bias {
        check::shape(OP, "bias", bias.len(), [1, n]);
    }
    let finish = BiasRelu { bias: bias.map(<[f32]>::as_ptr), relu: activation == Activation::Relu };
    isa.run(Packed { a: x, panels: packed, c: y, m, n, k, finish });
}

/// `dX = dY · W` (added to `dx` if `beta` is one) for `m` rows: `dy` M × N, `dx` M × K,
/// `packed_backward` all backward panels of `W`.
///
/// # Panics
/// If a slice does not have its shape.
#[allow(clippy::too_many_arguments)] // the operands and the shape of a BLAS call
pub fn linear_backward_input(
    isa: Isa,
    dy: &[f32],
    packed_backward: &[f32],
    dx: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    beta: Beta,
) {
    const OP: &str = "linear_backward_input";
    check::shape(OP, "dy", dy.len(), [m, n]);
    check::shape(OP, "dx", dx.len(), [m, k]);
    check::shape(OP, "packed_backward", packed_backward.len(), [1, packed_backward_len(isa, n, k)]);
    let finish = Accumulate(beta == Beta::One);
    isa.run(Packed { a: dy, panels: packed_backward, c: dx, m, n: k, k: n, finish });
}

/// `C = finish(A · B)` with B in panels of NR columns: `a` M × K, `c` M × N.
struct Packed<'a, F> {
    a: &'a [f32],
    panels: &'a [f32],
    c: &'a mut [f32],
    m: usize,
    n: usize,
    k: usize,
    finish: F,
}

/// Moves an epilogue's own operands to the tile's first column.
trait AtColumn {
    unsafe fn at_column(self, j: usize) -> Self;
}

impl AtColumn for Accumulate {
    #[inline(always)]
    unsafe fn at_column(self, _: usize) -> Self {
        self
    }
}

impl AtColumn for BiasRelu {
    #[inline(always)]
    unsafe fn at_column(self, j: usize) -> Self {
        // SAFETY: the caller vouches that column j exists, and the bias has one value a column.
        BiasRelu { bias: self.bias.map(|bias| unsafe { bias.add(j) }), ..self }
    }
}

impl<F: Finish + AtColumn> Kernel for Packed<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let nr = S::LANES * S::TILE_VECTORS;
        let nc = (NC_BYTES / (4 * nr * self.k.max(1))).max(1) * nr;
        // Loop 3: blocks of panels that stay in L2.
        for jc in (0..self.n).step_by(nc) {
            let block = PackedBlock {
                a: self.a.as_ptr(),
                panels: self.panels.as_ptr(),
                c: self.c.as_mut_ptr(),
                n: self.n,
                k: self.k,
                columns: jc..self.n.min(jc + nc),
                finish: self.finish,
            };
            // Loop 2: row tiles of A, which stay in L1.
            // SAFETY: a has m rows of k and c has m rows of n, as the public functions checked.
            unsafe { for_each_row_tile(simd, self.m, &block) }
        }
    }
}

struct PackedBlock<F> {
    a: *const f32,
    panels: *const f32,
    c: *mut f32,
    n: usize,
    k: usize,
    columns: Range<usize>,
    finish: F,
}

impl<S: Simd, F: Finish + AtColumn> RowTiles<S> for PackedBlock<F> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // Loop 1: panels.
        // SAFETY: the caller vouches for the rows; the columns lie in the matrix.
        unsafe { for_each_column_tile::<S, MR>(simd, i, self.columns.clone(), self) }
    }
}

impl<S: Simd, F: Finish + AtColumn> Tiles<S> for PackedBlock<F> {
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, j: usize, tail: usize) {
        // SAFETY: the caller vouches for the tile; row i of A starts at i · k, the panel of column
        // j (a multiple of NR) at j · k, padded to whole vectors, and the tile in C at i · n + j.
        unsafe {
            let a = Left { at: self.a.add(i * self.k), row: self.k, step: 1 };
            let b = Right { at: self.panels.add(j * self.k), step: S::LANES * S::TILE_VECTORS };
            let acc = accumulate::<S, MR, NV>(simd, [[simd.zero(); NV]; MR], self.k, a, b);
            let to = Target { at: self.c.add(i * self.n + j), row: self.n, tail };
            write(simd, acc, to, self.finish.at_column(j));
        }
    }
}
