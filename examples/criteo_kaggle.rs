//! Trains a DLRM on rows in Criteo's format and tests it; with no arguments on generated rows, of
//! which the best possible AUC is known.
//!
//! `cargo run --release --example criteo_kaggle -- --data train.txt`

mod support;

use clap::Parser;
use dlrm::baseline::LogisticRegression;
use dlrm::data::criteo::{DENSE_FEATURES, Dataset, DatasetBuilder, Labels, RowReader, TimeSplit};
use dlrm::data::preprocess::{Numbering, Options};
use dlrm::data::source::{BatchSource, Order, RowSource, Samples};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::metrics::{Evaluator, Score, auc};
use dlrm::{Batch, Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::change_flags::{RangeFlag, changed};
use support::flags::{Recipe, TrainFlags};
use support::training::{TEST_BATCH, Trained, run};
use support::{Meter, cache, run_main, say};

/// Generated rows of the default run.
const GENERATED_ROWS: u64 = 600_000;

/// Learning rate of the logistic regression beside the default run.
const BASELINE_LR: f32 = 0.05;

/// The reference's `bench/dlrm_s_criteo_kaggle.sh`.
const RECIPE: Recipe = Recipe { hidden: &[512, 256, 64], sgd_lr: 0.1 };

/// Trains a DLRM on rows in Criteo's format and tests it on later rows.
///
/// Defaults are those of the reference's Kaggle run. Without --data it generates rows from a
/// planted teacher, so that the best possible AUC is known.
#[derive(Parser)]
struct Args {
    /// Rows in order of time: label, 13 integers, 26 ids, tab-separated, plain, .gz or .zst; or a
    /// binary dataset. One is made of text, FILE.rows, and used again as long as the text stays.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Keep the rows of a text in memory, and make no binary dataset of them.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    range: RangeFlag,
    #[command(flatten)]
    train: TrainFlags,
}

impl Args {
    fn min_count(&self) -> u32 {
        self.train.min_count.unwrap_or(1)
    }
}

/// The rows of a file, by the way that fits it.
fn read(args: &Args, path: &Path) -> Result<Box<dyn Samples>> {
    if cache::is_binary(path)? {
        say(format_args!("reading {}", path.display()));
        let min_count = args.train.min_count.map(|count| count.to_string());
        return Ok(Box::new(cache::open(path, &[("--min-count", min_count)])?));
    }
    if args.no_cache || !path.is_file() {
        return Ok(Box::new(read_text(args, path)?));
    }
    let inputs = vec![path.to_owned()];
    let output = cache::beside(&inputs);
    let numbering = Numbering::Vocabulary { max_ind_range: 0, min_count: args.min_count() };
    let options = Options { numbering, bad_rows: args.train.bad_rows(), ..Options::new(inputs, output) };
    match cache::cached(&options) {
        Ok(file) => Ok(Box::new(file)),
        Err(Error::Io { path: of, source }) if of != path => {
            say(format_args!("warning: {}: {source}; no binary dataset, the rows stay in memory", of.display()));
            Ok(Box::new(read_text(args, path)?))
        }
        Err(e) => Err(e),
    }
}

fn read_text(args: &Args, path: &Path) -> Result<Dataset> {
    say(format_args!("reading {}", path.display()));
    let mut reader = RowReader::open(path, Labels::Present, args.train.bad_rows())?;
    let mut builder = DatasetBuilder::default();
    let mut meter = Meter::new("reading", None);
    builder.read(&mut reader, |rows| meter.update(rows as u64, String::new))?;
    meter.finish();
    let dataset = builder.finish(args.min_count(), path)?;
    if dataset.skipped() > 0 {
        say(format_args!("warning: {} bad rows were skipped", dataset.skipped()));
    }
    Ok(dataset)
}

/// Generated rows, and the probability of each.
fn generate(args: &Args) -> Result<(Dataset, Vec<f32>)> {
    say(format_args!("no --data: generating {GENERATED_ROWS} rows in Criteo's format"));
    Teacher::new(args.train.seed, TeacherConfig::small()).dataset(GENERATED_ROWS, args.min_count())
}

/// The labels of some rows, and what a linear model that was trained on others makes of them.
fn linear_model(args: &Args, rows: &dyn Samples, split: &TimeSplit) -> Result<(Vec<f32>, Option<f64>)> {
    let mut linear = LogisticRegression::new(DENSE_FEATURES, &rows.num_embeddings(), BASELINE_LR);
    linear.train(&mut RowSource::new(rows, split.train(), TEST_BATCH, Order::Shuffled(args.train.seed)))?;
    let (mut labels, mut scores, mut evaluator) = (Vec::new(), Vec::new(), Evaluator::new(Score::Probability));
    let mut source = RowSource::new(rows, split.test(args.train.full_test), TEST_BATCH, Order::InOrder);
    let mut batch = Batch::default();
    while source.next_batch(&mut batch)? {
        scores.clear();
        linear.predict(&batch, &mut scores)?;
        evaluator.push(&scores, &batch.labels);
        labels.extend_from_slice(&batch.labels);
    }
    Ok((labels, evaluator.finish().auc))
}

/// How well one can do on generated test rows: the teacher itself, and a linear model.
fn print_marks(model: &str, ceiling: Option<f64>, linear: Option<f64>, test_auc: Option<f64>) {
    println!("\nThe rows were generated, so the best possible AUC is known:");
    let mark =
        |name: &str, auc: Option<f64>| println!("  {name:<34}{:>12}", auc.map_or("-".into(), |a| format!("{a:.5}")));
    mark("logistic regression", linear);
    mark(model, test_auc);
    mark("the teacher itself", ceiling);
    if let (Some(auc), Some(ceiling)) = (test_auc, ceiling) {
        println!("  {:<34}{:>10.1} %", "way from 0.5 to the teacher", 100.0 * (auc - 0.5) / (ceiling - 0.5));
    }
}

fn train(args: &Args) -> Result<()> {
    args.train.check_files(args.data.as_slice())?;
    let mut probabilities = None;
    let read = || {
        let rows: Box<dyn Samples> = match &args.data {
            Some(path) => read(args, path)?,
            None => {
                let (dataset, of_rows) = generate(args)?;
                probabilities = Some(of_rows);
                Box::new(dataset)
            }
        };
        Ok(changed(rows, args.range.change()))
    };
    let Some(Trained { model, rows, split, record }) = run(&args.train, &RECIPE, read)? else { return Ok(()) };
    if let Some(probabilities) = probabilities {
        let (labels, linear) = linear_model(args, &*rows, &split)?;
        let ceiling = auc(&probabilities[split.test(args.train.full_test)], &labels);
        print_marks(model, ceiling, linear, record.evaluation.auc);
    }
    Ok(())
}

fn main() -> ExitCode {
    run_main(train)
}
