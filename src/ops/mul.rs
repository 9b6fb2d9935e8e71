//! Products and sums of two values.

use crate::backend::Beta;
use crate::tape::{Backward, BackwardContext, Tape, Var};

#[derive(Debug)]
struct MulBackward {
    a: Var,
    b: Var,
}

/// `Y = A ⊙ B`, element by element. Backward: `dA = dY ⊙ B`, `dB = dY ⊙ A`; `B` may be `A`.
///
/// # Panics
/// If the shapes differ.
pub fn mul(tape: &mut Tape, a: Var, b: Var) -> Var {
    let shape = same_shape("mul", tape, a, b);
    let needs_grad = tape.needs_grad(a) || tape.needs_grad(b);
    tape.record(&shape, needs_grad, MulBackward { a, b }, |backend, values, y| {
        backend.mul(values.get(a), values.get(b), y, Beta::Zero);
    })
}

impl Backward for MulBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        for (var, other) in [(self.a, self.b), (self.b, self.a)] {
            if let Some((grad, beta)) = cx.grads.get(var) {
                cx.backend.mul(cx.grad_out, cx.values.get(other), grad, beta);
            }
        }
    }
}

#[derive(Debug)]
struct AddBackward {
    a: Var,
    b: Var,
}

/// `Y = A + B`, element by element. Backward: `dA = dB = dY`; `B` may be `A`.
///
/// # Panics
/// If the shapes differ.
pub fn add(tape: &mut Tape, a: Var, b: Var) -> Var {
    let shape = same_shape("add", tape, a, b);
    let needs_grad = tape.needs_grad(a) || tape.needs_grad(b);
    tape.record(&shape, needs_grad, AddBackward { a, b }, |backend, values, y| {
        backend.add_to(values.get(a), y, Beta::Zero);
        backend.add_to(values.get(b), y, Beta::One);
    })
}

impl Backward for AddBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        for var in [self.a, self.b] {
            if let Some((grad, beta)) = cx.grads.get(var) {
                cx.backend.add_to(cx.grad_out, grad, beta);
            }
        }
    }
}

fn same_shape(op: &str, tape: &Tape, a: Var, b: Var) -> crate::tensor::Shape {
    let [a, b] = [a, b].map(|var| tape.value(var).shape());
    assert_eq!(a, b, "{op}: A and B");
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};

    #[test]
    fn gradients() {
        for op in [mul, add] {
            for shape in [&[1][..], &[3, 5], &[2, 1, 20]] {
                let inputs = [ramp(shape, 1.0), ramp(shape, 0.7)];
                gradcheck(&mut setup(), &inputs, GradCheck::default(), |tape, _, x| op(tape, x[0], x[1]));
                gradcheck(&mut setup(), &inputs[..1], GradCheck::default(), |tape, _, x| op(tape, x[0], x[0]));
            }
        }
    }

    #[test]
    #[should_panic(expected = "mul: A and B")]
    fn two_shapes_do_not_multiply() {
        let mut tape = Tape::new(setup().backend().clone());
        let (a, b) = (tape.input(&[2, 1], &[1.0; 2]), tape.input(&[2, 2], &[1.0; 4]));
        mul(&mut tape, a, b);
    }
}
