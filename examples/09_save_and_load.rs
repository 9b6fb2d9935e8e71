//! A model to a file and back, to predict and to go on training.
//!
//! ```sh
//! cargo run --example 09_save_and_load
//! ```

use dlrm::backend::{Cpu, LossKind};
use dlrm::checkpoint::{self, Checkpoint};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, Error, JaggedTensor, Parameters, Predictor, Stream};
use std::sync::Arc;

fn main() -> dlrm::Result<()> {
    let backend = Arc::new(Cpu::new(1));
    let config = DlrmConfig { bottom_mlp: vec![8, 16], top_mlp: vec![8, 1], ..DlrmConfig::criteo_kaggle(vec![10, 20]) };
    let batch = Batch {
        dense: vec![0.5; 2 * 13],
        dense_features: 13,
        sparse: vec![JaggedTensor::one_per_bag(vec![3, 9]), JaggedTensor::one_per_bag(vec![19, 0])],
        labels: vec![1.0, 0.0],
    };
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1))?;
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
    let first = trainer.step(&batch)?;
    println!("trained: logits {:.6?}", trainer.predict(&batch)?);

    let folder = tempfile::tempdir().map_err(|e| Error::io("a folder for the model", e))?;
    let path = folder.path().join("model.safetensors");
    checkpoint::save(&path, trainer.params(), &config, None)?;
    let mut file = Checkpoint::open(&path)?;
    println!("the file knows the shape: {:?}", file.config::<DlrmConfig>()?.num_embeddings);

    // To predict.
    let mut predictor = Predictor::open(&path, backend.clone())?;
    println!("loaded:  logits {:.6?}", predictor.logits(&batch)?);

    // To train on: the layers are made again, and the file fills them.
    let (model, params) = file.read(backend, |params, stream| Dlrm::new(&config, params, stream))?;
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
    println!("loss before it was saved {first:.6}, when it goes on {:.6}", trainer.step(&batch)?);

    // What is wrong with a file is said in one line.
    std::fs::write(&path, "no model").map_err(|e| Error::io(&path, e))?;
    let error = Checkpoint::open(&path).expect_err("it is no model").to_string();
    println!("a damaged file: {}", error.replace(&*path.to_string_lossy(), "model.safetensors"));
    Ok(())
}
