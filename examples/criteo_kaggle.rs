//! Trains a DLRM on rows in Criteo's format and tests it; with no arguments on generated rows, of
//! which the best possible AUC is known.
//!
//! `cargo run --release --example criteo_kaggle -- --data train.txt`

mod support;

use clap::{Parser, ValueEnum};
use dlrm::backend::{Backend, Cpu, Interaction, LossKind};
use dlrm::baseline::LogisticRegression;
use dlrm::data::criteo::{BadRows, DENSE_FEATURES, Dataset, DatasetBuilder, Labels, RowReader};
use dlrm::data::source::{BatchSource, DatasetSource, Order};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::metrics::{Evaluation, Evaluator, Score, auc};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{Observer, Progress, Record, Report, Schedule, Trainer};
use dlrm::{Batch, Error, Parameters, Result, Stream};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Meter, Widths, cpu, fail, parse_args, positive};

/// Generated rows of the default run.
const GENERATED_ROWS: u64 = 600_000;

/// Rows a batch when testing: only memory depends on it.
const TEST_BATCH: usize = 2048;

/// Learning rate of the logistic regression beside the default run.
const BASELINE_LR: f32 = 0.05;

/// Trains a DLRM on rows in Criteo's format and tests it on later rows.
///
/// Defaults are those of the reference's Kaggle run. Without --data it generates rows from a
/// planted teacher, so that the best possible AUC is known.
#[derive(Parser)]
struct Args {
    /// Rows: label, 13 integers, 26 ids, tab-separated, in order of time; plain or .gz.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// How gradients change parameters.
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    optimizer: OptimizerName,
    /// Learning rate [default: 0.1 for sgd, 0.02 for adagrad and rowwise-adagrad, 0.001 for adam].
    #[arg(long, value_parser = positive)]
    lr: Option<f64>,
    /// Rows a batch.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// Passes over the training rows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// The length of an embedding.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    embedding_dim: u32,
    /// Widths of the bottom MLP from the 13 dense features to the embedding dim [default:
    /// 13-512-256-64-(embedding dim)].
    #[arg(long, value_name = "WIDTHS")]
    bottom_mlp: Option<Widths>,
    /// Widths of the top MLP after the interaction.
    #[arg(long, value_name = "WIDTHS", default_value_t = Widths(vec![512, 256, 1]))]
    top_mlp: Widths,
    /// How the vectors of a row meet.
    #[arg(long, value_enum, default_value_t = InteractionName::Dot)]
    interaction: InteractionName,
    /// Ids seen fewer times in the training days share a row of their table.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    min_count: u32,
    /// Seed of initial values, of the order of rows and of generated rows.
    #[arg(long, default_value_t = 123)]
    seed: u64,
    /// Threads; 0 means one for each processor. The result does not depend on it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Test every so many steps, besides at the end of each pass.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    test_freq: Option<u64>,
    /// Test on the whole last seventh of the rows, not on its first half as the reference does.
    #[arg(long)]
    full_test: bool,
    /// Steps in which the learning rate rises from 0.
    #[arg(long, default_value_t = 0)]
    lr_warmup_steps: u64,
    /// The step from which it falls.
    #[arg(long, default_value_t = 0)]
    lr_decay_start_step: u64,
    /// Steps in which it falls, quadratically.
    #[arg(long, default_value_t = 0)]
    lr_decay_steps: u64,
    /// Pass over bad rows and count them, instead of stopping at the first.
    #[arg(long)]
    skip_bad_rows: bool,
    /// A file to write one JSON object a line to, for each evaluation.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimizerName {
    Sgd,
    Adagrad,
    RowwiseAdagrad,
    Adam,
}

#[derive(Clone, Copy, ValueEnum)]
enum InteractionName {
    Dot,
    Cat,
}

impl Args {
    fn rule(&self) -> UpdateRule {
        match self.optimizer {
            OptimizerName::Sgd => UpdateRule::Sgd,
            OptimizerName::Adagrad => UpdateRule::ADAGRAD,
            OptimizerName::RowwiseAdagrad => UpdateRule::ROW_WISE_ADAGRAD,
            OptimizerName::Adam => UpdateRule::ADAM,
        }
    }

    fn policy(&self) -> Result<LrPolicy> {
        let default = match self.optimizer {
            OptimizerName::Sgd => 0.1,
            OptimizerName::Adagrad | OptimizerName::RowwiseAdagrad => 0.02,
            OptimizerName::Adam => 0.001,
        };
        let policy = LrPolicy {
            base: self.lr.unwrap_or(default),
            warmup_steps: self.lr_warmup_steps,
            decay_start_step: self.lr_decay_start_step,
            decay_steps: self.lr_decay_steps,
        };
        policy.validate()?;
        Ok(policy)
    }

    fn config(&self, num_embeddings: Vec<usize>) -> Result<DlrmConfig> {
        let dim = self.embedding_dim as usize;
        let bottom = match &self.bottom_mlp {
            Some(Widths(widths)) => widths.clone(),
            None => vec![DENSE_FEATURES, 512, 256, 64, dim],
        };
        if bottom[0] != DENSE_FEATURES {
            let widths = Widths(bottom);
            return Err(Error::Config(format!(
                "--bottom-mlp {widths}: the first width is expected to be {DENSE_FEATURES}, the dense features"
            )));
        }
        let config = DlrmConfig {
            embedding_dim: dim,
            bottom_mlp: bottom[1..].to_vec(),
            top_mlp: self.top_mlp.0.clone(),
            interaction: match self.interaction {
                InteractionName::Dot => Interaction::Dot,
                InteractionName::Cat => Interaction::Cat,
            },
            ..DlrmConfig::criteo_kaggle(num_embeddings)
        };
        config.validate()?;
        Ok(config)
    }
}

/// Rows, and of generated ones the probability of each.
struct Rows {
    dataset: Dataset,
    probabilities: Option<Vec<f32>>,
    reading: Duration,
}

fn read_file(args: &Args, path: &Path) -> Result<Dataset> {
    let bad_rows = if args.skip_bad_rows { BadRows::Skip } else { BadRows::Stop };
    let mut reader = RowReader::open(path, Labels::Present, bad_rows)?;
    let mut builder = DatasetBuilder::default();
    let mut meter = Meter::new("reading", None);
    builder.read(&mut reader, |rows| meter.update(rows as u64, String::new))?;
    meter.finish();
    let dataset = builder.finish(args.min_count, path)?;
    if dataset.skipped() > 0 {
        eprintln!("warning: {} bad rows were skipped", dataset.skipped());
    }
    Ok(dataset)
}

fn read_rows(args: &Args) -> Result<Rows> {
    let start = Instant::now();
    let (dataset, probabilities) = match &args.data {
        Some(path) => (read_file(args, path)?, None),
        None => {
            let teacher = Teacher::new(args.seed, TeacherConfig::small());
            let (dataset, probabilities) = teacher.dataset(GENERATED_ROWS, args.min_count)?;
            (dataset, Some(probabilities))
        }
    };
    Ok(Rows { dataset, probabilities, reading: start.elapsed() })
}

/// Shows progress, and writes evaluations as they come.
struct Watch {
    meter: Option<Meter>,
    json: Option<JsonLines>,
}

impl Watch {
    fn new(json: Option<&Path>) -> Result<Self> {
        Ok(Watch { meter: None, json: json.map(JsonLines::open).transpose()? })
    }
}

/// A file of one object a line. What it held is only lost when the first line is there to write.
struct JsonLines {
    path: PathBuf,
    file: File,
    lines: u64,
}

impl JsonLines {
    fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Ok(JsonLines { path: path.to_owned(), file: file.map_err(|e| Error::io(path, e))?, lines: 0 })
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record).expect("numbers only");
        let clear = if self.lines == 0 { self.file.set_len(0) } else { Ok(()) };
        self.lines += 1;
        clear.and_then(|()| writeln!(self.file, "{line}")).map_err(|e| Error::io(&self.path, e))
    }
}

impl Observer for Watch {
    fn on_step(&mut self, p: &Progress) {
        let meter =
            self.meter.get_or_insert_with(|| Meter::new(format!("epoch {}", p.epoch), Some(p.rows_in_epoch as u64)));
        meter.update(p.rows as u64, || format!("{:.0} rows/s, loss {:.4}, ", p.rows_per_s, p.mean_loss));
        if p.rows == p.rows_in_epoch {
            meter.finish();
            self.meter = None;
        }
    }

    fn on_evaluation(&mut self, record: &Record) -> Result<()> {
        let Evaluation { auc, logloss, accuracy, .. } = record.evaluation;
        let auc = auc.map_or_else(|| "undefined".into(), |a| format!("{a:.5}"));
        eprintln!(
            "epoch {}, step {}: train loss {:.5}, test AUC {auc}, log loss {logloss:.5}, accuracy {:.3} %",
            record.epoch,
            record.step,
            record.train_loss,
            100.0 * accuracy
        );
        self.json.as_mut().map_or(Ok(()), |json| json.write(record))
    }
}

/// How well one can do on generated test rows: the teacher itself, and a linear model.
fn print_marks(args: &Args, rows: &Rows, test_auc: Option<f64>) -> Result<()> {
    let Some(probabilities) = &rows.probabilities else { return Ok(()) };
    let (dataset, split) = (&rows.dataset, rows.dataset.split());
    let test = split.test(args.full_test);
    let labels: Vec<f32> = dataset.labels()[test.clone()].iter().map(|&l| f32::from(l)).collect();
    let ceiling = auc(&probabilities[test.clone()], &labels);

    let mut linear = LogisticRegression::new(DENSE_FEATURES, &dataset.num_embeddings(), BASELINE_LR);
    linear.train(&mut DatasetSource::new(dataset, split.train(), TEST_BATCH, Order::Shuffled(args.seed)))?;
    let mut evaluator = Evaluator::new(Score::Probability);
    let (mut source, mut batch) = (DatasetSource::new(dataset, test, TEST_BATCH, Order::InOrder), Batch::default());
    while source.next_batch(&mut batch)? {
        let mut scores = Vec::new();
        linear.predict(&batch, &mut scores)?;
        evaluator.push(&scores, &batch.labels);
    }
    let linear = evaluator.finish().auc;
    println!("\nThe rows were generated, so the best possible AUC is known:");
    let mark =
        |name: &str, auc: Option<f64>| println!("  {name:<34}{:>12}", auc.map_or("-".into(), |a| format!("{a:.5}")));
    mark("logistic regression", linear);
    mark("DLRM", test_auc);
    mark("the teacher itself", ceiling);
    if let (Some(auc), Some(ceiling)) = (test_auc, ceiling) {
        println!("  {:<34}{:>10.1} %", "way from 0.5 to the teacher", 100.0 * (auc - 0.5) / (ceiling - 0.5));
    }
    Ok(())
}

fn train(args: &Args, backend: &Arc<Cpu>, rows: &Rows, watch: &mut Watch) -> Result<Vec<Record>> {
    let (dataset, split) = (&rows.dataset, rows.dataset.split());
    let config = args.config(dataset.num_embeddings().to_vec())?;
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(args.seed))?;
    let count = params.count();
    eprintln!("{count} parameters, {:.1} MB; {}", 4e-6 * count as f64, backend.describe());
    let mut trainer = Trainer::new(model, params, args.rule(), args.policy()?, LossKind::BCE);
    let order = Order::Shuffled(args.seed);
    let mut train = DatasetSource::new(dataset, split.train(), args.batch_size as usize, order);
    let mut test = DatasetSource::new(dataset, split.test(args.full_test), TEST_BATCH, Order::InOrder);
    let schedule = Schedule { epochs: args.epochs, test_freq: args.test_freq };
    trainer.train(&mut train, &mut test, schedule, watch)
}

fn run(args: &Args) -> Result<()> {
    // What is wrong with the flags is said before any row is read.
    args.policy()?;
    args.config(vec![1; 26])?;
    let mut watch = Watch::new(args.json.as_deref())?;
    let backend = cpu(args.threads.into())?;
    match &args.data {
        Some(path) => eprintln!("reading {}", path.display()),
        None => eprintln!("no --data: generating {GENERATED_ROWS} rows in Criteo's format"),
    }
    let mut rows = Err(Error::Config(String::new()));
    backend.scope(&mut || rows = read_rows(args));
    let rows = rows?;
    let split = rows.dataset.split();
    eprintln!(
        "{} rows in {:.1} s: {} to train on, {} to test on",
        rows.dataset.rows(),
        rows.reading.as_secs_f64(),
        split.train().len(),
        split.test(args.full_test).len()
    );
    let records = train(args, &backend, &rows, &mut watch)?;
    let record = records.last().expect("a pass ends with an evaluation");
    let trained = split.train().len() as u64 * args.epochs;
    print!("{}", Report { record, rows: trained, reading: rows.reading });
    print_marks(args, &rows, record.evaluation.auc)
}

fn main() -> ExitCode {
    let args = match parse_args::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(e),
    }
}
