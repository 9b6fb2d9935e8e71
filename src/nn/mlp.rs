//! Fully connected layers.

use super::init;
use crate::backend::Activation;
use crate::ops;
use crate::parameters::{DenseId, Parameters};
use crate::random::Stream;
use crate::tape::{Tape, Var};

/// One fully connected layer, `Y = act(X · Wᵀ + b)`, `W` being `N × K` (out × in).
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// `W`.
    pub weight: DenseId,
    /// `b`.
    pub bias: DenseId,
    /// What follows.
    pub activation: Activation,
}

impl Linear {
    /// A layer from `k` to `n` numbers with the reference's initial values; its parameters are
    /// called `{name}.weight` and `{name}.bias`.
    pub fn new(
        params: &mut Parameters,
        name: &str,
        k: usize,
        n: usize,
        activation: Activation,
        stream: &mut Stream,
    ) -> Self {
        let [weight, bias] = init::linear(params, name, k, n, stream);
        Linear { weight, bias, activation }
    }

    /// `X` (`B × K`) to `Y` (`B × N`).
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, x: Var) -> Var {
        ops::linear(tape, params, x, self.weight, Some(self.bias), self.activation)
    }
}

/// Fully connected layers one after the other (paper section 2.1.4, equation 5).
#[derive(Debug, Clone)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// Layers of `widths` numbers after an input of `input`; ReLU after each but the last, which
    /// has `last`. Layer `i` is called `{name}.{2i}`, as in the reference's `nn.Sequential` of
    /// linear layers and activations.
    pub fn new(
        params: &mut Parameters,
        name: &str,
        input: usize,
        widths: &[usize],
        last: Activation,
        stream: &mut Stream,
    ) -> Self {
        let inputs = std::iter::once(&input).chain(widths);
        let layers = inputs.zip(widths).enumerate().map(|(i, (&k, &n))| {
            let activation = if i + 1 == widths.len() { last } else { Activation::Relu };
            Linear::new(params, &format!("{name}.{}", 2 * i), k, n, activation, stream)
        });
        Mlp { layers: layers.collect() }
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// `X` (`B × input`) through every layer.
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, x: Var) -> Var {
        self.layers.iter().fold(x, |x, layer| layer.forward(tape, params, x))
    }

    /// As [`forward`](Self::forward), with [dropout](ops::dropout) after every layer that ends in ReLU.
    pub fn forward_with_dropout(&self, tape: &mut Tape, params: &Parameters, x: Var) -> Var {
        self.layers.iter().fold(x, |x, layer| {
            let y = layer.forward(tape, params, x);
            if layer.activation == Activation::Relu { ops::dropout(tape, y) } else { y }
        })
    }
}
