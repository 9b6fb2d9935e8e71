//! The whole model on a batch of two rows: logits, probabilities, loss, gradients, one step. Chapter 5 of the guide; the
//! paper's section 2.2, figure 1.
//!
//! ```sh
//! cargo run --example 05_whole_model
//! ```

use dlrm::backend::{Cpu, LossKind};
use dlrm::nn::{Dlrm, DlrmConfig, Model};
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::{Batch, Gradients, JaggedTensor, Parameters, Stream, Tape, ops};
use std::sync::Arc;

fn main() -> dlrm::Result<()> {
    // Three dense features, two tables of five and four rows of two numbers.
    let config = DlrmConfig {
        dense_features: 3,
        embedding_dim: 2,
        bottom_mlp: vec![4, 2],
        top_mlp: vec![4, 1],
        ..DlrmConfig::criteo_kaggle(vec![5, 4])
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1))?;
    for parameter in params.dense() {
        println!("{:<16}{:?}", parameter.name(), parameter.shape());
    }
    for table in params.tables() {
        println!("{:<16}[{}, {}]", table.name(), table.num_embeddings(), table.embedding_dim());
    }
    let batch = Batch {
        dense: vec![0.5, 1.0, 0.0, 2.0, 0.0, 1.0],
        dense_features: 3,
        sparse: vec![JaggedTensor::one_per_bag(vec![4, 0]), JaggedTensor::one_per_bag(vec![1, 1])],
        labels: vec![1.0, 0.0],
    };
    model.check(&batch)?;

    let mut tape = Tape::new(params.backend().clone());
    let mut grads = Gradients::new(&params);
    let mut optimizer = Optimizer::new(UpdateRule::Sgd, &params);
    for when in ["before", "after a step of SGD"] {
        tape.clear();
        grads.clear();
        let logits = model.forward(&mut tape, &params, &batch);
        let probabilities = ops::sigmoid(&mut tape, logits);
        let labels = tape.input(&[2], &batch.labels);
        let loss = ops::loss(&mut tape, LossKind::BCE, logits, labels);
        println!("\n{when}");
        println!("  logits        {:.4?}", tape.value(logits).as_slice());
        println!("  probabilities {:.4?} for labels {:?}", tape.value(probabilities).as_slice(), batch.labels);
        println!("  loss          {:.4}", tape.value(loss).as_slice()[0]);
        tape.backward(loss, &params, &mut grads);
        println!(
            "  rows of emb_l.1 with a gradient: {:?}",
            grads.table(params.find_table("emb_l.1.weight").unwrap()).0
        );
        optimizer.step(&mut params, &grads, 0.5);
    }
    Ok(())
}
