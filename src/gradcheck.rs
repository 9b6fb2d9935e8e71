//! Does a derivative fit its function? Backward passes beside finite differences.

use crate::gradients::Gradients;
use crate::parameters::{DenseId, Parameters, TableId};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// How [`gradcheck`] measures and what it accepts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradCheck {
    /// Step of the finite difference. Large, since values are `f32`: with the four-point stencil
    /// the truncation error is of fourth order, and the rounding error is divided by the step.
    pub step: f32,
    /// Accepted difference, relative to `1 + |gradient|`.
    pub tolerance: f64,
    /// Also accept a gradient between the two one-sided differences: for functions with kinks,
    /// such as ReLU, where an input may lie within a step of one.
    pub kinks: bool,
}

impl Default for GradCheck {
    fn default() -> Self {
        GradCheck { step: 1e-2, tolerance: 2e-3, kinks: false }
    }
}

/// Checks the backward pass of `f` by finite differences, for every element of every input and
/// of every parameter.
///
/// `f` puts operations on the tape, from the given variables (one for each of `inputs`) and from
/// `params`, and returns a value of any shape. What is differentiated is `Σ rᵢ outᵢ` with fixed
/// weights `rᵢ` between 0.5 and 1 of both signs, summed in `f64`.
///
/// ```
/// use dlrm::{Parameters, Tensor, backend::Cpu, gradcheck::{GradCheck, gradcheck}, ops};
/// let mut params = Parameters::new(std::sync::Arc::new(Cpu::new(1)));
/// let x = Tensor::from_slice(&[3], &[-1.0, 0.5, 2.0]);
/// gradcheck(&mut params, &[x], GradCheck::default(), |tape, _, x| ops::sigmoid(tape, x[0]));
/// ```
///
/// # Panics
/// If a gradient differs from the finite difference by more than the tolerance; the message names
/// the input or parameter, the element and both numbers.
#[track_caller]
pub fn gradcheck(
    params: &mut Parameters,
    inputs: &[Tensor],
    options: GradCheck,
    f: impl Fn(&mut Tape, &Parameters, &[Var]) -> Var,
) {
    let mut check = Check { options, f, tape: Tape::new(params.backend().clone()), inputs: inputs.to_vec() };
    let (analytic, grads) = check.backward(params);
    for (i, analytic) in analytic.iter().enumerate() {
        for (e, &a) in analytic.iter().enumerate() {
            let numeric = check.differences(params, |check, _, d| nudge(check.inputs[i].as_mut_slice(), e, d));
            options.compare(&format!("input {i}"), e, a, numeric);
        }
    }
    for i in 0..params.dense().len() {
        let id = DenseId(i);
        for e in 0..params.get(id).value().len() {
            let a = grads.dense(id).map_or(0.0, |g| g.as_slice()[e]);
            let numeric =
                check.differences(params, |_, params, d| params.update(id, |t| nudge(t.as_mut_slice(), e, d)));
            options.compare(params.get(id).name(), e, a, numeric);
        }
    }
    for i in 0..params.tables().len() {
        for e in 0..params.tables()[i].values().len() {
            let a = table_element(&grads, TableId(i), e);
            let numeric = check.differences(params, |_, params, d| nudge(params.tables_mut()[i].values_mut(), e, d));
            options.compare(params.tables()[i].name(), e, a, numeric);
        }
    }
}

fn nudge(values: &mut [f32], element: usize, by: f32) {
    values[element] += by;
}

/// Element `e` of the gradient of table `id`, zero where no row was looked up.
fn table_element(grads: &Gradients, id: TableId, e: usize) -> f32 {
    let (rows, values) = grads.table(id);
    let dim = values.len() / rows.len().max(1);
    match rows.binary_search(&((e / dim.max(1)) as u32)) {
        Ok(at) => values[at * dim + e % dim],
        Err(_) => 0.0,
    }
}

struct Check<F> {
    options: GradCheck,
    f: F,
    tape: Tape,
    inputs: Vec<Tensor>,
}

/// The derivative by three formulas: four points, forward, backward.
struct Differences {
    stencil: f64,
    sides: [f64; 2],
}

impl<F: Fn(&mut Tape, &Parameters, &[Var]) -> Var> Check<F> {
    fn forward(&mut self, params: &Parameters) -> (Vec<Var>, Var) {
        self.tape.clear();
        let vars: Vec<Var> = self.inputs.iter().map(|t| self.tape.variable(&t.shape(), t.as_slice())).collect();
        let out = (self.f)(&mut self.tape, params, &vars);
        (vars, out)
    }

    fn objective(&mut self, params: &Parameters) -> f64 {
        let (_, out) = self.forward(params);
        self.tape.value(out).as_slice().iter().enumerate().map(|(i, &v)| f64::from(weight(i)) * f64::from(v)).sum()
    }

    fn backward(&mut self, params: &Parameters) -> (Vec<Vec<f32>>, Gradients) {
        let mut grads = Gradients::new(params);
        let (vars, out) = self.forward(params);
        let seed: Vec<f32> = (0..self.tape.value(out).len()).map(weight).collect();
        self.tape.backward_from(out, &seed, params, &mut grads);
        let of_inputs = vars.iter().zip(&self.inputs);
        let of_inputs =
            of_inputs.map(|(&v, t)| self.tape.grad(v).map_or(vec![0.0; t.len()], |g| g.as_slice().to_vec())).collect();
        (of_inputs, grads)
    }

    fn differences(
        &mut self,
        params: &mut Parameters,
        mut nudge: impl FnMut(&mut Self, &mut Parameters, f32),
    ) -> Differences {
        let h = self.options.step;
        // Visits x + 2h, x + h, x, x - h, x - 2h and goes back to x.
        let mut values = [0.0; 5];
        nudge(self, params, 2.0 * h);
        for value in &mut values {
            *value = self.objective(params);
            nudge(self, params, -h);
        }
        nudge(self, params, 3.0 * h);
        let [p2, p1, at, m1, m2] = values;
        let h = f64::from(h);
        Differences { stencil: (m2 - 8.0 * m1 + 8.0 * p1 - p2) / (12.0 * h), sides: [(p1 - at) / h, (at - m1) / h] }
    }
}

impl GradCheck {
    #[track_caller]
    fn compare(&self, what: &str, element: usize, analytic: f32, numeric: Differences) {
        let a = f64::from(analytic);
        let allowed = self.tolerance * (1.0 + a.abs().max(numeric.stencil.abs()));
        let smooth = (a - numeric.stencil).abs() <= allowed;
        let [one, other] = numeric.sides;
        let between = a >= one.min(other) - allowed && a <= one.max(other) + allowed;
        assert!(
            smooth || (self.kinks && between),
            "gradcheck: {what}, element {element}: backward gives {analytic}, differences {}",
            numeric.stencil
        );
    }
}

/// The weight of output `i` in the sum that is differentiated.
fn weight(i: usize) -> f32 {
    let size = 0.5 + (i * 29 % 17) as f32 / 34.0;
    if i.is_multiple_of(3) { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{ramp, setup};
    use crate::tape::{Backward, BackwardContext};

    /// `Y = 3 X²` with a backward that is right for `factor = 6`.
    #[derive(Debug)]
    struct Square {
        x: Var,
        factor: f32,
    }

    impl Backward for Square {
        fn backward(&self, mut cx: BackwardContext<'_>) {
            let x = cx.values.get(self.x);
            if let Some((dx, beta)) = cx.grads.get(self.x) {
                assert_eq!(beta, crate::backend::Beta::Zero);
                let terms = x.as_slice().iter().zip(cx.grad_out.as_slice());
                dx.as_mut_slice().iter_mut().zip(terms).for_each(|(d, (x, g))| *d = self.factor * x * g);
            }
        }
    }

    fn check(factor: f32) {
        gradcheck(&mut setup(), &[ramp(&[4], 1.0)], GradCheck::default(), |tape, _, x| {
            let x = x[0];
            tape.record(&[4], true, Square { x, factor }, |_, values, out| {
                let squares = values.get(x).as_slice().iter().map(|x| 3.0 * x * x);
                out.as_mut_slice().iter_mut().zip(squares).for_each(|(o, s)| *o = s);
            })
        });
    }

    #[test]
    fn an_operation_of_one_s_own_passes() {
        check(6.0);
    }

    #[test]
    #[should_panic(expected = "gradcheck: input 0, element 0")]
    fn a_wrong_derivative_is_found() {
        check(6.1);
    }
}
