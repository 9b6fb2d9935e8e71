//! Trains, tests, saves and loads a model, again and again, and says whether memory stays flat and every file is closed.
//!
//! `cargo run --release --example soak -- --minutes 30`

mod support;

use clap::Parser;
use dlrm::backend::{Cpu, LossKind};
use dlrm::checkpoint::{self, Checkpoint};
use dlrm::data::binary::RowFile;
use dlrm::data::criteo::TimeSplit;
use dlrm::data::preprocess::{Options, preprocess};
use dlrm::data::source::{Order, Prefetch, RowSource, Samples};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::memory::{anonymous, growth, open_handles, threads};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Schedule, Silent, Stopping, TrainOptions, Trainer};
use dlrm::{Error, Parameters, Result, Stream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::training::{AHEAD, TEST_BATCH};
use support::{cpu, positive, run_main};

/// By how much memory may grow from the second third of the cycles to the last.
const FLAT: f64 = 0.01;

/// Trains, tests, saves and loads a model, again and again; exit code 1 if memory grows or something stays open.
#[derive(Parser)]
struct Args {
    /// How long.
    #[arg(long, default_value_t = 30.0, value_parser = positive)]
    minutes: f64,
    /// Generated rows, which each cycle trains and tests on.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(7..=1 << 24))]
    rows: u32,
    /// Threads; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Seed of rows and initial values.
    #[arg(long, default_value_t = 123)]
    seed: u64,
}

/// What a process holds.
struct Held {
    anonymous: u64,
    handles: u64,
    threads: u64,
}

impl Held {
    fn now() -> Result<Held> {
        let held = || Some(Held { anonymous: anonymous()?, handles: open_handles()?, threads: threads()? });
        held().ok_or_else(|| Error::Config("this system does not tell what a process holds; Linux does".into()))
    }
}

/// Trains the model for one pass on the rows of a file, with tests, and puts one in its place that was saved and loaded.
fn cycle(trainer: &mut Trainer<Dlrm>, backend: &Arc<Cpu>, folder: &Path, seed: u64) -> Result<()> {
    let rows = RowFile::open(folder.join("rows"))?;
    let split = TimeSplit::of_days(rows.days().into_iter().map(|day| day as usize).collect());
    let split = split.expect("seven days of rows");
    let train = RowSource::new(&rows, split.train(), 128, Order::Shuffled(seed));
    let test = RowSource::new(&rows, split.test(true), TEST_BATCH, Order::InOrder);
    let schedule = Schedule { epochs: 1, test_freq: Some(50) };
    Prefetch::run(train, AHEAD, |train| {
        Prefetch::run(test, AHEAD, |test| trainer.train(train, test, schedule, &mut Silent))
    })?;
    let (path, config) = (folder.join("model.safetensors"), trainer.model().config().clone());
    checkpoint::save(&path, trainer.params(), &config, Some(rows.vocabulary_checksum()))?;
    let mut file = Checkpoint::open(&path)?;
    file.check_vocabulary(rows.vocabulary_checksum())?;
    let (_, loaded) = file.read(backend.clone(), |params, stream| Dlrm::new(&config, params, stream))?;
    let values = |params: &Parameters| params.tables().iter().map(|t| t.values().to_vec()).collect::<Vec<_>>();
    if values(&loaded) != values(trainer.params()) {
        return Err(Error::file(path, "what was loaded is not what was saved"));
    }
    trainer.replace_params(loaded);
    Ok(())
}

fn run(args: &Args) -> Result<()> {
    let (start, time) = (Instant::now(), Duration::from_secs_f64(60.0 * args.minutes.min(1e6)));
    let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let backend = cpu(args.threads.into())?;
    let mut trainer = trainer(args, &backend, folder.path())?;
    let mut held = Vec::new();
    println!("{:>7}{:>10}{:>14}{:>10}{:>10}", "cycle", "seconds", "memory, MB", "handles", "threads");
    while held.len() < 6 || start.elapsed() < time {
        cycle(&mut trainer, &backend, folder.path(), args.seed + held.len() as u64)?;
        let now = Held::now()?;
        let (seconds, mb) = (start.elapsed().as_secs_f64(), 1e-6 * now.anonymous as f64);
        held.push(now);
        println!(
            "{:>7}{seconds:>10.1}{mb:>14.2}{:>10}{:>10}",
            held.len(),
            held[held.len() - 1].handles,
            held[held.len() - 1].threads
        );
    }
    judge(&held)
}

fn judge(held: &[Held]) -> Result<()> {
    let series = |of: fn(&Held) -> u64| growth(&held.iter().map(of).collect::<Vec<_>>()).expect("six cycles or more");
    let [memory, handles, threads] = [series(|h| h.anonymous), series(|h| h.handles), series(|h| h.threads)];
    println!("from the second third of the cycles to the last, memory grew by {:.2} %", 100.0 * memory);
    let all = [("memory", memory, FLAT), ("open handles", handles, 0.0), ("threads", threads, 0.0)];
    match all.into_iter().find(|(_, growth, limit)| growth > limit) {
        None => Ok(()),
        Some((what, growth, limit)) => {
            let (growth, limit) = (100.0 * growth, 100.0 * limit);
            Err(Error::Config(format!("{what} grew by {growth:.2} %, expected at most {limit} %")))
        }
    }
}

/// A model for generated rows, which are in a binary dataset afterwards.
fn trainer(args: &Args, backend: &Arc<Cpu>, folder: &Path) -> Result<Trainer<Dlrm>> {
    let [text, output] = ["rows.tsv", "rows"].map(|name| folder.join(name));
    let teacher = Teacher::new(args.seed, TeacherConfig::small());
    let rows: Vec<u8> = teacher.blocks(args.rows.into(), |block| block.text).flatten().collect();
    std::fs::write(&text, rows).map_err(|e| Error::io(&text, e))?;
    preprocess(&Options::new(vec![text], output.clone()), &mut |_| ())?;
    let config = DlrmConfig::criteo_kaggle(RowFile::open(&output)?.num_embeddings());
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(args.seed))?;
    let trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(0.01), LossKind::BCE);
    let stopping = Stopping { patience: Some(1000), ..Stopping::default() };
    trainer.with_options(TrainOptions { stopping, clip_norm: Some(10.0), dropout: 0.1, ..TrainOptions::default() })
}

fn main() -> ExitCode {
    run_main(run)
}
