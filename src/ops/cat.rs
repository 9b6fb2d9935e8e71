//! Values side by side.

use crate::tape::{Backward, BackwardContext, Tape, Var, VarList};

#[derive(Debug)]
struct CatBackward {
    parts: VarList,
}

/// The rows of all `parts` side by side: `B × N₁`, `B × N₂`, … to `B × (N₁ + N₂ + …)`. Backward: each part gets its
/// columns of the gradient.
///
/// # Panics
/// If there is no part, or the parts differ in `B`.
pub fn cat(tape: &mut Tape, parts: &[Var]) -> Var {
    let mut list = tape.list(parts.len());
    parts.iter().for_each(|&part| tape.push(&mut list, part));
    let (rows, width) = (rows(tape, list), parts.iter().map(|&part| tape.value(part).cols()).sum());
    join(tape, list, &[rows, width])
}

/// As [`cat`], of vectors of one length, and of any number of them: `T` parts of `B × D` to `B × T × D`, as the
/// interaction wants them.
///
/// # Panics
/// If there is no part, or the parts differ in shape.
pub fn stack(tape: &mut Tape, parts: VarList) -> Var {
    let rows = rows(tape, parts);
    let all = tape.vars(parts);
    let dim = tape.value(all[0]).cols();
    let other = all.iter().map(|&part| tape.value(part)).find(|value| value.cols() != dim);
    assert!(other.is_none(), "stack: vectors of {dim} numbers and a part of {:?}", other.map(|value| value.shape()));
    let count = all.len();
    join(tape, parts, &[rows, count, dim])
}

fn rows(tape: &Tape, parts: VarList) -> usize {
    let first = tape.vars(parts).first().expect("cat: no part");
    tape.value(*first).rows()
}

fn join(tape: &mut Tape, parts: VarList, shape: &[usize]) -> Var {
    let needs_grad = tape.vars(parts).iter().any(|&part| tape.needs_grad(part));
    tape.record(shape, needs_grad, CatBackward { parts }, |backend, values, out| {
        let mut first = 0;
        for &part in values.vars(parts) {
            let part = values.get(part);
            backend.put_columns(part, first, out);
            first += part.cols();
        }
    })
}

impl Backward for CatBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let mut first = 0;
        for &part in cx.values.vars(self.parts) {
            if let Some((dx, beta)) = cx.grads.get(part) {
                cx.backend.take_columns(cx.grad_out, first, dx, beta);
            }
            first += cx.values.get(part).cols();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};

    fn list(tape: &mut Tape, parts: &[Var]) -> VarList {
        let mut list = tape.list(parts.len());
        parts.iter().for_each(|&part| tape.push(&mut list, part));
        list
    }

    #[test]
    fn gradients() {
        let inputs = [ramp(&[3, 2], 1.0), ramp(&[3, 1, 5], 0.8), ramp(&[3, 1], 0.6)];
        gradcheck(&mut setup(), &inputs, GradCheck::default(), |tape, _, x| cat(tape, x));
        let inputs = [ramp(&[2, 4], 1.0), ramp(&[2, 1, 4], 0.8)];
        gradcheck(&mut setup(), &inputs, GradCheck::default(), |tape, _, x| {
            // A part that comes twice gets both gradients.
            let parts = list(tape, &[x[0], x[1], x[0]]);
            stack(tape, parts)
        });
    }

    #[test]
    fn parts_lie_side_by_side() {
        let mut tape = Tape::new(setup().backend().clone());
        let a = tape.input(&[2, 1], &[1.0, 2.0]);
        let b = tape.input(&[2, 2], &[3.0, 4.0, 5.0, 6.0]);
        let out = cat(&mut tape, &[b, a]);
        assert_eq!(
            (&*tape.value(out).shape(), tape.value(out).as_slice()),
            (&[2, 3][..], &[3., 4., 1., 5., 6., 2.][..])
        );
        let parts = list(&mut tape, &[b, b]);
        let out = stack(&mut tape, parts);
        assert_eq!(&*tape.value(out).shape(), [2, 2, 2]);
        assert_eq!(tape.value(out).as_slice(), [3., 4., 3., 4., 5., 6., 5., 6.]);
    }

    #[test]
    #[should_panic(expected = "stack: vectors of 1 numbers and a part of Some([2, 2])")]
    fn vectors_of_two_lengths_do_not_stack() {
        let mut tape = Tape::new(setup().backend().clone());
        let parts = [tape.input(&[2, 1], &[1.0, 2.0]), tape.input(&[2, 2], &[0.0; 4])];
        let parts = list(&mut tape, &parts);
        stack(&mut tape, parts);
    }
}
