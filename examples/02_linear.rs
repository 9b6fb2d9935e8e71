//! A fully connected layer forward and backward, with numbers to check by hand. Chapter 2 of the guide; the paper's section
//! 2.1.4, equation 5.
//!
//! ```sh
//! cargo run --example 02_linear
//! ```

use dlrm::backend::{Activation, Cpu};
use dlrm::{Gradients, Parameters, Tape, Tensor, ops};
use std::sync::Arc;

fn main() {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let weight = params.add_dense("w", Tensor::from_slice(&[2, 3], &[1.0, 0.0, -1.0, 2.0, 1.0, 0.0])); // N × K
    let bias = params.add_dense("b", Tensor::from_slice(&[2], &[0.5, -4.0]));
    let mut tape = Tape::new(params.backend().clone());

    // Y = relu(X Wᵀ + b) of two samples of three numbers.
    let x = tape.variable(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 1.0, 0.0]);
    let y = ops::linear(&mut tape, &params, x, weight, Some(bias), Activation::Relu);
    println!("Y  = {:?}", tape.value(y).as_slice());

    // Backward from dY = 1 everywhere: dZ is 1 where Y is above 0, dX = dZ W, dW = dZᵀ X, db is the sum of dZ's rows.
    let mut grads = Gradients::new(&params);
    tape.backward_from(y, &[1.0; 4], &params, &mut grads);
    println!("dX = {:?}", tape.grad(x).unwrap().as_slice());
    println!("dW = {:?}", grads.dense(weight).unwrap().as_slice());
    println!("db = {:?}", grads.dense(bias).unwrap().as_slice());
}
