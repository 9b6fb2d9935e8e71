//! An operation of one's own with its derivative, checked by finite differences, in a model that trains: a PReLU (He et al.
//! 2015), which learns the slope that ReLU has at zero. `src/ops` has those of this crate, one a file, in the same form.
//!
//! ```sh
//! cargo run --example 10_own_op
//! ```

use dlrm::backend::{Activation, Beta, Cpu, LossKind};
use dlrm::gradcheck::{GradCheck, gradcheck};
use dlrm::nn::Linear;
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::parameters::DenseId;
use dlrm::tape::{Backward, BackwardContext};
use dlrm::{Gradients, Parameters, Stream, Tape, Tensor, Var, ops};
use std::sync::Arc;

/// `Y = X` where `X > 0`, and else `a X`: what it remembers for the way back.
#[derive(Debug)]
struct PreluBackward {
    x: Var,
    slope: DenseId,
}

/// The way forward: the shape of the result, whether anyone needs its gradient, the node, and how it is computed.
fn prelu(tape: &mut Tape, params: &Parameters, x: Var, slope: DenseId) -> Var {
    let (shape, a) = (tape.value(x).shape(), params.get(slope).value().as_slice()[0]);
    tape.record(&shape, true, PreluBackward { x, slope }, |_, values, y| {
        let x = values.get(x).as_slice();
        y.as_mut_slice().iter_mut().zip(x).for_each(|(y, &x)| *y = if x > 0.0 { x } else { a * x });
    })
}

impl Backward for PreluBackward {
    /// `dX = dY` where `X > 0`, and else `a dY`; `da = Σ dY X` over the others.
    fn backward(&self, mut cx: BackwardContext<'_>) {
        let a = cx.params.get(self.slope).value().as_slice()[0];
        let (x, dy) = (cx.values.get(self.x).as_slice(), cx.grad_out.as_slice());
        let (da, beta) = cx.param_grads.contribute(self.slope, &[1]);
        let sum: f32 = x.iter().zip(dy).filter(|(x, _)| **x <= 0.0).map(|(x, dy)| x * dy).sum();
        put(&mut da.as_mut_slice()[0], beta, sum);
        if let Some((dx, beta)) = cx.grads.get(self.x) {
            let terms = dx.as_mut_slice().iter_mut().zip(x.iter().zip(dy));
            terms.for_each(|(dx, (&x, &dy))| put(dx, beta, if x > 0.0 { dy } else { a * dy }));
        }
    }
}

/// The first to contribute to a gradient overwrites what is there, each further one adds.
fn put(to: &mut f32, beta: Beta, value: f32) {
    *to = if beta == Beta::Zero { value } else { *to + value };
}

fn main() {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let slope = params.add_dense("slope", Tensor::from_slice(&[1], &[0.25]));
    let x = Tensor::from_slice(&[6], &[-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]);
    gradcheck(&mut params, &[x], GradCheck::default(), |tape, params, x| prelu(tape, params, x[0], slope));
    println!("the derivatives by x and by the slope are right");

    let last = Linear::new(&mut params, "last", 1, 1, Activation::None, &mut Stream::native(1));
    let mut optimizer = Optimizer::new(UpdateRule::Sgd, &params);
    let (mut tape, mut grads) = (Tape::new(params.backend().clone()), Gradients::new(&params));
    for step in 0..=200 {
        tape.clear();
        grads.clear();
        // A click where |x| is large: what ReLU could see on one side only.
        let x = tape.input(&[6, 1], &[-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]);
        let bent = prelu(&mut tape, &params, x, slope);
        let logits = last.forward(&mut tape, &params, bent);
        let labels = tape.input(&[6], &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let loss = ops::loss(&mut tape, LossKind::BCE, logits, labels);
        tape.backward(loss, &params, &mut grads);
        optimizer.step(&mut params, &grads, 1.0);
        if step % 50 == 0 {
            let (loss, slope) = (tape.value(loss).as_slice()[0], params.get(slope).value().as_slice()[0]);
            println!("step {step:>3}: loss {loss:.4}, slope {slope:.3}");
        }
    }
}
