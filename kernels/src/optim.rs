//! Optimizer updates, for whole parameters and for the rows of a sparse gradient.
//!
//! ```text
//! sgd                w -= lr · g
//! adagrad            s += g²                                   w -= lr · g / (√s + eps)
//! row-wise adagrad   h += mean_j g_j²  (one h a row)           w -= lr · g / (√h + eps)
//! adam               m = β1·m + (1-β1)·g    v = β2·v + (1-β2)·g²
//!                    w -= lr/(1-β1^t) · m / (√v / √(1-β2^t) + eps)
//! ```
//!
//! The row updates take a gradient that is not summed yet ([`RowGradient`](crate::embedding_bag::RowGradient)).
//! The table and state handed in may start at a later row, so that threads can own disjoint ranges of
//! rows. Rows without a gradient are not touched, not even by Adam's decay (lazy Adam).
//!
//! How the fast loops differ from those lines: a rule is written once, on vectors (`Rule`), and
//! both the dense loop and that over rows run it. No product is fused into a sum, and the row-wise
//! mean has a fixed tree: all instruction sets give the same bits. Bound: memory, by far; SGD does 2
//! operations for 12 bytes.
//!
//! Reference: `torch.optim.SGD`, `Adagrad`, `Adam`, `SparseAdam` and `optim/rwsadagrad.py`, without
//! momentum, decay of the rate or weight decay.

mod rows;

pub use rows::{adagrad_rows, adam_rows, rowwise_adagrad_rows, sgd_rows};

use crate::check;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Adam's constants at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment (0.9 is usual).
    pub beta1: f32,
    /// Decay of the second moment (0.999 is usual).
    pub beta2: f32,
    /// Added after the root (1e-8 is usual).
    pub eps: f32,
    /// t, the number of this update, from 1.
    pub step: u64,
}

impl AdamStep {
    /// Both with the corrections of this step in them, so that `w -= rate · m / (√v + eps)`:
    /// `lr · √(1-β2^t) / (1-β1^t)` and `eps · √(1-β2^t)`.
    pub fn rate_and_eps(self) -> [f32; 2] {
        let t = i32::try_from(self.step).unwrap_or(i32::MAX);
        let correction1 = 1.0 - f64::from(self.beta1).powi(t);
        let root2 = (1.0 - f64::from(self.beta2).powi(t)).sqrt();
        [(f64::from(self.lr) * root2 / correction1) as f32, (f64::from(self.eps) * root2) as f32]
    }
}

/// `w -= lr · g`.
///
/// # Panics
/// If the lengths differ.
pub fn sgd(isa: Isa, w: &mut [f32], g: &[f32], lr: f32) {
    check::shape("sgd", "g", g.len(), [1, w.len()]);
    isa.run(Dense(Sgd { lr }, w, g, []));
}

/// `s += g²; w -= lr · g / (√s + eps)`, with `state` = s.
///
/// # Panics
/// If the lengths differ.
pub fn adagrad(isa: Isa, w: &mut [f32], g: &[f32], state: &mut [f32], lr: f32, eps: f32) {
    check::shape("adagrad", "g", g.len(), [1, w.len()]);
    check::shape("adagrad", "state", state.len(), [1, w.len()]);
    isa.run(Dense(Adagrad { lr, eps }, w, g, [state]));
}

/// Adam, as in the formula above.
///
/// # Panics
/// If the lengths differ.
pub fn adam(isa: Isa, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: AdamStep) {
    check::shape("adam", "g", g.len(), [1, w.len()]);
    check::shape("adam", "m", m.len(), [1, w.len()]);
    check::shape("adam", "v", v.len(), [1, w.len()]);
    isa.run(Dense(Adam::new(step), w, g, [m, v]));
}

/// An update of single values with `N` state values each. Implementations are `#[inline(always)]`.
trait Rule<const N: usize>: Copy {
    fn update<S: Simd>(self, simd: S, w: S::V, g: S::V, state: [S::V; N]) -> (S::V, [S::V; N]);
}

#[derive(Clone, Copy)]
struct Sgd {
    lr: f32,
}

impl Rule<0> for Sgd {
    #[inline(always)]
    fn update<S: Simd>(self, simd: S, w: S::V, g: S::V, _: [S::V; 0]) -> (S::V, [S::V; 0]) {
        (simd.sub(w, simd.mul(simd.splat(self.lr), g)), [])
    }
}

#[derive(Clone, Copy)]
struct Adagrad {
    lr: f32,
    eps: f32,
}

impl Rule<1> for Adagrad {
    #[inline(always)]
    fn update<S: Simd>(self, simd: S, w: S::V, g: S::V, [s]: [S::V; 1]) -> (S::V, [S::V; 1]) {
        let s = simd.add(s, simd.mul(g, g));
        let root = simd.add(simd.sqrt(s), simd.splat(self.eps));
        (simd.sub(w, simd.div(simd.mul(simd.splat(self.lr), g), root)), [s])
    }
}

/// `w -= rate · m / (√v + eps)`, with the bias corrections in `rate` and `eps`.
#[derive(Clone, Copy)]
struct Adam {
    rate: f32,
    eps: f32,
    beta1: f32,
    beta2: f32,
}

impl Adam {
    fn new(step: AdamStep) -> Adam {
        let [rate, eps] = step.rate_and_eps();
        Adam { rate, eps, beta1: step.beta1, beta2: step.beta2 }
    }
}

impl Rule<2> for Adam {
    #[inline(always)]
    fn update<S: Simd>(self, simd: S, w: S::V, g: S::V, [m, v]: [S::V; 2]) -> (S::V, [S::V; 2]) {
        let new =
            |beta: f32, old, value| simd.add(simd.mul(simd.splat(beta), old), simd.mul(simd.splat(1.0 - beta), value));
        let m = new(self.beta1, m, g);
        let v = new(self.beta2, v, simd.mul(g, g));
        let root = simd.add(simd.sqrt(v), simd.splat(self.eps));
        (simd.sub(w, simd.div(simd.mul(simd.splat(self.rate), m), root)), [m, v])
    }
}

/// Runs a rule over `n` values.
///
/// # Safety
/// `n` values must be readable at `g`, and writable at `w` and each of `state`.
#[inline(always)]
unsafe fn update<S: Simd, R: Rule<N>, const N: usize>(
    simd: S,
    rule: R,
    n: usize,
    w: *mut f32,
    g: *const f32,
    state: [*mut f32; N],
) {
    let mut i = 0;
    while i + S::LANES <= n {
        // SAFETY: i + LANES ≤ n.
        unsafe {
            let old = state.map(|s| simd.load(s.add(i)));
            let (value, new) = rule.update(simd, simd.load(w.add(i)), simd.load(g.add(i)), old);
            simd.store(w.add(i), value);
            for (s, new) in state.iter().zip(new) {
                simd.store(s.add(i), new);
            }
        }
        i += S::LANES;
    }
    if i < n {
        let left = n - i;
        // SAFETY: i + left = n.
        unsafe {
            let old = state.map(|s| simd.load_partial(s.add(i), left));
            let (w, g) = (w.add(i), g.add(i));
            let (value, new) = rule.update(simd, simd.load_partial(w, left), simd.load_partial(g, left), old);
            simd.store_partial(w, value, left);
            for (s, new) in state.iter().zip(new) {
                simd.store_partial(s.add(i), new, left);
            }
        }
    }
}

/// A rule, w, g and state, all of one length.
struct Dense<'a, R, const N: usize>(R, &'a mut [f32], &'a [f32], [&'a mut [f32]; N]);

impl<R: Rule<N>, const N: usize> Kernel for Dense<'_, R, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Dense(rule, w, g, state) = self;
        let state = state.map(|s| s.as_mut_ptr());
        // SAFETY: the public functions checked that all lengths are that of w.
        unsafe { update(simd, rule, w.len(), w.as_mut_ptr(), g.as_ptr(), state) }
    }
}
