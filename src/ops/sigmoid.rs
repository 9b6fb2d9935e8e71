//! The logistic function, as an operation.

use crate::tape::{Backward, BackwardContext, Tape, Var};

#[derive(Debug)]
struct SigmoidBackward {
    x: Var,
}

/// `Y = σ(X) = 1 / (1 + e⁻ˣ)`, element by element. Backward: `dX = dY · Y (1 − Y)`.
///
/// Losses take logits and need no sigmoid before them; this one is for probabilities inside a
/// model.
pub fn sigmoid(tape: &mut Tape, x: Var) -> Var {
    let (shape, needs_grad) = (tape.value(x).shape(), tape.needs_grad(x));
    tape.record(&shape, needs_grad, SigmoidBackward { x }, |backend, values, y| backend.sigmoid(values.get(x), y))
}

impl Backward for SigmoidBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        if let Some((dx, beta)) = cx.grads.get(self.x) {
            cx.backend.sigmoid_backward(cx.output, cx.grad_out, dx, beta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};

    #[test]
    fn gradients() {
        for shape in [&[1][..], &[7], &[3, 5]] {
            gradcheck(&mut setup(), &[ramp(shape, 3.0)], GradCheck::default(), |tape, _, x| sigmoid(tape, x[0]));
        }
    }
}
