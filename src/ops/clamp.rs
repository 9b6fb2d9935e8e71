//! Values kept within bounds.

use crate::tape::{Backward, BackwardContext, Tape, Var};

#[derive(Debug)]
struct ClampBackward {
    x: Var,
    bound: f32,
}

/// `Y = X`, but at most `bound` away from 0, element by element. Backward: `dX = dY` where `|X| ≤ bound`, and
/// 0 beyond, as `torch.clamp`.
///
/// Of logits with `bound = ln((1 − t) / t)` it is the reference's `--loss-threshold t`, which clamps the
/// probability: see [`TrainOptions::loss_threshold`](crate::train::TrainOptions::loss_threshold).
///
/// # Panics
/// If `bound` is below 0 or NaN.
pub fn clamp(tape: &mut Tape, x: Var, bound: f32) -> Var {
    let (shape, needs_grad) = (tape.value(x).shape(), tape.needs_grad(x));
    tape.record(&shape, needs_grad, ClampBackward { x, bound }, |backend, values, y| {
        backend.clamp(values.get(x), bound, y);
    })
}

impl Backward for ClampBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let x = cx.values.get(self.x);
        if let Some((dx, beta)) = cx.grads.get(self.x) {
            cx.backend.clamp_backward(x, self.bound, cx.grad_out, dx, beta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::LossKind;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::gradients::Gradients;
    use crate::ops;
    use crate::ops::tests::{ramp, setup};

    #[test]
    fn gradients() {
        for (shape, bound) in [(&[1][..], 9.0), (&[7], 1.5), (&[3, 5], 0.4)] {
            let kinks = GradCheck { kinks: true, ..GradCheck::default() };
            gradcheck(&mut setup(), &[ramp(shape, 3.0)], kinks, |tape, _, x| clamp(tape, x[0], bound));
        }
    }

    #[test]
    fn a_value_used_twice_gets_both_gradients() {
        let kinks = GradCheck { kinks: true, ..GradCheck::default() };
        gradcheck(&mut setup(), &[ramp(&[4], 1.0)], kinks, |tape, _, x| {
            let near = clamp(tape, x[0], 0.3);
            clamp(tape, x[0], 0.6);
            near
        });
    }

    /// The loss of one logit, and its gradient, with the logit clamped to that of `t`.
    fn with_threshold(kind: LossKind, x: f32, y: f32, t: f32) -> (f32, f32) {
        let params = setup();
        let mut tape = Tape::new(params.backend().clone());
        let (logit, label) = (tape.variable(&[1], &[x]), tape.input(&[1], &[y]));
        let clamped = clamp(&mut tape, logit, ((1.0 - t) / t).ln());
        let loss = ops::loss(&mut tape, kind, clamped, label);
        let mut grads = Gradients::new(&params);
        tape.backward(loss, &params, &mut grads);
        (tape.value(loss).as_slice()[0], tape.grad(logit).unwrap().as_slice()[0])
    }

    /// `torch.clamp(p, t, 1 − t)` and then the loss of the probability: with t = 0.2, p = σ(ln 3) = 0.75 stays, and
    /// p = σ(2) = 0.8808 becomes 0.8.
    #[test]
    fn losses_are_those_of_the_clamped_probability() {
        let weighted = LossKind::Bce { class_weights: [0.5, 2.0] };
        let ln3 = 3f32.ln();
        let cases: [(LossKind, f32, f32, f32, f32); 9] = [
            (LossKind::BCE, ln3, 1.0, -(0.75f32.ln()), -0.25),
            (LossKind::BCE, 2.0, 1.0, -(0.8f32.ln()), 0.0),
            (LossKind::BCE, 2.0, 0.0, -(0.2f32.ln()), 0.0),
            (LossKind::BCE, -90.0, 1.0, -(0.2f32.ln()), 0.0),
            (weighted, 2.0, 1.0, -2.0 * 0.8f32.ln(), 0.0),
            (weighted, 2.0, 0.0, -0.5 * 0.2f32.ln(), 0.0),
            (LossKind::Mse, ln3, 1.0, 0.0625, -2.0 * 0.25 * 0.75 * 0.25),
            (LossKind::Mse, 2.0, 1.0, 0.04, 0.0),
            (LossKind::Mse, -2.0, 1.0, 0.64, 0.0),
        ];
        for (kind, x, y, loss, gradient) in cases {
            let (found, slope) = with_threshold(kind, x, y, 0.2);
            assert!((found - loss).abs() < 1e-6, "{kind:?} of {x} for {y}: {found}, expected {loss}");
            assert!((slope - gradient).abs() < 1e-6, "{kind:?} of {x} for {y}: slope {slope}, expected {gradient}");
        }
    }
}
