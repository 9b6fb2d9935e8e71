//! The interaction: dot products of all pairs of vectors, as in a factorization machine. Chapter 4 of the guide; the paper's
//! sections 2.1.3 (equation 4) and 2.2.
//!
//! ```sh
//! cargo run --example 04_interaction
//! ```

use dlrm::backend::{Cpu, Interaction};
use dlrm::{Gradients, Parameters, Tape, ops};
use std::sync::Arc;

fn main() {
    let params = Parameters::new(Arc::new(Cpu::new(1)));
    let mut tape = Tape::new(params.backend().clone());
    // One sample: x from the bottom MLP, v₁ and v₂ from two tables.
    let x = tape.variable(&[1, 2], &[1.0, 2.0]);
    let pooled = tape.variable(&[1, 2, 2], &[3.0, 0.0, -1.0, 1.0]);
    for (kind, what) in [
        (Interaction::Dot, "x, v₁·x, v₂·x, v₂·v₁"),
        (Interaction::DotItself, "x, x·x, v₁·x, v₁·v₁, v₂·x, v₂·v₁, v₂·v₂"),
        (Interaction::Cat, "x, v₁, v₂"),
    ] {
        let z = ops::interaction(&mut tape, kind, Some(x), pooled);
        println!("{kind:?}: [{what}] = {:?}", tape.value(z).as_slice());
    }

    // z = v₂·v₁ gives dv₂ = v₁ and dv₁ = v₂; of the others nothing is asked for here.
    let z = ops::interaction(&mut tape, Interaction::Dot, Some(x), pooled);
    tape.backward_from(z, &[0.0, 0.0, 0.0, 0.0, 1.0], &params, &mut Gradients::new(&params));
    println!("gradient of v₂·v₁ by [v₁, v₂]: {:?}", tape.grad(pooled).unwrap().as_slice());

    // With many vectors there are far more pairs than vectors, but each is one number and not D × D of them.
    let pairs = |tables: usize| Interaction::Dot.width(true, tables, 16) - 16;
    println!("pairs of 3, 9 and 27 vectors: {}, {}, {}", pairs(2), pairs(8), pairs(26));
}
