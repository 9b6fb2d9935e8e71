//! The feature interaction.

use crate::backend::Interaction;
use crate::tape::{Backward, BackwardContext, Tape, Var};

#[derive(Debug)]
struct InteractionBackward {
    kind: Interaction,
    dense: Option<Var>,
    pooled: Var,
}

/// The interaction of the dense vector (`B × D`, if there is one) with the pooled ones
/// (`B × T × D`): see [`Interaction`] and [`Interaction::width`].
///
/// Paper section 2.2: "the second-order interaction of different features explicitly by taking
/// the dot product between all pairs", as in factorization machines (section 2.1.3, equation 4). With
/// `T = [x; y₁; …]` of a sample and `Z = T Tᵀ`, backward is `dT = (dZ + dZᵀ) T`, and `dx` gets
/// the gradient of its copy in front as well. See [chapter 4 of the guide](crate::guide::ch04_interaction).
///
/// # Panics
/// If the shapes do not fit.
pub fn interaction(tape: &mut Tape, kind: Interaction, dense: Option<Var>, pooled: Var) -> Var {
    let [b, tables, dim] = *tape.value(pooled).shape() else {
        panic!("interaction: pooled vectors of shape {:?}, expected B × T × D", tape.value(pooled).shape());
    };
    let width = kind.width(dense.is_some(), tables, dim);
    let needs_grad = tape.needs_grad(pooled) || dense.is_some_and(|d| tape.needs_grad(d));
    tape.record(&[b, width], needs_grad, InteractionBackward { kind, dense, pooled }, |backend, values, out| {
        backend.interaction(kind, dense.map(|d| values.get(d)), values.get(pooled), out);
    })
}

impl Backward for InteractionBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let (dense, pooled) = (self.dense.map(|d| cx.values.get(d)), cx.values.get(self.pooled));
        let mut grad_dense = self.dense.and_then(|d| cx.grads.take(d));
        let mut grad_pooled = cx.grads.take(self.pooled);
        let outputs = [&mut grad_dense, &mut grad_pooled].map(|g| g.as_mut().map(|(grad, beta)| (grad, *beta)));
        cx.backend.interaction_backward(self.kind, dense, pooled, cx.grad_out, outputs);
        for (var, grad) in [(self.dense, grad_dense), (Some(self.pooled), grad_pooled)] {
            if let (Some(var), Some((grad, _))) = (var, grad) {
                cx.grads.put(var, grad);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};

    const KINDS: [Interaction; 3] = [Interaction::Dot, Interaction::DotItself, Interaction::Cat];

    #[test]
    fn gradients() {
        for kind in KINDS {
            for (b, t, d) in [(1, 1, 1), (2, 3, 5), (3, 7, 16), (2, 26, 4)] {
                let inputs = [ramp(&[b, d], 1.0), ramp(&[b, t, d], 0.8)];
                gradcheck(&mut setup(), &inputs, GradCheck::default(), |tape, _, x| {
                    interaction(tape, kind, Some(x[0]), x[1])
                });
            }
        }
    }

    #[test]
    fn gradients_without_a_dense_vector() {
        for kind in KINDS {
            gradcheck(&mut setup(), &[ramp(&[2, 4, 3], 1.0)], GradCheck::default(), |tape, _, x| {
                interaction(tape, kind, None, x[0])
            });
        }
    }

    #[test]
    fn vectors_used_twice_get_both_gradients() {
        let inputs = [ramp(&[2, 3], 1.0), ramp(&[2, 4, 3], 0.8)];
        gradcheck(&mut setup(), &inputs, GradCheck::default(), |tape, _, x| {
            let first = interaction(tape, Interaction::Dot, Some(x[0]), x[1]);
            interaction(tape, Interaction::Cat, Some(x[0]), x[1]);
            first
        });
    }

    #[test]
    fn the_reference_s_order() {
        let expected: [&[f32]; 3] = [
            &[1., 2., 13., 29., 76., 47., 124., 278.],
            &[1., 2., 5., 13., 34., 29., 76., 170., 47., 124., 278., 458.],
            &[1., 2., 3., 5., 7., 11., 13., 17.],
        ];
        for (kind, expected) in KINDS.into_iter().zip(expected) {
            let params = setup();
            let mut tape = Tape::new(params.backend().clone());
            let x = tape.input(&[1, 2], &[1., 2.]);
            let e = tape.input(&[1, 3, 2], &[3., 5., 7., 11., 13., 17.]);
            let out = interaction(&mut tape, kind, Some(x), e);
            assert_eq!(tape.value(out).as_slice(), expected, "{kind:?}");
        }
    }
}
