//! A fully connected layer with its activation.

use crate::backend::{Activation, LinearGrads};
use crate::parameters::{DenseId, Parameters};
use crate::tape::{Backward, BackwardContext, Tape, Uses, Var};

#[derive(Debug)]
struct LinearBackward {
    x: Var,
    weight: DenseId,
    bias: Option<DenseId>,
    activation: Activation,
}

/// `Y = act(X · Wᵀ + b)`: `X` is `B × K`, `W` is `N × K`, `b` is `N`, `Y` is `B × N`
/// (paper section 2.1.4, equation 5 for one layer).
///
/// Backward, with `dZ = dY ⊙ [Y > 0]` for ReLU and `dZ = dY` without:
/// `dX = dZ · W`, `dW = dZᵀ · X`, `db = Σ_b dZ[b]`; derived in [chapter 2 of the guide](crate::guide::ch02_linear).
///
/// # Panics
/// If the shapes do not fit.
pub fn linear(
    tape: &mut Tape,
    params: &Parameters,
    x: Var,
    weight: DenseId,
    bias: Option<DenseId>,
    activation: Activation,
) -> Var {
    let shape = [tape.value(x).rows(), params.get(weight).shape()[0]];
    let node = LinearBackward { x, weight, bias, activation };
    tape.record(&shape, true, node, |backend, values, y| {
        backend.linear(values.get(x), params.get(weight), bias.map(|b| params.get(b)), activation, y);
    })
}

impl Backward for LinearBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let (weight, x) = (cx.params.get(self.weight), cx.values.get(self.x));
        let bias = self.bias.map(|b| (b, cx.params.get(b).shape()));
        let (of_weight, of_bias) = cx.param_grads.contribute_both((self.weight, weight.shape()), bias);
        let grads = LinearGrads { x: cx.grads.get(self.x), weight: of_weight, bias: of_bias };
        cx.backend.linear_backward(x, cx.output, cx.grad_out, weight, self.activation, grads);
    }

    fn uses(&self) -> Uses {
        Uses::Dense([Some(self.weight), self.bias])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};

    #[test]
    fn gradients() {
        for (activation, m, n, k) in [
            (Activation::None, 3, 5, 7),
            (Activation::Relu, 4, 6, 3),
            (Activation::None, 1, 1, 1),
            (Activation::Relu, 17, 33, 13),
        ] {
            let mut params = setup();
            let w = params.add_dense("w", ramp(&[n, k], 0.7));
            let b = params.add_dense("b", ramp(&[n], 0.3));
            gradcheck(
                &mut params,
                &[ramp(&[m, k], 1.0)],
                GradCheck { kinks: true, ..GradCheck::default() },
                |tape, params, x| linear(tape, params, x[0], w, Some(b), activation),
            );
        }
    }

    #[test]
    fn a_parameter_used_twice_gets_both_gradients() {
        let mut params = setup();
        let w = params.add_dense("w", ramp(&[4, 4], 0.7));
        gradcheck(&mut params, &[ramp(&[2, 4], 1.0)], GradCheck::default(), |tape, params, x| {
            let h = linear(tape, params, x[0], w, None, Activation::None);
            linear(tape, params, h, w, None, Activation::None)
        });
    }
}
