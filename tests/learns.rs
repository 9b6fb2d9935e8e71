//! End to end: generated rows through the real reader into the real training loop, and the model
//! finds what a linear one cannot.

use dlrm::backend::{Cpu, LossKind};
use dlrm::baseline::LogisticRegression;
use dlrm::data::criteo::DENSE_FEATURES;
use dlrm::data::source::{BatchSource, Order, RowSource};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::metrics::{Evaluator, Score, auc};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Schedule, Silent, Trainer};
use dlrm::{Batch, Parameters, Stream};
use std::sync::Arc;

#[test]
fn a_dlrm_comes_near_the_teacher_and_a_linear_model_does_not() {
    let (dataset, probabilities) = Teacher::new(123, TeacherConfig::small()).dataset(200_000, 1).unwrap();
    let (train, test) = (dataset.split().train(), dataset.split().test(true));
    let num_embeddings = dataset.num_embeddings();
    let labels: Vec<f32> = dataset.labels()[test.clone()].iter().map(|&l| f32::from(l)).collect();
    let ceiling = auc(&probabilities[test.clone()], &labels).unwrap();

    let config = DlrmConfig {
        bottom_mlp: vec![64, 16],
        top_mlp: vec![128, 64, 1],
        ..DlrmConfig::criteo_kaggle(num_embeddings.to_vec())
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(2)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(123)).unwrap();
    let mut trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(0.03), LossKind::BCE);
    let mut rows = RowSource::new(&dataset, train.clone(), 128, Order::Shuffled(1));
    let mut test_rows = RowSource::new(&dataset, test.clone(), 1024, Order::InOrder);
    let schedule = Schedule { epochs: 1, test_freq: Some(500) };
    let records = trainer.train(&mut rows, &mut test_rows, schedule, &mut Silent).unwrap();
    let steps = (train.len() as u64).div_ceil(128);
    assert_eq!(records.len() as u64, steps / 500 + 1, "a record each 500 steps and one at the end");
    let record = records.last().unwrap();
    assert_eq!((record.step, record.train_rows), (steps, train.len() as u64));
    let reached = record.evaluation.auc.unwrap();
    assert!(records[0].evaluation.auc.unwrap() < reached);

    let mut linear = LogisticRegression::new(DENSE_FEATURES, &num_embeddings, 0.05);
    linear.train(&mut RowSource::new(&dataset, train, 128, Order::Shuffled(1))).unwrap();
    let (mut evaluator, mut batch) = (Evaluator::new(Score::Probability), Batch::default());
    test_rows.start_epoch(0).unwrap();
    while test_rows.next_batch(&mut batch).unwrap() {
        let mut scores = Vec::new();
        linear.predict(&batch, &mut scores).unwrap();
        evaluator.push(&scores, &batch.labels);
    }
    let linear = evaluator.finish().auc.unwrap();
    println!("DLRM {reached}, linear {linear}, teacher {ceiling}");
    assert!(reached > linear + 0.04, "DLRM {reached}, linear {linear}");
    assert!((reached - 0.5) / (ceiling - 0.5) > 0.85, "DLRM {reached}, teacher {ceiling}");
}
