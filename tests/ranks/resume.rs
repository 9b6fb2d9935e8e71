//! A run of several ranks that has stopped goes on, on as many ranks or on others.

use super::checkpoints::on_ranks;
use super::trainer::Numbered;
use super::{Share, close, config, placement};
use dlrm::backend::{Cpu, LossKind, Pooling};
use dlrm::checkpoint::{self, Checkpoint, CheckpointDir};
use dlrm::comm::Communicator;
use dlrm::data::source::Position;
use dlrm::nn::{Dlrm, Model};
use dlrm::optim::UpdateRule;
use dlrm::optim::schedule::LrPolicy;
use dlrm::train::{Checkpoints, Observer, Progress, Record, Saved, Schedule, Stopping, TrainOptions, Trainer};
use dlrm::{Error, Parameters, Result, Stream};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone, Copy)]
struct Recipe {
    rule: UpdateRule,
    options: TrainOptions,
}

/// Two passes of 8 steps.
const SCHEDULE: Schedule = Schedule { epochs: 2, test_freq: Some(3) };
const STEPS: u64 = 16;

fn recipe(rule: UpdateRule) -> Recipe {
    Recipe { rule, options: TrainOptions::default() }
}

/// The best parameters are kept, and whatever else a run has a state for.
fn everything() -> Recipe {
    let options = TrainOptions {
        clip_norm: Some(0.5),
        dropout: 0.2,
        stopping: Stopping { patience: Some(50), ..Stopping::default() },
        ..TrainOptions::default()
    };
    Recipe { rule: UpdateRule::ADAM, options }
}

#[derive(Debug, Default, PartialEq)]
struct Watch {
    /// Rank 0 is asked to end after this step.
    stop: Option<u64>,
    step: u64,
    saved: Vec<u64>,
    failures: Vec<String>,
}

impl Observer for Watch {
    fn on_step(&mut self, progress: &Progress) {
        self.step = progress.step;
    }

    fn on_save(&mut self, saved: &Saved) {
        self.saved.push(saved.step);
    }

    fn on_save_failure(&mut self, error: &Error) {
        self.failures.push(error.to_string());
    }

    fn interrupted(&self) -> bool {
        self.stop.is_some_and(|step| self.step >= step)
    }
}

/// What a rank ends with.
#[derive(Debug, PartialEq)]
struct End {
    /// Why it ended early, if it did.
    error: Option<String>,
    records: Vec<String>,
    saved: Vec<u64>,
    /// Which steps it made itself.
    steps: std::ops::Range<u64>,
}

/// Figures without the seconds.
fn timeless(record: &Record) -> String {
    let [rows_per_s, train_seconds, waited_seconds, test_seconds] = [0.0; 4];
    format!("{:?}", Record { rows_per_s, train_seconds, waited_seconds, test_seconds, ..record.clone() })
}

type Rank = Option<(Arc<Communicator>, Share)>;

/// Trains from the newest checkpoint in `folder`, or from the beginning, and keeps the model in `model` if it ends well.
fn train(recipe: Recipe, folder: &Path, model_file: &Path, rank: Rank, stop: Option<u64>) -> Result<End> {
    let config = config(Pooling::Sum);
    let [number, size] = rank.as_ref().map_or([0, 1], |(comm, _)| [comm.rank(), comm.size()]);
    let keep = NonZeroUsize::new(2).unwrap();
    let dir = match &rank {
        None => CheckpointDir::open(folder, keep)?,
        Some((comm, _)) => CheckpointDir::open_on_ranks(folder, keep, comm.clone())?,
    };
    let mut file = dir.newest(|e| panic!("{e}"))?;
    let mut checkpoints = Checkpoints::new(dir, &config, None, Vec::new()).every(2);
    let make = |params: &mut Parameters, stream: &mut Stream| match &rank {
        None => Dlrm::new(&config, params, stream),
        Some((comm, share)) => Dlrm::sharded(&config, placement(*share, size), comm.clone(), params, stream),
    };
    let backend = Arc::new(Cpu::new(1));
    let (model, params) = match &mut file {
        Some(file) => {
            checkpoints.check(file)?;
            file.read(backend, make)?
        }
        None => {
            let mut params = Parameters::new(backend);
            (make(&mut params, &mut Stream::native(7))?, params)
        }
    };
    let Recipe { rule, options } = recipe;
    let mut trainer =
        Trainer::new(model, params, rule, LrPolicy::constant(0.05), LossKind::BCE).with_options(options)?;
    if let Some(file) = &mut file {
        trainer.resume(file)?;
    }
    let first = trainer.steps();
    let source =
        |samples| Numbered { samples, batch: 20, rank: [number, size], position: Position::default(), bad: None };
    let (mut rows, mut test) = (source(153), source(53));
    let mut watch = Watch { stop: stop.filter(|_| number == 0), ..Watch::default() };
    let trained = trainer.train_with_checkpoints(&mut rows, &mut test, SCHEDULE, &mut watch, &mut checkpoints);
    assert_eq!(watch.failures, [""; 0]);
    let (error, records) = match trained {
        Ok(records) => (None, records.iter().map(timeless).collect()),
        Err(e) => (Some(e.to_string()), Vec::new()),
    };
    if error.is_none() {
        match trainer.model().shards() {
            None => checkpoint::save(model_file, trainer.params(), &config, None)?,
            Some(shards) => checkpoint::save_sharded(model_file, trainer.params(), shards, &config, None)?,
        }
    }
    Ok(End { error, records, saved: watch.saved, steps: first..trainer.steps() })
}

/// The same on so many ranks, which all end with the same; or in one process that is none.
fn run(recipe: Recipe, folder: &Path, model_file: &Path, ranks: Option<(usize, Share)>, stop: Option<u64>) -> End {
    let mut all = match ranks {
        None => vec![train(recipe, folder, model_file, None, stop).unwrap()],
        Some((ranks, share)) => {
            on_ranks(ranks, |comm| train(recipe, folder, model_file, Some((comm, share)), stop).unwrap())
        }
    };
    assert!(all.iter().all(|end| *end == all[0]), "{all:?}");
    all.remove(0)
}

/// A folder with what is in another.
fn copy(folder: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn numbers(model: &Path) -> Vec<f32> {
    let config = config(Pooling::Sum);
    let make = |params: &mut Parameters, stream: &mut Stream| Dlrm::new(&config, params, stream);
    let (_, params) = Checkpoint::open(model).unwrap().read(Arc::new(Cpu::new(1)), make).unwrap();
    let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
    params.tables().iter().flat_map(|t| t.values()).chain(dense).copied().collect()
}

/// Runs whole, then stops one after some steps and goes on: with the same bits where it was, with the same numbers within
/// `tolerance` on the others.
fn stopped_and_gone_on(
    recipe: Recipe,
    first: Option<(usize, Share)>,
    others: &[Option<(usize, Share)>],
    tolerance: f32,
) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = run(recipe, &at("whole"), &at("whole model"), first, None);
    assert_eq!((&whole.error, whole.steps.clone()), (&None, 0..STEPS));
    let expected = fs::read(at("whole model")).unwrap();
    for stop in [3, 8, 13] {
        let kept = at(&format!("kept {stop}"));
        let stopped = run(recipe, &kept, &at("model"), first, Some(stop));
        let message = stopped.error.expect("somebody asked for it");
        assert!(message.starts_with("interrupted after step "), "{message}");
        assert_eq!(stopped.saved.last(), Some(&stopped.steps.end));
        for (i, again) in std::iter::once(&first).chain(others).enumerate() {
            let (own, what) =
                (at(&format!("{stop} {i}")), format!("{recipe:?}, {first:?} until {stop}, then {again:?}"));
            copy(&kept, &own);
            let end = run(recipe, &own, &at("model"), *again, None);
            assert_eq!((&end.error, end.steps.clone()), (&None, stopped.steps.end..STEPS), "{what}");
            if i == 0 {
                assert!(fs::read(at("model")).unwrap() == expected, "{what}");
                assert_eq!(end.records, whole.records, "{what}");
            } else {
                close(&what, &numbers(&at("model")), &numbers(&at("whole model")), tolerance);
            }
        }
    }
}

const ONE: Option<(usize, Share)> = None;

#[test]
fn ranks_go_on_where_they_stopped_and_so_do_others() {
    let others = [ONE, Some((2, Share::Planned)), Some((4, Share::Last))];
    for rule in [UpdateRule::Sgd, UpdateRule::ADAGRAD] {
        stopped_and_gone_on(recipe(rule), Some((3, Share::Cut)), &others, 1e-4);
    }
    stopped_and_gone_on(recipe(UpdateRule::ROW_WISE_ADAGRAD), Some((3, Share::Planned)), &others, 1e-4);
}

#[test]
fn one_process_goes_on_on_ranks() {
    stopped_and_gone_on(
        recipe(UpdateRule::ADAGRAD),
        ONE,
        &[Some((1, Share::Cut)), Some((4, Share::SmallEverywhere))],
        1e-4,
    );
}

#[test]
fn a_run_with_all_there_is_goes_on_on_the_same_ranks() {
    // Adam's steps are of one length where gradients are almost nothing, so the last bit of a sum is no longer small.
    stopped_and_gone_on(everything(), Some((3, Share::Cut)), &[], 0.0);
    stopped_and_gone_on(everything(), Some((2, Share::SmallEverywhere)), &[], 0.0);
}

/// Names and shapes of all that is in a file.
fn tensors(file: &Path) -> Vec<(String, serde_json::Value)> {
    let bytes = fs::read(file).unwrap();
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    tensors.map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
}

#[test]
fn ranks_keep_what_one_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [UpdateRule::Sgd, UpdateRule::ADAGRAD, UpdateRule::ROW_WISE_ADAGRAD];
    for (i, recipe) in rules.map(recipe).into_iter().chain([everything()]).enumerate() {
        let [one, many] = ["one", "many"].map(|name| folder.path().join(format!("{name} {i}")));
        let model = folder.path().join("model");
        run(recipe, &one, &model, None, None);
        let end = run(recipe, &many, &model, Some((4, Share::Planned)), None);
        assert_eq!(end.saved.last(), Some(&STEPS));
        let last = |folder: &Path| folder.join(format!("step-{STEPS:010}.safetensors"));
        assert_eq!(tensors(&last(&many)), tensors(&last(&one)), "{recipe:?}");
    }
}

#[test]
fn what_cannot_be_is_said_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let end = run(recipe(UpdateRule::ROW_WISE_ADAGRAD), &path, folder.path(), Some((2, Share::Cut)), None);
    assert_eq!(
        end.error.unwrap(),
        "ranks: table 2 is cut between columns, expected whole rows for row-wise Adagrad, which remembers one number a row"
    );
    assert!(!path.exists());

    // A directory that is not that of the ranks.
    let said = on_ranks(2, |comm| {
        let (config, mut params) = (config(Pooling::Sum), Parameters::new(Arc::new(Cpu::new(1))));
        let dir = CheckpointDir::open(path.join(comm.rank().to_string()), NonZeroUsize::MIN).unwrap();
        let mut checkpoints = Checkpoints::new(dir, &config, None, Vec::new());
        let (placement, rank) = (placement(Share::Last, 2), [comm.rank(), 2]);
        let model = Dlrm::sharded(&config, placement, comm, &mut params, &mut Stream::native(7)).unwrap();
        let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
        let source = || Numbered { samples: 53, batch: 20, rank, position: Position::default(), bad: None };
        let (mut rows, mut test, mut watch) = (source(), source(), Watch::default());
        trainer
            .train_with_checkpoints(&mut rows, &mut test, SCHEDULE, &mut watch, &mut checkpoints)
            .unwrap_err()
            .to_string()
    });
    for (rank, message) in said.iter().enumerate() {
        let expected = "of this process alone, expected a directory that is open on all ranks of the model";
        assert_eq!(*message, format!("{}: {expected}", path.join(rank.to_string()).display()));
    }
}
