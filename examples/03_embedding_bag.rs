//! An embedding table with bags of ids: sums of rows, and a gradient that only the rows looked up have. Chapter 3 of the
//! guide; the paper's section 2.1.1, equations 1 and 2.
//!
//! ```sh
//! cargo run --example 03_embedding_bag
//! ```

use dlrm::backend::{Cpu, Pooling};
use dlrm::nn::EmbeddingBag;
use dlrm::{Gradients, JaggedTensor, Parameters, Stream, Tape};
use std::sync::Arc;

fn main() -> dlrm::Result<()> {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let bag = EmbeddingBag::new(&mut params, "colours", 1000, 2, Pooling::Sum, &mut Stream::native(1));
    // Numbers that are easy to add up: row i is [i, i/10].
    for (i, row) in params.tables_mut()[0].values_mut().chunks_mut(2).enumerate() {
        row.copy_from_slice(&[i as f32, i as f32 / 10.0]);
    }

    // Three samples: ids 3 and 5, none, and id 5 twice. Offsets say where each bag begins, and where the last ends.
    let ids = JaggedTensor::new(vec![3, 5, 5, 5], vec![0, 2, 2, 4], None)?;
    let mut tape = Tape::new(params.backend().clone());
    let pooled = bag.forward(&mut tape, &params, &ids);
    for (b, vector) in tape.value(pooled).as_slice().chunks(2).enumerate() {
        println!("sample {b}: ids {:?} make {vector:?}", ids.bag(b));
    }

    // S = AᵀW, so dW = A dS. Of the thousand rows two have a gradient, and no more is kept.
    let mut grads = Gradients::new(&params);
    tape.backward_from(pooled, &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], &params, &mut grads);
    let (rows, values) = grads.table(bag.table);
    for (row, gradient) in rows.iter().zip(values.chunks(2)) {
        println!("row {row}: gradient {gradient:?}");
    }
    Ok(())
}
