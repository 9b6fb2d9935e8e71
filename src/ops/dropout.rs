//! Dropout.

use crate::backend::{Beta, Dropout};
use crate::tape::{Backward, BackwardContext, Tape, Var};

#[derive(Debug)]
struct DropoutBackward {
    x: Var,
    mask: Dropout,
}

/// Dropout (Srivastava et al. 2014, scaled in training as in PyTorch): `Y = M ⊙ X / (1 - rate)`, where `M` is 0 with
/// probability `rate` and else 1; `X` itself on a tape [without dropout](Tape::set_dropout), so at evaluation. Backward:
/// `dX = M ⊙ dY / (1 - rate)`.
///
/// The mask is a function of the tape's [`Dropout`] and of the place on the tape, and made anew on the way back
/// instead of being kept.
pub fn dropout(tape: &mut Tape, x: Var) -> Var {
    let Some(mask) = tape.next_dropout().filter(|mask| mask.rate > 0.0) else { return x };
    let (shape, needs_grad) = (tape.value(x).shape(), tape.needs_grad(x));
    tape.record(&shape, needs_grad, DropoutBackward { x, mask }, |backend, values, y| {
        backend.dropout(mask, values.get(x), y, Beta::Zero);
    })
}

impl Backward for DropoutBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        if let Some((dx, beta)) = cx.grads.get(self.x) {
            cx.backend.dropout(self.mask, cx.grad_out, dx, beta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};
    use std::sync::Arc;

    fn masks(rate: f32) -> Dropout {
        Dropout::new(rate, 5, 9, 0)
    }

    #[test]
    fn gradients() {
        for shape in [&[1][..], &[7], &[3, 5], &[2, 3, 4]] {
            for rate in [0.0, 0.3, 0.9] {
                gradcheck(&mut setup(), &[ramp(shape, 3.0)], GradCheck::default(), |tape, _, x| {
                    tape.set_dropout(Some(masks(rate)));
                    // Two uses of the same input: the second gradient is added to the first.
                    let both = [dropout(tape, x[0]), dropout(tape, x[0])];
                    sum(tape, both)
                });
            }
        }
    }

    #[derive(Debug)]
    struct Sum([Var; 2]);

    impl Backward for Sum {
        fn backward(&self, mut cx: BackwardContext<'_>) {
            for var in self.0 {
                let (dx, beta) = cx.grads.get(var).unwrap();
                let old = if beta == Beta::One { dx.as_slice().to_vec() } else { vec![0.0; dx.len()] };
                let terms = old.iter().zip(cx.grad_out.as_slice());
                dx.as_mut_slice().iter_mut().zip(terms).for_each(|(dx, (old, dy))| *dx = old + dy);
            }
        }
    }

    fn sum(tape: &mut Tape, both: [Var; 2]) -> Var {
        let shape = tape.value(both[0]).shape();
        tape.record(&shape, true, Sum(both), |_, values, out| {
            let [a, b] = both.map(|var| values.get(var).as_slice());
            out.as_mut_slice().iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a + b);
        })
    }

    /// `ones` through dropout, on `threads` threads.
    fn of_ones(threads: usize, shape: &[usize], mask: Option<Dropout>) -> Vec<f32> {
        let mut tape = Tape::new(Arc::new(Cpu::new(threads)));
        let ones = vec![1.0; shape.iter().product()];
        let x = tape.input(shape, &ones);
        tape.set_dropout(mask);
        let y = dropout(&mut tape, x);
        tape.value(y).as_slice().to_vec()
    }

    #[test]
    fn the_rate_is_kept_and_so_is_the_mean() {
        for rate in [0.1, 0.5, 0.75] {
            let y = of_ones(1, &[400, 500], Some(masks(rate)));
            assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / (1.0 - rate)));
            let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / y.len() as f64;
            // Five standard deviations of the mean of so many draws.
            let sd = (f64::from(rate) / (1.0 - f64::from(rate)) / y.len() as f64).sqrt();
            assert!((mean - 1.0).abs() < 5.0 * sd, "rate {rate}: mean {mean}");
            let columns: Vec<f32> = (0..500).map(|c| y.iter().skip(c).step_by(500).sum()).collect();
            assert!(columns.iter().all(|&sum| sum > 0.0), "a column that is always dropped");
        }
    }

    #[test]
    fn without_dropout_nothing_happens() {
        assert_eq!(of_ones(1, &[3, 4], None), [1.0; 12]);
        assert_eq!(of_ones(1, &[3, 4], Some(masks(0.0))), [1.0; 12]);
    }

    #[test]
    fn masks_depend_on_seed_step_and_place_and_not_on_threads_or_batches() {
        let shape = [300, 500];
        let one = of_ones(1, &shape, Some(masks(0.5)));
        for threads in [2, 3, 8] {
            assert!(of_ones(threads, &shape, Some(masks(0.5))) == one, "{threads} threads");
        }
        let differ = |other: Dropout| {
            let other = of_ones(1, &shape, Some(other));
            one.iter().zip(&other).filter(|(a, b)| a != b).count() as f64 / one.len() as f64
        };
        for other in [Dropout::new(0.5, 6, 9, 0), Dropout::new(0.5, 5, 10, 0), masks(0.5).at(1)] {
            assert!((differ(other) - 0.5).abs() < 0.01, "{}", differ(other));
        }
        let tail = of_ones(1, &[100, 500], Some(Dropout { first_row: 200, ..masks(0.5) }));
        assert!(tail == one[200 * 500..], "rows of a later batch");
    }
}
