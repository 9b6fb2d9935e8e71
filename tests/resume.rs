//! A run that is stopped after any step and goes on ends with the bits of one that never stopped.

use dlrm::backend::{Cpu, LossKind};
use dlrm::checkpoint::{Checkpoint, CheckpointDir};
use dlrm::data::criteo::Dataset;
use dlrm::data::source::{BatchSource, Order, Position, Prefetch, RowSource, Samples};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::nn::{Dlrm, DlrmConfig, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Checkpoints, Observer, OnNan, Record, Saved, Schedule, Setting, Stopping, TrainOptions, Trainer};
use dlrm::{Batch, Error, Parameters, Result, Stream};
use safetensors::SafeTensors;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// Everything a run depends on.
#[derive(Clone)]
struct Recipe {
    config: DlrmConfig,
    rule: UpdateRule,
    policy: LrPolicy,
    options: TrainOptions,
    order: Order,
    schedule: Schedule,
    batch_size: usize,
}

/// 18 steps of the 600 training rows, in two passes.
fn plain(dataset: &Dataset) -> Recipe {
    let config = DlrmConfig {
        embedding_dim: 4,
        bottom_mlp: vec![8, 4],
        top_mlp: vec![8, 1],
        ..DlrmConfig::criteo_kaggle(dataset.num_embeddings().to_vec())
    };
    Recipe {
        config,
        rule: UpdateRule::Sgd,
        policy: LrPolicy::constant(0.05),
        options: TrainOptions::default(),
        order: Order::Shuffled(1),
        schedule: Schedule { epochs: 2, test_freq: Some(4) },
        batch_size: 70,
    }
}

/// The optimizers, and everything else that a run has a state for.
fn recipes(dataset: &Dataset) -> Vec<Recipe> {
    let plain = plain(dataset);
    let decay = LrPolicy { base: 0.1, warmup_steps: 5, decay_start_step: 9, decay_steps: 6, ..LrPolicy::constant(0.1) };
    let everything = TrainOptions {
        accumulate: 2,
        clip_norm: Some(0.05),
        l2_embeddings: 1e-3,
        dropout: 0.3,
        dropout_seed: 7,
        sparse_lr: Some(0.2),
        loss_threshold: 0.01,
        stopping: Stopping { patience: Some(100), ..Stopping::default() },
        on_nan: OnNan::Stop,
    };
    let skipping = TrainOptions { on_nan: OnNan::Skip, ..TrainOptions::default() };
    let weighted = DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..plain.config.clone() };
    let impatient = Stopping { patience: Some(2), ..Stopping::default() };
    let (adagrad, adam) = (UpdateRule::ADAGRAD, UpdateRule::ADAM);
    let rowwise = Recipe { rule: UpdateRule::ROW_WISE_ADAGRAD, order: Order::ShuffledByDay(3), ..plain.clone() };
    let fast = Schedule { epochs: 3, test_freq: Some(2) };
    vec![
        Recipe { rule: adagrad, policy: decay, order: Order::InOrder, ..plain.clone() },
        rowwise.clone(),
        Recipe { config: weighted, ..rowwise },
        Recipe { rule: adam, options: everything, batch_size: 40, ..plain.clone() },
        Recipe {
            rule: adagrad,
            policy: LrPolicy::constant(1.0),
            options: TrainOptions { stopping: impatient, ..TrainOptions::default() },
            schedule: fast,
            ..plain.clone()
        },
        Recipe { rule: adagrad, options: skipping, ..plain.clone() },
        plain,
    ]
}

fn rows() -> Dataset {
    Teacher::new(1, TeacherConfig::small()).dataset(700, 1).unwrap().0
}

/// Interrupts a run after a step, or saves it and lets it go on.
#[derive(Default)]
struct Watch {
    stop_after: Option<u64>,
    step: u64,
    saved: Vec<Saved>,
    resumed: Option<(u64, Vec<Record>)>,
    failures: Vec<String>,
}

impl Observer for Watch {
    fn on_step(&mut self, progress: &dlrm::train::Progress) {
        self.step = progress.step;
    }

    fn on_resume(&mut self, step: u64, records: &[Record]) -> Result<()> {
        self.resumed = Some((step, records.to_vec()));
        Ok(())
    }

    fn on_save(&mut self, saved: &Saved) {
        self.saved.push(saved.clone());
    }

    fn on_save_failure(&mut self, error: &Error) {
        self.failures.push(error.to_string());
    }

    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|step| self.step >= step)
    }
}

fn open(folder: &Path, keep: usize) -> CheckpointDir {
    CheckpointDir::open(folder, NonZeroUsize::new(keep).unwrap()).unwrap()
}

/// Figures without the seconds, which no run has twice. (As text: NaN is not the same as NaN.)
fn timeless(records: &[Record]) -> Vec<String> {
    let timeless = |record: &Record| Record {
        rows_per_s: 0.0,
        train_seconds: 0.0,
        waited_seconds: 0.0,
        test_seconds: 0.0,
        ..record.clone()
    };
    records.iter().map(|record| format!("{:?}", timeless(record))).collect()
}

/// Batches of which some have a NaN, so that their steps are left out.
struct Spoiled<'a> {
    source: RowSource<'a, Dataset>,
    spoil: bool,
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
        let more = self.source.next_batch(batch)?;
        if self.spoil && more && self.position().rows / 70 % 3 == 1 {
            batch.dense[5] = f32::NAN;
        }
        Ok(more)
    }
}

/// What a run ends with: every bit of every parameter, and all figures.
#[derive(PartialEq, Debug)]
struct End {
    parameters: Vec<u32>,
    records: Vec<String>,
    steps: u64,
}

/// A run on `threads` threads: from the newest checkpoint in `folder` if there is one, else from the beginning.
fn run(recipe: &Recipe, rows: &Dataset, threads: usize, folder: Option<&Path>, watch: &mut Watch) -> Result<End> {
    run_with(recipe, rows, threads, folder, watch, Vec::new(), None)
}

fn run_with(
    recipe: &Recipe,
    rows: &Dataset,
    threads: usize,
    folder: Option<&Path>,
    watch: &mut (dyn Observer + Send),
    settings: Vec<Setting>,
    every: Option<u64>,
) -> Result<End> {
    let Recipe { config, rule, policy, options, order, schedule, batch_size } = recipe.clone();
    let backend = Arc::new(Cpu::new(threads));
    let dir = folder.map(|folder| open(folder, 2));
    let mut file = match &dir {
        Some(dir) => dir.newest(|e| panic!("{e}"))?,
        None => None,
    };
    let vocabulary = Some(Samples::vocabulary_checksum(rows));
    let mut checkpoints = dir.map(|dir| {
        let checkpoints = Checkpoints::new(dir, &config, vocabulary, settings);
        every.into_iter().fold(checkpoints, Checkpoints::every)
    });
    let make = |params: &mut Parameters, stream: &mut Stream| Dlrm::new(&config, params, stream);
    let (model, params) = match (&mut file, &checkpoints) {
        (Some(file), Some(checkpoints)) => {
            checkpoints.check(file)?;
            file.read(backend, make)?
        }
        _ => {
            let mut params = Parameters::new(backend);
            (make(&mut params, &mut Stream::native(1))?, params)
        }
    };
    let mut trainer = Trainer::new(model, params, rule, policy, LossKind::BCE).with_options(options)?;
    if let Some(file) = &mut file {
        trainer.resume(file)?;
    }
    let split = rows.split();
    let train = RowSource::new(rows, split.train(), batch_size, order);
    let train = Spoiled { source: train, spoil: options.on_nan == OnNan::Skip };
    let mut test = RowSource::new(rows, split.test(true), 64, Order::InOrder);
    let records = Prefetch::run(train, 3, |train| match &mut checkpoints {
        None => trainer.train(train, &mut test, schedule, watch),
        Some(checkpoints) => trainer.train_with_checkpoints(train, &mut test, schedule, watch, checkpoints),
    })?;
    let params = trainer.params();
    let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
    let numbers = params.tables().iter().flat_map(|t| t.values()).chain(dense);
    Ok(End { parameters: numbers.map(|x| x.to_bits()).collect(), records: timeless(&records), steps: trainer.steps() })
}

#[test]
fn stopped_after_any_step_it_ends_with_the_same_bits() {
    let rows = rows();
    for (i, recipe) in recipes(&rows).iter().enumerate() {
        let whole = run(recipe, &rows, 1, None, &mut Watch::default()).unwrap();
        let mut stopped = 0;
        for step in 1..=whole.steps {
            let folder = tempfile::tempdir().unwrap();
            let mut watch = Watch { stop_after: Some(step), ..Watch::default() };
            match run(recipe, &rows, 1 + step as usize % 3, Some(folder.path()), &mut watch) {
                Err(Error::Interrupted { step: at }) => {
                    // The last step of a pass may have fewer batches; it is done before anyone hears of it.
                    assert!(
                        at == step || (at == step + 1 && recipe.options.accumulate > 1),
                        "recipe {i}: {at}, {step}"
                    );
                    assert_eq!(watch.saved.last().map(|saved| saved.step), Some(at), "{:?}", watch.failures);
                    stopped += 1;
                }
                other => assert!(step + 1 >= whole.steps && other.unwrap() == whole, "recipe {i}, step {step}"),
            }
            let saved = watch.saved.last().unwrap().step;
            let mut watch = Watch::default();
            let end = run(recipe, &rows, 1 + i % 3, Some(folder.path()), &mut watch).unwrap();
            assert!(end == whole, "recipe {i} stopped after step {step}: {:?} not {:?}", end.records, whole.records);
            let (resumed, records) = watch.resumed.unwrap();
            assert_eq!((resumed, timeless(&records)), (saved, whole.records[..records.len()].to_vec()));
            assert_eq!(watch.failures, [""; 0]);
        }
        assert!(stopped >= whole.steps - 2, "recipe {i}: {stopped} of {}", whole.steps);
        let batches = rows.split().train().len().div_ceil(recipe.batch_size) as u64;
        let skipping = recipe.options.on_nan == OnNan::Skip;
        let early = whole.steps < recipe.schedule.epochs * batches.div_ceil(recipe.options.accumulate);
        assert!(
            early == (skipping || recipe.options.stopping.patience.is_some_and(|tests| tests < 100)),
            "recipe {i}: {}",
            whole.steps
        );
    }
}

#[test]
fn a_run_that_cannot_be_saved_goes_on_and_tries_again() {
    /// Takes the directory away at the first test, and puts it back at the third.
    struct Vandal<'a>(Watch, &'a Path, u64);

    impl Observer for Vandal<'_> {
        fn on_evaluation(&mut self, _: &Record) -> Result<()> {
            self.2 += 1;
            let away = self.1.with_extension("away");
            match self.2 {
                1 => std::fs::rename(self.1, away).unwrap(),
                3 => std::fs::rename(away, self.1).unwrap(),
                _ => (),
            }
            Ok(())
        }

        fn on_save(&mut self, saved: &Saved) {
            self.0.on_save(saved);
        }

        fn on_save_failure(&mut self, error: &Error) {
            self.0.on_save_failure(error);
        }
    }

    let rows = rows();
    let recipe = plain(&rows);
    let whole = run(&recipe, &rows, 1, None, &mut Watch::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut vandal = Vandal(Watch::default(), &path, 0);
    let end = run_with(&recipe, &rows, 2, Some(&path), &mut vandal, Vec::new(), Some(1)).unwrap();
    assert!(end == whole);
    let Watch { saved, failures, .. } = vandal.0;
    assert!(!failures.is_empty() && failures.iter().all(|line| line.contains("No such file")), "{failures:?}");
    assert!(saved.first().unwrap().step < 4 && saved.last().unwrap().step == whole.steps, "{saved:?}");
    assert_eq!(saved.len() + failures.len(), whole.steps as usize);
    let dir = open(&path, 2);
    assert_eq!(dir.newest(|e| panic!("{e}")).unwrap().unwrap().step().unwrap(), whole.steps);
}

#[test]
fn another_run_does_not_go_on_from_it() {
    let rows = rows();
    let recipe = plain(&rows);
    let folder = tempfile::tempdir().unwrap();
    let path = Some(folder.path());
    let setting = |value: &str| vec![("--flag".to_string(), value.to_string())];
    let mut watch = Watch { stop_after: Some(5), ..Watch::default() };
    run_with(&recipe, &rows, 1, path, &mut watch, setting("1"), None).unwrap_err();
    let recipe_with = |options: TrainOptions| Recipe { options, ..recipe.clone() };
    let clipped = recipe_with(TrainOptions { clip_norm: Some(1.0), ..TrainOptions::default() });
    let more_often = Schedule { test_freq: Some(3), ..recipe.schedule };
    for (other, settings, expected) in [
        (recipe.clone(), setting("2"), "was saved with --flag 1, and this run has 2: to go on it has to be the same"),
        (recipe.clone(), Vec::new(), "was saved with --flag 1, and this run has none"),
        (
            Recipe { rule: UpdateRule::ADAM, ..recipe.clone() },
            setting("1"),
            "was saved with the optimizer's rule Sgd, and",
        ),
        (Recipe { policy: LrPolicy::constant(0.5), ..recipe.clone() }, setting("1"), "with the learning-rate policy "),
        (clipped, setting("1"), "was saved with the training options "),
        (
            Recipe { schedule: more_often, ..recipe.clone() },
            setting("1"),
            "with steps between tests 4, and this run has 3",
        ),
        (
            Recipe {
                config: DlrmConfig { embedding_dim: 8, bottom_mlp: vec![8], ..recipe.config.clone() },
                ..recipe.clone()
            },
            setting("1"),
            "a model with bottom_mlp [8,4], that of this run has [8]",
        ),
    ] {
        let mut watch = Watch::default();
        let message = run_with(&other, &rows, 1, path, &mut watch, settings, None).unwrap_err().to_string();
        assert!(message.contains(expected) && watch.step == 0, "{message}");
    }
}

/// A small checkpoint of a run, in a folder of its own.
fn saved(recipe: &Recipe, rows: &Dataset) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch { stop_after: Some(6), ..Watch::default() };
    run(recipe, rows, 1, Some(folder.path()), &mut watch).unwrap_err();
    (folder, watch.saved.pop().unwrap().path)
}

#[test]
fn no_change_of_a_byte_and_no_cut_goes_unseen() {
    let rows = rows();
    let recipe = recipes(&rows).swap_remove(3);
    let (_folder, path) = saved(&recipe, &rows);
    let whole = std::fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let tensors = whole.len() - header;
    // Every byte of the header, and places all over the tensors, the last byte among them.
    let places: Vec<usize> = (0..header).chain((1..=500).map(|i| header + i * tensors / 500 - 1)).collect();
    let mut stream = Stream::native(3);
    let mut file = File::options().write(true).open(&path).unwrap();
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    for at in places {
        put(at, whole[at] ^ (1 << (stream.uniform() * 8.0) as u32));
        let message = Checkpoint::open(&path).and_then(|mut file| file.verify()).unwrap_err().to_string();
        assert!(message.starts_with(path.to_str().unwrap()) && message.lines().count() == 1, "byte {at}: {message}");
        put(at, whole[at]);
    }
    Checkpoint::open(&path).unwrap().verify().unwrap();
    // Ever shorter.
    for len in (0..50).rev().map(|i| i * header / 20).filter(|&len| len < whole.len()) {
        file.set_len(len as u64).unwrap();
        let message = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(message.contains("cut short") || message.contains("not a checkpoint"), "{len} bytes: {message}");
    }
}

#[test]
fn numbers_that_no_run_comes_to_are_refused() {
    let rows = rows();
    let recipe = plain(&rows);
    let (_folder, path) = saved(&recipe, &rows);
    let whole = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let (_, header) = SafeTensors::read_metadata(&whole).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    // Another program wrote it, and has no checksums.
    metadata.retain(|name, _| name != "header" && name != "numbers");
    let good = metadata["run"].clone();
    let mut resume = |run: String| {
        metadata.insert("run".into(), run);
        safetensors::serialize_to_file(tensors.iter(), Some(metadata.clone()), &path).unwrap();
        let mut file = Checkpoint::open(&path).unwrap();
        let make = |params: &mut Parameters, stream: &mut Stream| Dlrm::new(&recipe.config, params, stream);
        let (model, params) = file.read(Arc::new(Cpu::new(1)), make).unwrap();
        let mut trainer = Trainer::new(model, params, recipe.rule, recipe.policy, LossKind::BCE);
        trainer.resume(&mut file)?;
        let split = rows.split();
        let [mut train, mut test] = [split.train(), split.test(true)]
            .map(|range| RowSource::new(&rows, range, recipe.batch_size, recipe.order));
        trainer.train(&mut train, &mut test, recipe.schedule, &mut Watch::default())
    };
    resume(good.clone()).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&good).unwrap();
    let huge = u64::MAX.to_string();
    let mut refused = 0;
    for field in [
        "/steps",
        "/position/pass",
        "/position/rows",
        "/pass/epoch",
        "/pass/rows",
        "/pass/before/secs",
        "/pass/trained/secs",
        "/waited/secs",
        "/since_best",
        "/pass/loss_sum",
        "/settings",
        "/records",
        "/pass",
    ] {
        for value in ["0", "1", "1000", "1125899906842623", &huge, "-1", "1e999", "null", "[]", "\"x\""] {
            let Ok(value) = serde_json::from_str(value) else { continue };
            let mut changed = parsed.clone();
            *changed.pointer_mut(field).unwrap() = value;
            if let Err(e) = resume(changed.to_string()) {
                let message = e.to_string();
                assert!(
                    message.lines().count() == 1 && (message.contains("run") || message.contains(" rows into")),
                    "{field}: {message}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 80, "{refused}");
}
