//! Training on rows: a planted teacher's, in Criteo's format, in memory. The paper's section 5.1, small.
//!
//! ```sh
//! cargo run --release --example 07_train_on_rows
//! ```

use dlrm::backend::{Cpu, LossKind};
use dlrm::data::source::{Order, RowSource};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Observer, Progress, Schedule, Trainer};
use dlrm::{Parameters, Stream};
use std::sync::Arc;

/// Prints the mean loss now and then. An observer can watch much more of a run.
struct Print;

impl Observer for Print {
    fn on_step(&mut self, progress: &Progress) {
        if progress.step.is_multiple_of(50) {
            println!("{:>6} rows: mean loss {:.4}", progress.rows, progress.mean_loss);
        }
    }
}

fn main() -> dlrm::Result<()> {
    // The first six of seven days train, the last tests. A file of Criteo's is read by `Dataset::read`.
    let (rows, _) = Teacher::new(1, TeacherConfig::small()).dataset(40_000, 1)?;
    let config = DlrmConfig {
        bottom_mlp: vec![64, 16],
        top_mlp: vec![64, 1],
        ..DlrmConfig::criteo_kaggle(rows.num_embeddings().to_vec())
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(2)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1))?;
    println!("{} rows, {} parameters", rows.rows(), params.count());

    let mut train = RowSource::new(&rows, rows.split().train(), 128, Order::Shuffled(1));
    let mut test = RowSource::new(&rows, rows.split().test(true), 1024, Order::InOrder);
    let schedule = Schedule { epochs: 1, test_freq: None };
    let mut trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(0.03), LossKind::BCE);
    let records = trainer.train(&mut train, &mut test, schedule, &mut Print)?;
    let tested = records[0].evaluation;
    println!("on the last day: log loss {:.4}, AUC {:.4}", tested.logloss, tested.auc.unwrap_or(f64::NAN));
    Ok(())
}
