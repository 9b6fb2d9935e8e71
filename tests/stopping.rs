//! Early stopping: when a run ends, what it says, and whose parameters the model has then.

use dlrm::backend::{Cpu, LossKind};
use dlrm::data::criteo::Dataset;
use dlrm::data::source::{Order, RowSource};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Observer, Record, Schedule, Stop, Stopping, TrainOptions, Trainer};
use dlrm::{Parameters, Stream};
use std::sync::Arc;

const SCHEDULE: Schedule = Schedule { epochs: 3, test_freq: Some(5) };

#[derive(Default)]
struct Watch {
    tests: usize,
    stop: Option<Stop>,
    restored: Option<u64>,
}

impl Observer for Watch {
    fn on_evaluation(&mut self, _: &Record) -> dlrm::Result<()> {
        self.tests += 1;
        Ok(())
    }

    fn on_stop(&mut self, stop: Stop) {
        self.stop = Some(stop);
    }

    fn on_restore(&mut self, record: &Record) {
        self.restored = Some(record.step);
    }
}

fn trainer(dataset: &Dataset, lr: f64, options: TrainOptions) -> Trainer<Dlrm> {
    let config = DlrmConfig {
        embedding_dim: 4,
        bottom_mlp: vec![8, 4],
        top_mlp: vec![8, 1],
        ..DlrmConfig::criteo_kaggle(dataset.num_embeddings().to_vec())
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1)).unwrap();
    let trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(lr), LossKind::BCE);
    trainer.with_options(options).unwrap()
}

/// A run in which 1800 rows are 18 batches a pass, tested every five steps and at the end of a pass.
fn run(lr: f64, stopping: Stopping, accumulate: u64) -> (Vec<Record>, Watch, Trainer<Dlrm>) {
    let (dataset, _) = Teacher::new(1, TeacherConfig::small()).dataset(2100, 1).unwrap();
    let mut trainer = trainer(&dataset, lr, TrainOptions { accumulate, stopping, ..TrainOptions::default() });
    let split = dataset.split();
    let mut train = RowSource::new(&dataset, split.train(), 100, Order::Shuffled(1));
    let mut test = RowSource::new(&dataset, split.test(true), 100, Order::InOrder);
    let mut watch = Watch::default();
    let records = trainer.train(&mut train, &mut test, SCHEDULE, &mut watch).unwrap();
    let last = &records.last().unwrap().evaluation;
    assert_eq!(trainer.evaluate(&mut test).unwrap(), *last, "the last record is of the model as it is");
    (records, watch, trainer)
}

fn steps(records: &[Record]) -> Vec<u64> {
    records.iter().map(|r| r.step).collect()
}

#[test]
fn without_a_reason_nothing_stops() {
    let (records, watch, _) = run(0.05, Stopping::default(), 1);
    assert_eq!(steps(&records), [5, 10, 15, 18, 20, 25, 30, 35, 36, 40, 45, 50, 54]);
    assert_eq!((watch.tests, watch.stop, watch.restored), (13, None, None));
    let mut highest = f64::NEG_INFINITY;
    for Record { evaluation, best, step, .. } in &records {
        assert_eq!(*best, evaluation.auc.unwrap() > highest, "step {step}");
        highest = highest.max(evaluation.auc.unwrap());
    }
    // Of 18 batches, four a step: the last step of a pass has two.
    assert_eq!(steps(&run(0.05, Stopping::default(), 4).0), [5, 10, 15]);
}

#[test]
fn a_threshold_stops_at_the_first_test_that_reaches_it() {
    let (records, ..) = run(0.05, Stopping::default(), 1);
    let aucs: Vec<f64> = records.iter().map(|r| r.evaluation.auc.unwrap()).collect();
    let threshold = aucs.iter().copied().fold(0.0, f64::max);
    let first = aucs.iter().position(|&auc| auc >= threshold).unwrap();
    let (stopped, watch, _) = run(0.05, Stopping { auc: Some(threshold), ..Stopping::default() }, 1);
    assert_eq!(steps(&stopped), steps(&records[..=first]));
    assert_eq!(watch.stop, Some(Stop::Auc { threshold }));
    assert_eq!(watch.stop.unwrap().to_string(), format!("the AUC has reached {threshold}"));

    let (stopped, watch, _) = run(0.05, Stopping { accuracy: Some(0.1), ..Stopping::default() }, 1);
    assert_eq!((steps(&stopped), watch.stop), (vec![5], Some(Stop::Accuracy { threshold: 0.1 })));
    let (_, watch, _) = run(0.05, Stopping { accuracy: Some(1.0), auc: Some(1.0), patience: None }, 1);
    assert_eq!((watch.tests, watch.stop), (13, None), "out of reach");
}

#[test]
fn patience_ends_at_the_model_of_the_best_test() {
    // Without learning, no test is better than the first.
    let (records, watch, _) = run(1e-30, Stopping { patience: Some(3), ..Stopping::default() }, 1);
    assert_eq!(steps(&records), [5, 10, 15, 18, 5], "three more tests, and the first again");
    assert_eq!((watch.tests, watch.restored), (4, Some(5)));
    assert_eq!(watch.stop.unwrap().to_string(), "3 tests without a higher AUC");

    // With rates far too high the model gets worse, and what is put back is another one.
    let (records, watch, trainer) = run(2.0, Stopping { patience: Some(2), ..Stopping::default() }, 1);
    let (last, tests) = records.split_last().unwrap();
    let best = tests.iter().rev().find(|r| r.best).unwrap();
    assert_eq!((last, watch.restored), (best, Some(best.step)));
    assert_ne!(last.evaluation, tests.last().unwrap().evaluation);
    assert!(trainer.steps() > best.step);
}

#[test]
fn a_run_that_ends_at_its_best_puts_nothing_back() {
    let (plain, ..) = run(0.05, Stopping::default(), 1);
    let (records, watch, _) = run(0.05, Stopping { patience: Some(100), ..Stopping::default() }, 1);
    let ends_at_its_best = plain.last().unwrap().best;
    assert_eq!(watch.restored.is_none(), ends_at_its_best);
    assert_eq!(steps(&records[..plain.len()]), steps(&plain));
    assert_eq!(watch.stop, None);
}
