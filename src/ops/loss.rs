//! Losses on logits.

use crate::backend::LossKind;
use crate::tape::{Backward, BackwardContext, Tape, Var};

#[derive(Debug)]
struct LossBackward {
    kind: LossKind,
    logits: Var,
    labels: Var,
}

/// The loss of `logits` (`B` or `B × 1`) for `labels` (`B`), one number: see [`LossKind`].
///
/// Backward, with `p = σ(x)`: `dx = w[y] (p − y) / B` for binary cross entropy, and
/// `dx = 2 (p − y) p (1 − p) / B` for the squared error. The loss of no sample is 0. [Chapter 5 of the
/// guide](crate::guide::ch05_whole_model) has an example by hand.
///
/// # Panics
/// If there are not as many labels as logits.
pub fn loss(tape: &mut Tape, kind: LossKind, logits: Var, labels: Var) -> Var {
    let needs_grad = tape.needs_grad(logits);
    tape.record(&[1], needs_grad, LossBackward { kind, logits, labels }, |backend, values, out| {
        backend.loss(kind, values.get(logits), values.get(labels), out);
    })
}

impl Backward for LossBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let (logits, labels) = (cx.values.get(self.logits), cx.values.get(self.labels));
        if let Some((dx, beta)) = cx.grads.get(self.logits) {
            cx.backend.loss_backward(self.kind, logits, labels, cx.grad_out, dx, beta);
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
        let weighted = LossKind::Bce { class_weights: [0.5, 2.0] };
        for (kind, n) in [(LossKind::BCE, 1), (LossKind::BCE, 7), (weighted, 6), (LossKind::Mse, 1), (LossKind::Mse, 9)]
        {
            let labels: Vec<f32> = (0..n).map(|i| (i % 3 == 0) as u8 as f32).collect();
            gradcheck(&mut setup(), &[ramp(&[n, 1], 3.0)], GradCheck::default(), |tape, _, x| {
                let labels = tape.input(&[n], &labels);
                loss(tape, kind, x[0], labels)
            });
        }
    }
}
