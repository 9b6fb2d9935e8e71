//! A cross layer.

use crate::backend::Beta;
use crate::parameters::{DenseId, Parameters};
use crate::tape::{Backward, BackwardContext, Tape, Uses, Var};

#[derive(Debug)]
struct CrossBackward {
    x0: Var,
    u: Var,
    bias: Option<DenseId>,
    x: Var,
}

/// `Y = X₀ ⊙ U + b + X`: what makes a cross layer of a product `U` with `X`. `X₀`, `X` and `Y` are `B × N`, `b` is
/// `N`.
///
/// - With `U` of `B × 1`, one number a sample, `x_l · w_l`, it is a layer of DCN (Wang et al. 2017, equation 3:
///   `x_{l+1} = x₀ x_lᵀ w_l + b_l + x_l`).
/// - With `U` of `B × N` and without `b`, `U = W_l (V_l x_l) + b_l`, it is one of DCN-v2 with low rank (Wang et al.
///   2020, section 3.4; TorchRec's `LowRankCrossNet`).
///
/// Backward: `dX₀ = dY ⊙ U`, `dU = dY ⊙ X₀` (summed over the row if `U` is `B × 1`), `db = Σ_b dY[b]`, `dX = dY`;
/// `X` may be `X₀`, as in the first layer, and then gets both.
///
/// # Panics
/// If the shapes do not fit.
pub fn cross(tape: &mut Tape, params: &Parameters, x0: Var, u: Var, bias: Option<DenseId>, x: Var) -> Var {
    let shape = tape.value(x).shape();
    tape.record(&shape, true, CrossBackward { x0, u, bias, x }, |backend, values, y| {
        backend.add_to(values.get(x), y, Beta::Zero);
        backend.mul(values.get(x0), values.get(u), y, Beta::One);
        if let Some(bias) = bias {
            backend.add_to(params.get(bias).value(), y, Beta::One);
        }
    })
}

impl Backward for CrossBackward {
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let (backend, dy, x0, u) = (cx.backend, &*cx.grad_out, cx.values.get(self.x0), cx.values.get(self.u));
        if let Some((dx, beta)) = cx.grads.get(self.x) {
            backend.add_to(dy, dx, beta);
        }
        if let Some((dx0, beta)) = cx.grads.get(self.x0) {
            backend.mul(dy, u, dx0, beta);
        }
        match cx.grads.get(self.u) {
            Some((du, beta)) if u.len() == x0.len() => backend.mul(dy, x0, du, beta),
            Some((du, beta)) => backend.dot_rows(dy, x0, du, beta),
            None => {}
        }
        if let Some(bias) = self.bias {
            let (db, beta) = cx.param_grads.contribute(bias, &cx.params.get(bias).value().shape());
            backend.sum_rows(dy, db, beta);
        }
    }

    fn uses(&self) -> Uses {
        Uses::Dense([self.bias, None])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::ops::tests::{ramp, setup};

    #[test]
    fn gradients() {
        for (b, n) in [(1, 1), (3, 5), (4, 17), (2, 40)] {
            for width in [1, n] {
                let mut params = setup();
                let bias = params.add_dense("b", ramp(&[n], 0.4));
                let inputs = [ramp(&[b, n], 1.0), ramp(&[b, width], 0.8), ramp(&[b, n], 0.6)];
                gradcheck(&mut params, &inputs, GradCheck::default(), |tape, params, x| {
                    cross(tape, params, x[0], x[1], Some(bias), x[2])
                });
                gradcheck(&mut setup(), &inputs, GradCheck::default(), |tape, params, x| {
                    cross(tape, params, x[0], x[1], None, x[2])
                });
            }
        }
    }

    #[test]
    fn values_used_twice_get_both_gradients() {
        let mut params = setup();
        let bias = params.add_dense("b", ramp(&[4], 0.4));
        let inputs = [ramp(&[3, 4], 1.0), ramp(&[3, 1], 0.8), ramp(&[3, 4], 0.5)];
        gradcheck(&mut params, &inputs, GradCheck::default(), |tape, params, x| {
            let first = cross(tape, params, x[0], x[1], Some(bias), x[0]);
            let second = cross(tape, params, x[0], x[1], Some(bias), first);
            cross(tape, params, x[0], x[2], None, second)
        });
    }

    #[test]
    fn by_hand() {
        let mut params = setup();
        let bias = params.add_dense("b", crate::Tensor::from_slice(&[2], &[0.5, -1.0]));
        let mut tape = Tape::new(params.backend().clone());
        let x0 = tape.input(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let x = tape.input(&[2, 2], &[5.0, 6.0, 7.0, 8.0]);
        let narrow = tape.input(&[2, 1], &[2.0, -1.0]);
        let y = cross(&mut tape, &params, x0, narrow, Some(bias), x);
        assert_eq!(tape.value(y).as_slice(), [1. * 2. + 0.5 + 5., 2. * 2. - 1. + 6., -3. + 0.5 + 7., -4. - 1. + 8.]);
        let wide = tape.input(&[2, 2], &[2.0, 0.5, -1.0, 3.0]);
        let y = cross(&mut tape, &params, x0, wide, None, x);
        assert_eq!(tape.value(y).as_slice(), [2. + 5., 1. + 6., -3. + 7., 12. + 8.]);
    }
}
