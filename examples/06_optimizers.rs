//! One problem, four optimizers: a table of which one row is met often and another seldom. Chapter 6 of the guide; the
//! paper's section 5.1 trains with the first two.
//!
//! ```sh
//! cargo run --example 06_optimizers
//! ```

use dlrm::backend::{Cpu, LossKind, Pooling};
use dlrm::nn::EmbeddingBag;
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::{Gradients, JaggedTensor, Parameters, Stream, Tape, ops};
use std::sync::Arc;

/// The logits of a frequent and a rare row after so many batches. A batch has 15 lookups of row 0, and every tenth one of
/// row 1; both mean a click.
fn train(rule: UpdateRule, lr: f32, batches: u32) -> dlrm::Result<[f32; 2]> {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let bag = EmbeddingBag::new(&mut params, "rows", 2, 1, Pooling::Sum, &mut Stream::native(1));
    params.tables_mut()[0].values_mut().fill(0.0);
    let mut tape = Tape::new(params.backend().clone());
    let mut grads = Gradients::new(&params);
    let mut optimizer = Optimizer::new(rule, &params);
    for batch in 0..batches {
        tape.clear();
        grads.clear();
        let last = u32::from(batch % 10 == 0);
        let ids = JaggedTensor::one_per_bag([[0; 15].as_slice(), &[last]].concat());
        let logits = bag.forward(&mut tape, &params, &ids);
        let labels = tape.input(&[16], &[1.0; 16]);
        let loss = ops::loss(&mut tape, LossKind::BCE, logits, labels);
        tape.backward(loss, &params, &mut grads);
        optimizer.step(&mut params, &grads, lr);
    }
    Ok([0, 1].map(|row| params.tables()[0].row(row)[0]))
}

fn main() -> dlrm::Result<()> {
    println!("{:<20}{:>8}{:>14}{:>14}", "logits after 200", "lr", "frequent row", "rare row");
    for (name, rule, lr) in [
        ("SGD", UpdateRule::Sgd, 0.1),
        ("Adagrad", UpdateRule::ADAGRAD, 0.1),
        ("row-wise Adagrad", UpdateRule::ROW_WISE_ADAGRAD, 0.1),
        ("Adam", UpdateRule::ADAM, 0.01),
    ] {
        let [frequent, rare] = train(rule, lr, 200)?;
        println!("{name:<20}{lr:>8}{frequent:>14.3}{rare:>14.3}");
    }
    println!("A row of one number has one sum of squares, so the two forms of Adagrad are the same here.");
    Ok(())
}
