//! The recipe for people with few rows, some ten thousand to a few hundred thousand in Criteo's format: trains a DLRM with
//! several seeds, and prints the figures of each and their medians; with no arguments on generated rows.
//!
//! `cargo run --release --example few_rows -- --data rows.tsv`
//!
//! The flags are those of `criteo_kaggle` with other defaults, which were chosen with `--validate`, that is by the last
//! training day with the test day left alone:
//!
//! - Adagrad, one pass, small batches, and embeddings longer than 45 million rows would need.
//! - Ids seen once or twice share a row, and dense features are there as ids as well.
//! - The rows of a day are shuffled, the days stay in order: what was learned last is nearest to the test day.
//! - The learning rate falls to 0 in the last quarter, without which the last few batches decide how many clicks are
//!   predicted on the whole.
//! - A little L2 on touched rows.

mod support;

use clap::{CommandFactory, Parser};
use dlrm::data::criteo::Dataset;
use dlrm::data::source::Samples;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::metrics::Evaluation;
use dlrm::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::cache::check_text;
use support::columns::print_columns;
use support::flags::{Recipe, TrainFlags};
use support::training::{Trained, run};
use support::{fail, parse_args_of};

/// Generated rows of the default run.
const GENERATED_ROWS: u64 = 80_000;

/// One wide layer before the embeddings' length.
const RECIPE: Recipe = Recipe { hidden: &[256], sgd_lr: 0.1 };

/// Trains a DLRM on few rows in Criteo's format with several seeds, tests it on the last day, and prints the medians.
///
/// Without --data it generates rows.
#[derive(Parser)]
struct Args {
    /// Rows in order of time: label, 13 integers, 26 ids, tab-separated, plain, .gz or .zst.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Seeds of initial values and of the order of rows, a run for each.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", num_args = 1)]
    seeds: Vec<u64>,
    #[command(flatten)]
    train: TrainFlags,
}

impl Args {
    fn parse_with_defaults() -> Result<Args, ExitCode> {
        let default = |value: &'static str| move |flag: clap::Arg| flag.default_value(value);
        let bottom = "Widths of the bottom MLP from the 13 dense features to the embedding dim [default: \
                      13-256-(embedding dim)]";
        let json = "A file for each seed, such as FILE.1 for 1, to write one JSON object a line to for each evaluation";
        let model = "A file for each seed, such as FILE.1 for 1, to keep the model in at the end of the run";
        let report = "A page of HTML for each seed, such as FILE.1 for 1, to write in the end";
        let tensorboard = "A folder for TensorBoard, with a folder for each seed";
        let command = Args::command()
            .mut_arg("optimizer", default("adagrad"))
            .mut_arg("lr", |flag| flag.help("Learning rate").default_value("0.007"))
            .mut_arg("data_randomize", default("day"))
            .mut_arg("lr_decay_last", default("0.25"))
            .mut_arg("batch_size", default("64"))
            .mut_arg("embedding_dim", default("256"))
            .mut_arg("bottom_mlp", |flag| flag.help(bottom))
            .mut_arg("top_mlp", default("1024-1"))
            .mut_arg("min_count", default("3"))
            .mut_arg("dense_buckets", default("8"))
            .mut_arg("l2_embeddings", default("0.0005"))
            .mut_arg("full_test", |flag| flag.default_value("true").hide(true))
            .mut_arg("seed", |flag| flag.hide(true))
            .mut_arg("json", |flag| flag.help(json))
            .mut_arg("save_model", |flag| flag.help(model))
            .mut_arg("report", |flag| flag.help(report))
            .mut_arg("tensorboard", |flag| flag.help(tensorboard));
        parse_args_of(command)
    }
}

fn read(args: &Args) -> Result<Box<dyn Samples>> {
    let min_count = args.train.min_count.unwrap_or(1);
    match &args.data {
        Some(path) => Ok(Box::new(Dataset::read(&[path], min_count, args.train.bad_rows())?)),
        None => Ok(Box::new(Teacher::new(1, TeacherConfig::small()).dataset(GENERATED_ROWS, min_count)?.0)),
    }
}

/// `FILE.seed`.
fn numbered(path: &Path, seed: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{seed}"));
    name.into()
}

/// A run for each seed.
fn train(args: &mut Args) -> Result<Vec<Evaluation>> {
    if let Some(path) = &args.data {
        check_text(path)?;
    } else {
        eprintln!("no --data: generating {GENERATED_ROWS} rows in Criteo's format");
    }
    let (json, save_model) = (args.train.json.clone(), args.train.checkpoint.save_model.clone());
    let (tensorboard, report) = (args.train.watch.tensorboard.clone(), args.train.watch.report.clone());
    if args.train.ranks.mpi {
        return Err(Error::Config("--mpi: expected one run, and this is one a seed; criteo_kaggle takes it".into()));
    }
    let mut evaluations = Vec::new();
    for seed in args.seeds.clone() {
        eprintln!("seed {seed}");
        args.train.seed = seed;
        args.train.json = json.as_deref().map(|path| numbered(path, seed));
        args.train.watch.tensorboard = tensorboard.as_deref().map(|path| path.join(seed.to_string()));
        args.train.watch.report = report.as_deref().map(|path| numbered(path, seed));
        args.train.checkpoint.save_model = save_model.as_deref().map(|path| numbered(path, seed));
        args.train.check_files(args.data.as_slice())?;
        let trained = run(&args.train, &RECIPE, || read(args))?;
        evaluations.extend(trained.map(|Trained { record, .. }| record.evaluation));
    }
    Ok(evaluations)
}

/// The middle one, or the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

fn print_medians(seeds: &[u64], evaluations: &[Evaluation]) {
    let figures = |e: &Evaluation| [e.auc.unwrap_or(f64::NAN), e.logloss, e.calibration.unwrap_or(f64::NAN)];
    let cells = |name: String, figures: [f64; 3]| {
        let figures = figures.map(|figure| format!("{figure:.5}"));
        [vec![name], figures.to_vec()].concat()
    };
    let all: Vec<[f64; 3]> = evaluations.iter().map(figures).collect();
    let mut lines: Vec<_> = seeds.iter().zip(&all).map(|(seed, &of)| cells(format!("seed {seed}"), of)).collect();
    lines.push(cells("median".into(), [0, 1, 2].map(|i| median(all.iter().map(|of| of[i]).collect()))));
    println!();
    print_columns(&["", "AUC", "log loss", "calibration"], &lines);
}

fn main() -> ExitCode {
    let mut args = match Args::parse_with_defaults() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match train(&mut args) {
        Ok(evaluations) => {
            print_medians(&args.seeds, &evaluations);
            ExitCode::SUCCESS
        }
        Err(e) => fail(e),
    }
}
