//! The tape alone: values forward, gradients backward. Chapter 1 of the guide (`dlrm::guide`).
//!
//! ```sh
//! cargo run --example 01_tape
//! ```

use dlrm::backend::Cpu;
use dlrm::{Gradients, Parameters, Tape, ops};
use std::sync::Arc;

fn main() {
    let params = Parameters::new(Arc::new(Cpu::new(1))); // none is needed here: both numbers are variables
    let mut tape = Tape::new(params.backend().clone());

    // y = a·b + a, so dy/da = b + 1 and dy/db = a.
    let a = tape.variable(&[1], &[2.0]);
    let b = tape.variable(&[1], &[3.0]);
    let ab = ops::mul(&mut tape, a, b);
    let y = ops::add(&mut tape, ab, a);
    tape.backward(y, &params, &mut Gradients::new(&params));
    let [value, by_a, by_b] = [tape.value(y), tape.grad(a).unwrap(), tape.grad(b).unwrap()].map(|t| t.as_slice()[0]);
    println!("y = a·b + a at a = 2, b = 3:  y = {value}, dy/da = {by_a}, dy/db = {by_b}");

    // The tape is cleared and recorded again for each new value. Here it looks for the root of x² = 2, by Newton's method.
    let mut x = 1.0;
    for _ in 0..5 {
        tape.clear();
        let at = tape.variable(&[1], &[x]);
        let square = ops::mul(&mut tape, at, at);
        tape.backward(square, &params, &mut Gradients::new(&params));
        x -= (tape.value(square).as_slice()[0] - 2.0) / tape.grad(at).unwrap().as_slice()[0];
    }
    println!("x² = 2 at x = {x:.6}");
}
