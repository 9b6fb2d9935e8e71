//! Update rules of the optimizers, and what they remember.

use crate::buffer::Buffer;
use crate::tensor::Tensor;
use dlrm_kernels::optim::AdamStep;

/// The update of one parameter `w` with gradient `g` at step `t = 1, 2, …` and learning rate `lr`.
///
/// Dense parameters are updated element by element. Of a table only the rows looked up in the
/// batch change, and so does their state; duplicates were summed before, which the non-linear
/// rules need. Formulas and defaults are PyTorch's (`torch.optim`) and, for the row-wise form, the
/// reference's `RWSAdagrad`. The paper's figure 5 compares SGD and Adagrad.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateRule {
    /// `w ← w − lr·g`.
    Sgd,
    /// `s ← s + g²; w ← w − lr·g / (√s + eps)`. State: as many numbers as parameters.
    Adagrad {
        /// Added after the root.
        eps: f32,
    },
    /// Adagrad with one accumulator a row of a table: `h ← h + mean(g²)`. Dense parameters get
    /// plain Adagrad. State: one number a row.
    RowWiseAdagrad {
        /// Added after the root.
        eps: f32,
    },
    /// `m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← w − lr/(1−β₁ᵗ) · m / (√(v/(1−β₂ᵗ)) + eps)`.
    /// On tables it is lazy, as `torch.optim.SparseAdam`: `m` and `v` of a row stand still while
    /// the row is not looked up, and `eps` is added to `√v` before it is corrected.
    Adam {
        /// Decay of the mean.
        beta1: f32,
        /// Decay of the mean square.
        beta2: f32,
        /// Added after the root.
        eps: f32,
    },
}

impl UpdateRule {
    /// Adagrad with the reference's `eps`, 1e-10.
    pub const ADAGRAD: UpdateRule = UpdateRule::Adagrad { eps: 1e-10 };
    /// Row-wise Adagrad with the reference's `eps`, 1e-10.
    pub const ROW_WISE_ADAGRAD: UpdateRule = UpdateRule::RowWiseAdagrad { eps: 1e-10 };
    /// Adam with PyTorch's defaults.
    pub const ADAM: UpdateRule = UpdateRule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

    /// Numbers of each state vector, for a parameter of `rows` rows of `dim` numbers in a table
    /// (`sparse`) or a dense one.
    pub(crate) fn state_lens(self, sparse: bool, rows: usize, dim: usize) -> [usize; 2] {
        match self {
            UpdateRule::Sgd => [0, 0],
            UpdateRule::RowWiseAdagrad { .. } if sparse => [rows, 0],
            UpdateRule::Adagrad { .. } | UpdateRule::RowWiseAdagrad { .. } => [rows * dim, 0],
            UpdateRule::Adam { .. } => [rows * dim; 2],
        }
    }
}

/// One step of an optimizer.
#[derive(Debug, Clone, Copy)]
pub struct UpdateStep<'a> {
    /// The rule.
    pub rule: UpdateRule,
    /// The learning rate.
    pub lr: f32,
    /// Which step it is, from 1.
    pub t: u64,
    /// Nothing changes if this one number is not 0: see [`Backend::check_finite`](super::Backend::check_finite).
    pub unless: Option<&'a Tensor>,
}

impl UpdateStep<'_> {
    /// What the kernels want to know of a step of Adam.
    pub(crate) fn adam(&self, beta1: f32, beta2: f32, eps: f32) -> AdamStep {
        AdamStep { lr: self.lr, beta1, beta2, eps, step: self.t }
    }

    /// Whether nothing is to change, for who has the numbers at hand.
    pub(crate) fn is_off(&self) -> bool {
        self.unless.is_some_and(|found| found.as_slice()[0] != 0.0)
    }
}

/// What an optimizer remembers of one parameter.
#[derive(Debug, Default)]
pub struct State {
    /// Sum of squares (Adagrad: an element; row-wise: a row) or first moment (Adam).
    pub first: Buffer,
    /// Second moment (Adam).
    pub second: Buffer,
}

impl State {
    pub(crate) fn zeros([first, second]: [usize; 2]) -> Self {
        State { first: Buffer::zeros(first), second: Buffer::zeros(second) }
    }
}
