//! What a record says about waiting for data is what the training rows' source says, from the first step on.

use dlrm::backend::{Cpu, LossKind};
use dlrm::data::criteo::Dataset;
use dlrm::data::source::{BatchSource, Order, Position, RowSource};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Report, Schedule, Silent, Trainer};
use dlrm::{Batch, Parameters, Result, Stream};
use std::sync::Arc;
use std::time::Duration;

/// Says that it waited a second for each batch.
struct Slow<'a>(RowSource<'a, Dataset>, u32);

impl BatchSource for Slow<'_> {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn position(&self) -> Position {
        self.0.position()
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.0.seek(position)
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        let more = self.0.next_batch(batch)?;
        self.1 += u32::from(more);
        Ok(more)
    }

    fn waited(&self) -> Duration {
        self.1 * Duration::from_secs(1)
    }
}

#[test]
fn each_record_has_the_wait_until_then() {
    let (dataset, _) = Teacher::new(1, TeacherConfig::small()).dataset(700, 1).unwrap();
    let config = DlrmConfig {
        embedding_dim: 4,
        bottom_mlp: vec![4],
        top_mlp: vec![1],
        ..DlrmConfig::criteo_kaggle(dataset.num_embeddings().to_vec())
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1)).unwrap();
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.01), LossKind::BCE);
    let source = |rows, order| Slow(RowSource::new(&dataset, rows, 100, order), 0);
    let mut train = source(dataset.split().train(), Order::Shuffled(1));
    let mut test = source(dataset.split().test(true), Order::InOrder);
    // Before the run.
    assert!(train.next_batch(&mut Batch::default()).unwrap() && train.waited() == Duration::from_secs(1));

    let schedule = Schedule { epochs: 2, test_freq: Some(4) };
    let records = trainer.train(&mut train, &mut test, schedule, &mut Silent).unwrap();
    let waits: Vec<(u64, f64)> = records.iter().map(|record| (record.step, record.waited_seconds)).collect();
    assert_eq!(waits, [(4, 4.0), (6, 6.0), (8, 8.0), (12, 12.0)]);
    let report = Report { record: &records[3], rows: 1200, reading: Duration::ZERO }.to_string();
    assert!(
        report.lines().any(|line| line.trim() == format!("{:<34}{:>12}", "waited for data", "12.00 s")),
        "{report}"
    );
}
