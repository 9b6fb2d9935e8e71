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
//! 2. The other operand is broadcast, value by value. It is copied into row tiles as well, block by
//!    block, so that the tile reads both from front to back (`packed`, `weight`).
//! 3. The inner dimension is cut only so that the copies stay in the L2 cache; both operands stream
//!    from there into the tile: 14 × 32 draws 6 to 12 bytes a cycle, well under what L2 gives.
//! 4. `dW` of few columns (the first layer: K = 13) is computed as `dWᵀ`, with `dY` read in place: to
//!    copy it would cost more than the products.
//! 5. Bias and ReLU happen in registers, on the way out; the bias's gradient is summed while `dY`
//!    is copied.
//!
//! Arithmetic intensity: `2·M·N·K` operations on `4·(M·K + N·K + M·N)` bytes, from 25 operations a byte
//! (K = 13, one core: memory can be the bound) to 340 (2048 x 1024 x 1024: the multiply-adds are).
//!
//! Bits do not depend on how M (or, for `dW`, N) is cut into calls: see `microkernel`, number 4.

pub(crate) mod microkernel;
mod pack;
mod packed;
mod row;
mod weight;

pub use pack::{pack_backward_panel, pack_forward_panel, packed_backward_len, packed_len, panel_width};
pub use weight::linear_backward_weight;

use crate::check;
use crate::isa::Isa;
use crate::scratch::Scratch;
use microkernel::Epilogue;
use packed::Packed;

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
    scratch: &mut Scratch,
) {
    check::linear("linear", x, y, [packed.len(), packed_len(isa, n, k)], bias, [m, n, k]);
    let epilogue = Epilogue { bias: bias.map(<[f32]>::as_ptr), relu: activation == Activation::Relu };
    isa.run(Packed { a: x, panels: packed, c: y, m, n, k, add: false, epilogue, scratch });
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
    scratch: &mut Scratch,
) {
    const OP: &str = "linear_backward_input";
    check::shape(OP, "dy", dy.len(), [m, n]);
    check::shape(OP, "dx", dx.len(), [m, k]);
    check::shape(OP, "packed_backward", packed_backward.len(), [1, packed_backward_len(isa, n, k)]);
    let (add, epilogue) = (beta == Beta::One, Epilogue::default());
    isa.run(Packed { a: dy, panels: packed_backward, c: dx, m, n: k, k: n, add, epilogue, scratch });
}
