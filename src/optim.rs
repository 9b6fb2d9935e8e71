//! Optimizers: how a gradient changes a parameter.

pub mod schedule;

pub use crate::backend::{State, UpdateRule};

use crate::backend::UpdateStep;
use crate::gradients::Gradients;
use crate::parameters::{DenseId, Parameters};
use crate::tensor::Tensor;

/// The learning rates of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRates {
    /// Of dense parameters.
    pub dense: f32,
    /// Of embedding tables.
    pub sparse: f32,
}

impl From<f32> for LearningRates {
    /// The same for all parameters.
    fn from(lr: f32) -> Self {
        LearningRates { dense: lr, sparse: lr }
    }
}

/// An [`UpdateRule`] with its state for every parameter.
#[derive(Debug)]
pub struct Optimizer {
    rule: UpdateRule,
    steps: u64,
    dense: Vec<State>,
    tables: Vec<State>,
}

impl Optimizer {
    /// State of zeros for each of `params`.
    pub fn new(rule: UpdateRule, params: &Parameters) -> Self {
        let dense = params.dense().iter().map(|p| State::zeros(rule.state_lens(false, p.value().len(), 1)));
        let tables =
            params.tables().iter().map(|t| State::zeros(rule.state_lens(true, t.num_embeddings(), t.embedding_dim())));
        Optimizer { rule, steps: 0, dense: dense.collect(), tables: tables.collect() }
    }

    /// The rule.
    pub fn rule(&self) -> UpdateRule {
        self.rule
    }

    /// What is remembered of each table, then of each dense parameter.
    pub(crate) fn states(&self) -> impl Iterator<Item = &State> {
        self.tables.iter().chain(&self.dense)
    }

    /// The same, to put it back.
    pub(crate) fn states_mut(&mut self) -> impl Iterator<Item = &mut State> {
        self.tables.iter_mut().chain(&mut self.dense)
    }

    /// Goes on after so many steps.
    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Changes every parameter that has a gradient.
    ///
    /// # Panics
    /// If `params` or `grads` are not those of the parameters this optimizer was made for.
    pub fn step(&mut self, params: &mut Parameters, grads: &Gradients, lr: impl Into<LearningRates>) {
        self.step_unless(None, params, grads, lr);
    }

    /// The same, unless that one number is not 0: see [`Gradients::check_finite`].
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub fn step_unless(
        &mut self,
        unless: Option<&Tensor>,
        params: &mut Parameters,
        grads: &Gradients,
        lr: impl Into<LearningRates>,
    ) {
        self.steps += 1;
        let lr = lr.into();
        let backend = params.backend().clone();
        let dense = |i| grads.dense(DenseId(i));
        let step = UpdateStep { rule: self.rule, lr: lr.dense, t: self.steps, unless };
        backend.update_dense(step, params.dense_mut(), &dense, &mut self.dense);
        let step = UpdateStep { lr: lr.sparse, ..step };
        backend.update_tables(step, params.tables_mut(), grads.tables(), &mut self.tables);
    }
}
