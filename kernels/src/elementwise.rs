//! Losses on logits, and the few operations that touch each value once.
//!
//! The losses take logits `x` (before the sigmoid `σ`) and labels `y`, and return the sum over the
//! samples, in order and in f64; whoever wants the mean divides by B. There is one logit a sample,
//! so these are plain loops.
//!
//! ```text
//! bce:  w[y] · (max(x, 0) - x·y + ln(1 + e^-|x|))      d/dx = w[y] · (σ(x) - y)
//! mse:  (σ(x) - y)²                                    d/dx = 2 · (σ(x) - y) · σ(x) · (1 - σ(x))
//! ```
//!
//! The first is `-y·ln σ(x) - (1 - y)·ln(1 - σ(x))` without its overflow: `e^-|x|` is at most 1.
//!
//! Reference: `BCELoss`, weighted `BCELoss` (`wbce`, weight by the label as an integer) and
//! `MSELoss`, all on the sigmoid.

use crate::check;
use crate::isa::{Isa, Kernel};
use crate::simd::{Simd, dot16};

/// `out[i] = σ(x[i]) = 1 / (1 + e^-x[i])`.
///
/// # Panics
/// If the lengths differ.
pub fn sigmoid(x: &[f32], out: &mut [f32]) {
    check::shape("sigmoid", "out", out.len(), [1, x.len()]);
    for (out, &x) in out.iter_mut().zip(x) {
        *out = logistic(x);
    }
}

/// `out[i] = x[i]`, but at most `bound` away from 0: a value beyond becomes `bound` or `-bound`.
///
/// # Panics
/// If the lengths differ, or `bound` is below 0 or NaN.
pub fn clamp(x: &[f32], bound: f32, out: &mut [f32]) {
    check::shape("clamp", "out", out.len(), [1, x.len()]);
    assert!(bound >= 0.0, "clamp: the bound is {bound}, expected at least 0");
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x.clamp(-bound, bound);
    }
}

/// For very negative `x` the exponential is infinite and the quotient 0, as it should be.
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The weight of a sample by its label: `weights[y as integer]`, 1 without weights. A label that
/// is no class counts as class 0 below 1 and as class 1 from 1 on.
fn class_weight(weights: Option<[f32; 2]>, y: f32) -> f32 {
    weights.map_or(1.0, |w| w[usize::from(y >= 1.0)])
}

/// `Σ w[y] · (max(x, 0) - x·y + ln(1 + e^-|x|))`: binary cross entropy, summed over the samples.
///
/// # Panics
/// If the lengths differ.
pub fn bce_with_logits(x: &[f32], y: &[f32], weights: Option<[f32; 2]>) -> f64 {
    check::shape("bce_with_logits", "y", y.len(), [1, x.len()]);
    let sample = |(&x, &y): (&f32, &f32)| {
        let (weight, x, y) = (f64::from(class_weight(weights, y)), f64::from(x), f64::from(y));
        weight * (x.max(0.0) - x * y + (-x.abs()).exp().ln_1p())
    };
    x.iter().zip(y).map(sample).sum()
}

/// `dx = scale · w[y] · (σ(x) - y)`; with `scale = 1 / B` the gradient of the mean.
///
/// # Panics
/// If the lengths differ.
pub fn bce_with_logits_backward(x: &[f32], y: &[f32], weights: Option<[f32; 2]>, scale: f32, dx: &mut [f32]) {
    const OP: &str = "bce_with_logits_backward";
    check::shape(OP, "y", y.len(), [1, x.len()]);
    check::shape(OP, "dx", dx.len(), [1, x.len()]);
    for ((dx, &x), &y) in dx.iter_mut().zip(x).zip(y) {
        *dx = scale * class_weight(weights, y) * (logistic(x) - y);
    }
}

/// `Σ (σ(x) - y)²`, summed over the samples.
///
/// # Panics
/// If the lengths differ.
pub fn mse_with_logits(x: &[f32], y: &[f32]) -> f64 {
    check::shape("mse_with_logits", "y", y.len(), [1, x.len()]);
    x.iter().zip(y).map(|(&x, &y)| f64::from(logistic(x) - y).powi(2)).sum()
}

/// `dx = scale · 2 · (σ(x) - y) · σ(x) · (1 - σ(x))`; with `scale = 1 / B` the gradient of the mean.
///
/// # Panics
/// If the lengths differ.
pub fn mse_with_logits_backward(x: &[f32], y: &[f32], scale: f32, dx: &mut [f32]) {
    const OP: &str = "mse_with_logits_backward";
    check::shape(OP, "y", y.len(), [1, x.len()]);
    check::shape(OP, "dx", dx.len(), [1, x.len()]);
    for ((dx, &x), &y) in dx.iter_mut().zip(x).zip(y) {
        let p = logistic(x);
        *dx = scale * 2.0 * (p - y) * p * (1.0 - p);
    }
}

/// `dy = dy where y > 0, else 0`, in place: the backward of the ReLU that was fused into
/// [`linear`](crate::gemm::linear), from its output `y`. The derivative at 0 is 0.
///
/// # Panics
/// If the lengths differ.
pub fn relu_backward(isa: Isa, y: &[f32], dy: &mut [f32]) {
    check::shape("relu_backward", "dy", dy.len(), [1, y.len()]);
    isa.run(Zip(WherePositive, dy, y));
}

/// `y += x`.
///
/// # Panics
/// If the lengths differ.
pub fn add_assign(isa: Isa, y: &mut [f32], x: &[f32]) {
    check::shape("add_assign", "x", x.len(), [1, y.len()]);
    isa.run(Zip(Add, y, x));
}

/// `y += a · x`, the product rounded first.
///
/// # Panics
/// If the lengths differ.
pub fn axpy(isa: Isa, a: f32, x: &[f32], y: &mut [f32]) {
    check::shape("axpy", "x", x.len(), [1, y.len()]);
    isa.run(Zip(Axpy(a), y, x));
}

/// `y += a · b`, the products rounded first.
///
/// # Panics
/// If the lengths differ.
pub fn mul_add(isa: Isa, a: &[f32], b: &[f32], y: &mut [f32]) {
    check::shape("mul_add", "a", a.len(), [1, y.len()]);
    check::shape("mul_add", "b", b.len(), [1, y.len()]);
    isa.run(MulAdd { a, b, y });
}

/// `Σ a[i] · b[i]`, with the same bits on every instruction set: sixteen partial sums, then by halves.
///
/// # Panics
/// If the lengths differ.
pub fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    check::shape("dot", "b", b.len(), [1, a.len()]);
    isa.run(Dot { a, b })
}

/// Whether every `factor · x[i]` is finite: neither NaN nor infinite, nor beyond what `f32` holds.
///
/// ```text
/// all = true
/// for i in 0..n: all = all and finite(factor · x[i])
/// ```
///
/// What the fast loop does instead: (1) 0 times a finite number is 0, and NaN otherwise, and NaN stays in a sum; so
/// the sum of all `0 · (factor · x[i])` is 0 or NaN, and nothing is compared; (2) four sums side by side, since each
/// has to wait for its last addition, and memory does not.
pub fn all_finite(isa: Isa, factor: f32, x: &[f32]) -> bool {
    isa.run(AllFinite { factor, x })
}

/// `y = f(y, x)`, lane by lane. Implementations are `#[inline(always)]`.
trait Lanewise: Copy {
    fn apply<S: Simd>(self, simd: S, y: S::V, x: S::V) -> S::V;
}

#[derive(Clone, Copy)]
struct WherePositive;

impl Lanewise for WherePositive {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, dy: S::V, y: S::V) -> S::V {
        simd.where_positive(y, dy)
    }
}

#[derive(Clone, Copy)]
struct Add;

impl Lanewise for Add {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, y: S::V, x: S::V) -> S::V {
        simd.add(y, x)
    }
}

#[derive(Clone, Copy)]
struct Axpy(f32);

impl Lanewise for Axpy {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, y: S::V, x: S::V) -> S::V {
        simd.add(y, simd.mul(simd.splat(self.0), x))
    }
}

/// A lanewise operation, and its two operands of equal length.
struct Zip<'a, F>(F, &'a mut [f32], &'a [f32]);

impl<F: Lanewise> Kernel for Zip<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Zip(f, y, x) = self;
        let n = y.len().min(x.len());
        let (y, x) = (y.as_mut_ptr(), x.as_ptr());
        let whole = n - n % S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            // SAFETY: i + LANES ≤ n, the length of the shorter slice.
            unsafe { simd.store(y.add(i), f.apply(simd, simd.load(y.add(i)), simd.load(x.add(i)))) }
        }
        // SAFETY: whole + (n - whole) = n.
        unsafe {
            let (y, x, left) = (y.add(whole), x.add(whole), n - whole);
            simd.store_partial(y, f.apply(simd, simd.load_partial(y, left), simd.load_partial(x, left)), left);
        }
    }
}

/// See [`mul_add`]: operands of equal length.
struct MulAdd<'a> {
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for MulAdd<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let n = self.y.len().min(self.a.len()).min(self.b.len());
        let (a, b, y) = (self.a.as_ptr(), self.b.as_ptr(), self.y.as_mut_ptr());
        let whole = n - n % S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            // SAFETY: i + LANES ≤ n, the length of the shortest slice.
            unsafe {
                let product = simd.mul(simd.load(a.add(i)), simd.load(b.add(i)));
                simd.store(y.add(i), simd.add(simd.load(y.add(i)), product));
            }
        }
        // SAFETY: whole + (n - whole) = n.
        unsafe {
            let (a, b, y, left) = (a.add(whole), b.add(whole), y.add(whole), n - whole);
            let product = simd.mul(simd.load_partial(a, left), simd.load_partial(b, left));
            simd.store_partial(y, simd.add(simd.load_partial(y, left), product), left);
        }
    }
}

/// See [`all_finite`].
struct AllFinite<'a> {
    factor: f32,
    x: &'a [f32],
}

impl Kernel for AllFinite<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        const SUMS: usize = 4;
        let (x, n) = (self.x.as_ptr(), self.x.len());
        let (factor, zero) = (simd.splat(self.factor), simd.zero());
        let add = |sum, x| simd.fma(simd.mul(factor, x), zero, sum);
        let mut sums = [simd.zero(); SUMS];
        let whole = n - n % (SUMS * S::LANES);
        for i in (0..whole).step_by(SUMS * S::LANES) {
            for (s, sum) in sums.iter_mut().enumerate() {
                // SAFETY: i + SUMS · LANES ≤ n, the length of the slice.
                *sum = add(*sum, unsafe { simd.load(x.add(i + s * S::LANES)) });
            }
        }
        for i in (whole..n).step_by(S::LANES) {
            // SAFETY: i < n, and no more than what is left is read.
            sums[0] = add(sums[0], unsafe { simd.load_partial(x.add(i), (n - i).min(S::LANES)) });
        }
        let [a, b, c, d] = sums;
        simd.reduce_sum(simd.add(simd.add(a, b), simd.add(c, d))) == 0.0
    }
}

/// See [`dot`].
struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        dot16(simd, self.a, self.b)
    }
}
