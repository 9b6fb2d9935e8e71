//! Whatever the number of looks, a run is the same: each bit, and each call of the observer in its order.

use super::*;
use crate::backend::{Cpu, LossKind};
use crate::data::criteo::Dataset;
use crate::data::source::{BatchSource, Order, RowSource};
use crate::data::teacher::{Teacher, TeacherConfig};
use crate::error::Error;
use crate::nn::{Dlrm, DlrmConfig};
use crate::optim::{UpdateRule, schedule::LrPolicy};
use crate::parameters::Parameters;
use crate::random::Stream;
use crate::train::{Observer, OnNan, Progress, Record, Schedule, Skips, TrainOptions};
use std::sync::Arc;

/// What is wrong with a batch.
#[derive(Clone, Copy)]
enum Wrong {
    Number,
    Id,
    File,
}

/// Batches, by their numbers, and what is wrong with them.
type Wrongs = Vec<(u64, Wrong)>;

/// Batches of which some are spoiled.
struct Spoiled<'a> {
    source: RowSource<'a, Dataset>,
    wrong: &'a [(u64, Wrong)],
}

impl BatchSource for Spoiled<'_> {
    fn rows(&self) -> usize {
        self.source.rows()
    }

    fn position(&self) -> Position {
        self.source.position()
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        self.source.seek(position)
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        let at = self.position().rows / 20;
        let more = self.source.next_batch(batch)?;
        match self.wrong.iter().find(|(wrong, _)| more && *wrong == at).map(|(_, wrong)| wrong) {
            Some(Wrong::Number) => batch.dense[5] = f32::NAN,
            Some(Wrong::Id) => {
                batch.sparse[3].clear();
                (0..batch.len()).for_each(|_| batch.sparse[3].push_bag(&[u32::MAX]));
            }
            Some(Wrong::File) => return Err(Error::file("rows", "cut short")),
            None => (),
        }
        Ok(more)
    }
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
}

impl Observer for Log {
    fn on_step(&mut self, p: &Progress) {
        self.lines.push(format!("{} {} {:?} {} {} {:?}", p.step, p.rows, p.loss, p.lr, p.mean_loss, p.gradient_norms));
    }

    fn on_skip(&mut self, p: &Progress, error: &Error, skips: Skips) {
        self.lines.push(format!("{} {} {error} {skips:?}", p.step, p.rows));
    }

    fn wants_gradient_norms(&self, step: u64) -> bool {
        step.is_multiple_of(3)
    }

    fn on_parameters(&mut self, step: u64, params: &Parameters) -> Result<()> {
        self.lines.push(format!("{step} {:?}", params.norms()));
        Ok(())
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        self.lines.push(format!("{} {:?} {:?}", record.step, record.train_loss, record.evaluation));
        Ok(())
    }
}

/// Everything that can be seen of a run.
fn run(looks: usize, options: TrainOptions, wrong: &[(u64, Wrong)], rows: &Dataset) -> (Vec<String>, Vec<u32>) {
    let config = DlrmConfig {
        embedding_dim: 4,
        bottom_mlp: vec![8, 4],
        top_mlp: vec![8, 1],
        ..DlrmConfig::criteo_kaggle(rows.num_embeddings().to_vec())
    };
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(1)).unwrap();
    let mut trainer = Trainer::new(model, params, UpdateRule::ADAM, LrPolicy::constant(0.05), LossKind::BCE)
        .with_options(options)
        .unwrap();
    trainer.looks = looks;
    let split = rows.split();
    let mut train = Spoiled { source: RowSource::new(rows, split.train(), 20, Order::Shuffled(1)), wrong };
    let mut test = RowSource::new(rows, split.test(true), 64, Order::InOrder);
    let mut log = Log::default();
    let schedule = Schedule { epochs: 2, test_freq: Some(7) };
    let end = trainer.train(&mut train, &mut test, schedule, &mut log).map(|records| records.len());
    log.lines.push(format!("{:?} {} {:?}", end.map_err(|e| e.to_string()), trainer.steps(), trainer.skips()));
    let params = trainer.params();
    let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
    let numbers = dense.chain(params.tables().iter().flat_map(|t| t.values()));
    (log.lines, numbers.map(|x| x.to_bits()).collect())
}

#[test]
fn looks_change_nothing_but_the_time() {
    // 30 batches a pass.
    let rows = Teacher::new(1, TeacherConfig::small()).dataset(700, 1).unwrap().0;
    let stop = TrainOptions::default();
    let skip = TrainOptions { on_nan: OnNan::Skip, ..stop };
    let everything = TrainOptions {
        clip_norm: Some(0.05),
        l2_embeddings: 1e-3,
        dropout: 0.3,
        sparse_lr: Some(0.2),
        loss_threshold: 0.01,
        ..skip
    };
    let number = |batches: &[u64]| batches.iter().map(|&at| (at, Wrong::Number)).collect::<Wrongs>();
    let some = number(&[0, 3, 4, 15, 28, 29]);
    let many = number(&(5..17).collect::<Vec<_>>());
    let cases: [(TrainOptions, Wrongs, usize); 9] = [
        (stop, vec![], 0),
        (everything, vec![], 0),
        (stop, number(&[12]), 1),
        (skip, some.clone(), 0),
        (everything, some, 0),
        (skip, many, 1),
        (stop, vec![(11, Wrong::Id)], 1),
        (stop, vec![(11, Wrong::File)], 1),
        // What is wrong with the batch comes before what is wrong with the file.
        (stop, vec![(10, Wrong::Number), (11, Wrong::File)], 1),
    ];
    for (i, (options, wrong, errors)) in cases.into_iter().enumerate() {
        for accumulate in [1, 2, 3, 20] {
            let options = TrainOptions { accumulate, ..options };
            let expected = run(1, options, &wrong, &rows);
            let last = expected.0.last().unwrap();
            assert_eq!(usize::from(last.starts_with("Err")), errors, "{last}");
            for looks in [2, 5, 16] {
                let seen = run(looks, options, &wrong, &rows);
                assert_eq!(seen.0, expected.0, "case {i}, {accumulate} batches a step, {looks} looks");
                assert!(seen.1 == expected.1, "case {i}, {accumulate} batches a step, {looks} looks: parameters");
            }
        }
    }
}
