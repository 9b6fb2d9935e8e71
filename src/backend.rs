//! The one boundary between what is computed and where.
//!
//! The tape, the operations, the layers and the trainer call a [`Backend`] with whole tensors;
//! which memory those live in, how many threads work on them and with which instructions is
//! decided below this line. [`Cpu`] is the backend of this crate.

mod cpu;
mod rule;
mod storage;
mod table_grads;
#[cfg(feature = "wgpu")]
mod wgpu;

pub use cpu::Cpu;
pub use dlrm_kernels::embedding_bag::Pooling;
pub use dlrm_kernels::gemm::{Activation, Beta};
pub use rule::{State, UpdateRule, UpdateStep};
pub use storage::{DenseParameter, PackedWeight, RowFormat, StoredRows, Table, WeightFormat};
pub use table_grads::{TableGrads, Touched};
#[cfg(feature = "wgpu")]
pub use wgpu::{AdapterChoice, Counts, Wgpu, WgpuOptions, adapters};

use crate::error::Result;
use crate::jagged::JaggedTensor;
use crate::random::mix;
use crate::tensor::Tensor;
use std::fmt::Debug;
use std::time::Duration;

/// How the vectors of a sample meet (paper sections 2.1.2, 2.1.3 and 2.2, equations 3 and 4; the reference's
/// `--arch-interaction-op` and `--arch-interaction-itself`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    /// Dot products of all pairs, the dense vector in front:
    /// `[x, v₁·v₀, v₂·v₀, v₂·v₁, …]` with `v₀ = x`.
    Dot,
    /// As `Dot`, and each vector with itself: `[x, v₀·v₀, v₁·v₀, v₁·v₁, …]`.
    DotItself,
    /// All vectors side by side: `[x, v₁, v₂, …]`.
    Cat,
}

impl Interaction {
    /// The width of the interaction's output for `tables` pooled vectors of `dim` numbers, with or
    /// without a dense vector: with `F` vectors in all, `D + F(F−1)/2` for [`Dot`](Self::Dot),
    /// `D + F(F+1)/2` for [`DotItself`](Self::DotItself), `F·D` for [`Cat`](Self::Cat); without a
    /// dense vector there is no `D` in front.
    pub fn width(self, has_dense: bool, tables: usize, dim: usize) -> usize {
        let f = tables + usize::from(has_dense);
        let front = if has_dense { dim } else { 0 };
        match self {
            Interaction::Dot => front + f * f.saturating_sub(1) / 2,
            Interaction::DotItself => front + f * (f + 1) / 2,
            Interaction::Cat => f * dim,
        }
    }
}

/// A loss on logits `x` for labels `y`; each is a mean over the `B` samples, `p = σ(x)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossKind {
    /// Binary cross entropy, `mean(w[y] · −(y ln p + (1−y) ln(1−p)))`, taken from the logit so
    /// that it stays finite (the reference's `bce`, and `wbce` where the weights `[w₀, w₁]` are
    /// not 1).
    Bce {
        /// The weight of a sample of class 0 and of class 1.
        class_weights: [f32; 2],
    },
    /// Mean squared error of the probability, `mean((p − y)²)`: the reference's default.
    Mse,
}

impl LossKind {
    /// Binary cross entropy with both classes weighing the same.
    pub const BCE: LossKind = LossKind::Bce { class_weights: [1.0, 1.0] };
}

/// Which numbers of a layer's output dropout lets pass (Srivastava et al. 2014), in one step of training: a
/// function of the key and of the number's place, so of neither threads nor batches.
///
/// Number `c` of sample `b` is dropped if draw `(first_row + b) · columns + c` of the key falls below
/// `rate`, and multiplied by `1 / (1 - rate)` otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability of being dropped, from 0 to below 1.
    pub rate: f32,
    /// What the draws depend on.
    pub key: u64,
    /// Samples of the same step in batches before this one, and in this one with ranks before this one.
    pub first_row: u64,
}

impl Dropout {
    /// Masks of step `step` of a run with seed `seed`.
    pub fn new(rate: f32, seed: u64, step: u64, first_row: u64) -> Self {
        Dropout { rate, key: mix(mix(seed) ^ step), first_row }
    }

    /// Masks for another place in the same model.
    pub fn at(self, place: u64) -> Self {
        Dropout { key: mix(self.key ^ mix(place)), ..self }
    }

    /// Whether number `column` of sample `row`, of `columns` each, is dropped.
    pub fn drops(self, row: usize, column: usize, columns: usize) -> bool {
        let draw = (self.first_row + row as u64) * columns as u64 + column as u64;
        // Two draws of 32 bits in each word of a SplitMix64 sequence that starts at the key.
        let word = mix(self.key.wrapping_add((draw / 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        ((word >> (32 * (draw % 2))) as u32) < self.threshold()
    }

    fn threshold(self) -> u32 {
        (f64::from(self.rate) * 2f64.powi(32)) as u32
    }
}

/// The gradient of the dense parameter of that number, if there is one.
pub type DenseGrads<'a> = dyn Fn(usize) -> Option<&'a Tensor> + Sync + 'a;

/// Where a gradient goes, and whether to overwrite or to add.
pub type Contribution<'a> = (&'a mut Tensor, Beta);

/// Where the gradients of a linear layer go.
#[derive(Debug)]
pub struct LinearGrads<'a> {
    /// `dX` (`M × K`), unless nobody needs it.
    pub x: Option<Contribution<'a>>,
    /// `dW` (`N × K`).
    pub weight: Contribution<'a>,
    /// `db` (`N`), if there is a bias.
    pub bias: Option<Contribution<'a>>,
}

/// When a device worked on a [marked](Backend::mark) call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSpan {
    /// The call's number.
    pub call: u64,
    /// When it began, by the device's clock, whose zero is anywhere.
    pub start: Duration,
    /// How long it worked.
    pub time: Duration,
}

/// Memory of a device that numbers are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DeviceRoom {
    /// The most bytes of one tensor. How much there is in all is not told everywhere.
    pub most_of_one: u64,
    /// Tables of fewer bytes are here as well, until they are first looked up.
    pub small_table: u64,
    /// Whether tables have 2 bytes a number there, and not 4.
    pub half_tables: bool,
    /// Whether it is memory of this machine's processor too, as that of an integrated GPU or a software one.
    pub is_shared: bool,
}

/// The operations a model is made of, on whole tensors.
///
/// Names and shapes are those of the kernels: `X` is `M × K`, `W` is `N × K` (out × in), `Y` is
/// `M × N`, `M = B` the batch. With [`Beta::Zero`] an output is overwritten and never read, with
/// [`Beta::One`] added to. Each panics, with the operation and both shapes, where shapes do not
/// fit: that is a mistake in a program, never in data.
///
/// An implementation promises determinism: the same inputs give the same bits, whatever the
/// number of threads.
pub trait Backend: Debug + Send + Sync {
    /// One line for people: processor or adapter, instruction set, threads.
    fn describe(&self) -> String;

    /// Bytes that could be allocated now, if the system tells: see [`memory::available`](crate::memory::available).
    fn available_memory(&self) -> Option<u64>;

    /// The memory of the device that computes, if one does.
    fn device_room(&self) -> Option<DeviceRoom> {
        None
    }

    /// Runs `work` with this backend's threads at hand. Wrap a whole loop over steps in it: each
    /// operation then finds its threads awake, and hands them work without allocating.
    fn scope(&self, work: &mut (dyn FnMut() + Send));

    /// What is called from here on belongs to the phase `name` of a step, for whoever profiles; others need not know.
    fn phase(&self, name: &'static str) {
        let _ = name;
    }

    /// From here on a clock of the device times the calls that are [marked](Self::mark), if it has one that is needed:
    /// where each operation is done when it returns, the caller's clock does, and the answer is `false`.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if a call returns before it is done, and the device has no clock.
    fn begin_timing(&self) -> Result<bool> {
        Ok(false)
    }

    /// What is called from here on is call number `call`, or none that is to be timed.
    fn mark(&self, call: Option<u64>) {
        let _ = call;
    }

    /// The times of the marked calls since the last time, in the order they were done in; waits for the last. A call that
    /// the device had nothing to do for is not among them.
    fn take_spans(&self) -> Vec<DeviceSpan> {
        Vec::new()
    }

    /// Everything called so far is to be computed, without a wait for it. Called once a step; where each operation is
    /// done when it returns, there is nothing to do.
    fn submit(&self) {}

    /// Whether everything computed so far can be trusted. What a device computes after it has failed is no numbers, and
    /// whoever looks at some asks here before believing them.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device is lost, or has run out of memory.
    fn status(&self) -> Result<()> {
        Ok(())
    }

    /// Of how many steps the losses are best looked at together. 1 where they are at hand; a device is waited for
    /// that often.
    fn steps_between_looks(&self) -> usize {
        1
    }

    /// Gradients of so many tables, of which none is there yet.
    fn table_grads(&self, tables: usize) -> Box<dyn TableGrads>;

    /// Fills a table from independent uniform draws on `[low, high)`, a function of `key` alone.
    fn fill_uniform(&self, table: &mut Table, key: u64, low: f64, high: f64);

    /// A copy of `table` (of `f32`) whose rows are in `format`, or `f32` as before: see [`RowFormat`].
    fn quantize_table(&self, table: &Table, format: Option<RowFormat>) -> Table;

    /// Lays out `weight` (`N × K`) for the products with it.
    fn pack(&self, weight: &Tensor, packed: &mut PackedWeight);

    /// Numbers in both copies that [`pack`](Self::pack) makes of an `N × K` weight.
    fn packed_lens(&self, n: usize, k: usize) -> [usize; 2];

    /// Lays out `weight` (`N × K`) in `format` for [`linear`](Self::linear) alone: see [`WeightFormat`].
    fn pack_quantized(&self, weight: &Tensor, format: WeightFormat, packed: &mut PackedWeight);

    /// `Y = act(X · Wᵀ + b)`.
    fn linear(
        &self,
        x: &Tensor,
        weight: &DenseParameter,
        bias: Option<&DenseParameter>,
        act: Activation,
        y: &mut Tensor,
    );

    /// The way back through [`linear`](Self::linear) with its `x` and `y`: with `dZ = dY` where
    /// `Y > 0` and 0 elsewhere for ReLU (its derivative at 0 is 0), and `dZ = dY` without,
    /// `dX = dZ · W`, `dW = dZᵀ · X` and `db = Σ_m dZ[m]`, each where it is wanted. `dy` is scratch
    /// afterwards.
    fn linear_backward(
        &self,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        weight: &DenseParameter,
        act: Activation,
        grads: LinearGrads<'_>,
    );

    /// `Y = σ(X) = 1 / (1 + e⁻ˣ)`.
    fn sigmoid(&self, x: &Tensor, y: &mut Tensor);

    /// `dX = dY · Y (1 − Y)`.
    fn sigmoid_backward(&self, y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta);

    /// `Y = X`, but at most `bound` away from 0.
    fn clamp(&self, x: &Tensor, bound: f32, y: &mut Tensor);

    /// `dX = dY` where `|X| ≤ bound`, and 0 beyond.
    fn clamp_backward(&self, x: &Tensor, bound: f32, dy: &Tensor, dx: &mut Tensor, beta: Beta);

    /// `Y = X`, or `Y += X`; an `X` of one row goes to every row of `Y`.
    fn add_to(&self, x: &Tensor, y: &mut Tensor, beta: Beta);

    /// `Y = A ⊙ B`, or `Y += A ⊙ B`; `B` is `M × N` as `A` is, or `M × 1`, one factor a row.
    fn mul(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta);

    /// `y[m] = Σ_n A[m, n] · B[m, n]`, or added to `y`.
    fn dot_rows(&self, a: &Tensor, b: &Tensor, y: &mut Tensor, beta: Beta);

    /// `y[n] = Σ_m X[m, n]`, or added to `y`.
    fn sum_rows(&self, x: &Tensor, y: &mut Tensor, beta: Beta);

    /// Columns `first ..` of `out`, as many as `X` has, become `X`.
    fn put_columns(&self, x: &Tensor, first: usize, out: &mut Tensor);

    /// `X` becomes columns `first ..` of `from`, as many as it has, or gets them added.
    fn take_columns(&self, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta);

    /// Pooled lookups in all `tables`, side by side: `out[b, t] = Σ_{i ∈ bag b of t} w_i · W_t[i]`
    /// (`B × T × D`), divided by the bag's length for [`Pooling::Mean`]; an empty bag gives zeros.
    fn embedding_bags(&self, tables: &[Table], pooling: Pooling, bags: &[JaggedTensor], out: &mut Tensor);

    /// The gradients of all `tables`, which are those of `grads` from `first` on: for each row looked
    /// up, the sum over its lookups of `w_i · grad_out[b, t]`. The sum may wait until
    /// [`update_tables`](Self::update_tables): `grad_out` is taken, and something else is in its place
    /// afterwards.
    fn embedding_bags_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &mut Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    );

    /// Gives each lookup the weight of its row: `weights[i] = row_weights[ids[i]]` (`D = 1`).
    fn gather_weights(&self, row_weights: &[Table], bags: &mut [JaggedTensor]);

    /// The gradients of the row weights, which are those of `grads` from `first` on, for bags whose
    /// weights were gathered from there: for each row, the sum over its lookups of
    /// `W_t[i] · grad_out[b, t]`.
    fn gather_weights_backward(
        &self,
        tables: &[Table],
        pooling: Pooling,
        bags: &[JaggedTensor],
        grad_out: &Tensor,
        grads: &mut dyn TableGrads,
        first: usize,
    );

    /// The interaction of the dense vector (`B × D`, if there is one) with the pooled ones
    /// (`B × T × D`), into `B × out`.
    fn interaction(&self, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor);

    /// The gradients of both inputs of [`interaction`](Self::interaction), each where it is
    /// wanted: `[of dense, of pooled]`.
    fn interaction_backward(
        &self,
        kind: Interaction,
        dense: Option<&Tensor>,
        pooled: &Tensor,
        grad_out: &Tensor,
        grads: [Option<(&mut Tensor, Beta)>; 2],
    );

    /// The loss of logits (`B`) for labels (`B`), into one number.
    fn loss(&self, kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor);

    /// The gradient of the logits, times the one number in `grad_out`.
    fn loss_backward(
        &self,
        kind: LossKind,
        logits: &Tensor,
        labels: &Tensor,
        grad_out: &Tensor,
        dx: &mut Tensor,
        beta: Beta,
    );

    /// Dropout: `y = x / (1 - rate)` where [`Dropout`] lets a number pass, else 0. It is its own way back, with
    /// gradients for `x` and `y`.
    fn dropout(&self, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta);

    /// `to` becomes `from`.
    fn copy(&self, from: &[f32], to: &mut [f32]);

    /// The lists of `to` become those of `from`, in the memory they already have.
    fn copy_bags(&self, from: &[JaggedTensor], to: &mut [JaggedTensor]);

    /// `X ← a · X`.
    fn scale(&self, a: f32, x: &mut Tensor);

    /// `Σ x²`, summed in `f64` in an order that depends on the length alone.
    fn sum_of_squares(&self, x: &Tensor) -> f64;

    /// Looks whether every `factor · x` is finite: neither NaN nor infinite, nor beyond what `f32` holds. If one is not,
    /// `found`, one number, becomes 1; else it stays.
    fn check_finite(&self, factor: f32, x: &Tensor, found: &mut Tensor);

    /// Writes out the sum of every row's gradient, that would be made by
    /// [`update_tables`](Self::update_tables), for whoever wants to change gradients before.
    fn sum_table_grads(&self, grads: &mut dyn TableGrads);

    /// The gradient of `l2 / 2 · Σ w²` over the rows that have a gradient, each once, added to it:
    /// `g ← g + l2 · w`.
    ///
    /// # Panics
    /// If the gradients are not [summed](Self::sum_table_grads).
    fn add_l2(&self, l2: f32, tables: &[Table], grads: &mut dyn TableGrads);

    /// One step of an optimizer on every dense parameter that has a gradient, packed copies
    /// included.
    fn update_dense<'a>(
        &self,
        step: UpdateStep<'_>,
        parameters: &mut [DenseParameter],
        grads: &'a DenseGrads<'a>,
        states: &mut [State],
    );

    /// One step of an optimizer on the touched rows of all tables.
    fn update_tables(&self, step: UpdateStep<'_>, tables: &mut [Table], grads: &dyn TableGrads, states: &mut [State]);
}
