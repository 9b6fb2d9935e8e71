//! Trains a DLRM on generated rows, then tests it with fewer bits a number: size, speed and AUC of every
//! kind of table with every kind of MLP.
//!
//! `cargo run --release --example quantize`

mod support;

use clap::Parser;
use dlrm::backend::{Backend, LossKind, RowFormat, WeightFormat};
use dlrm::data::criteo::TimeSplit;
use dlrm::data::source::{BatchSource, Order, RowSource, Samples};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::metrics::Evaluation;
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::parameters::Quantization;
use dlrm::train::Trainer;
use dlrm::{Batch, Error, Parameters, Result, Stream};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::columns::print_columns;
use support::{check_memory, cpu, run_main};

/// Rows a batch in training, and Adagrad's learning rate.
const TRAIN_BATCH: usize = 128;
const LR: f64 = 0.02;

/// Samples a batch when speed is measured: many, and one.
const BATCHES: [usize; 2] = [2048, 1];

/// Bytes of a row in memory: label, 13 integers, 26 ids.
const ROW_BYTES: f64 = 160.0;

/// How long each speed is measured.
const MEASURED: Duration = Duration::from_millis(400);

/// Trains a DLRM on generated rows, and tests it with fewer bits a number.
///
/// Prints, for tables of f32, f16, bf16, 8 and 4 bits and MLPs of f32, f16 and 8 bits: megabytes of tables and of
/// MLPs, rows a second in batches of 2048, microseconds of one row alone, AUC and log loss on later rows, and the
/// AUC lost against f32.
#[derive(Parser)]
struct Args {
    /// Generated rows; the last seventh is to test on.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(7000..))]
    rows: u64,
    /// The length of an embedding.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    embedding_dim: u32,
    /// As many different ids as Criteo's Kaggle set, instead of a few thousand: tables that no cache holds.
    #[arg(long)]
    kaggle_vocabularies: bool,
    /// Seed of the rows, of initial values and of the order.
    #[arg(long, default_value_t = 123)]
    seed: u64,
    /// Threads; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
}

/// A model of fewer bits, tested.
struct Tested {
    quantization: Quantization,
    table_bytes: usize,
    mlp_bytes: usize,
    /// Of a batch of each of [`BATCHES`].
    times: [Duration; 2],
    evaluation: Evaluation,
}

fn trained(args: &Args, rows: &dyn Samples, split: &TimeSplit) -> Result<Trainer<Dlrm>> {
    let backend = cpu(args.threads.into())?;
    eprintln!("training on {} rows; {}", split.train().len(), backend.describe());
    let dim = args.embedding_dim as usize;
    let kaggle = DlrmConfig::criteo_kaggle(rows.num_embeddings());
    let config = DlrmConfig { embedding_dim: dim, bottom_mlp: vec![512, 256, 64, dim], ..kaggle };
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(args.seed))?;
    let mut trainer = Trainer::new(model, params, UpdateRule::ADAGRAD, LrPolicy::constant(LR), LossKind::BCE);
    let mut train = RowSource::new(rows, split.train(), TRAIN_BATCH, Order::Shuffled(args.seed));
    let mut done = Ok(());
    backend.scope(&mut || done = pass(&mut trainer, &mut train));
    done?;
    Ok(trainer)
}

/// One pass over `train`.
fn pass(trainer: &mut Trainer<Dlrm>, train: &mut dyn BatchSource) -> Result<()> {
    let mut batch = Batch::default();
    train.start_epoch(0)?;
    while train.next_batch(&mut batch)? {
        trainer.step(&batch)?;
    }
    Ok(())
}

/// The median time of a forward pass of `size` rows, each time of other rows of `source`.
fn time(trainer: &mut Trainer<Dlrm>, source: &mut dyn BatchSource) -> Result<Duration> {
    let mut batches = Vec::new();
    let mut batch = Batch::default();
    while batches.len() < 64 && source.next_batch(&mut batch)? {
        batches.push(batch.clone());
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < MEASURED || times.len() <= batches.len() {
        let batch = &batches[times.len() % batches.len()];
        let before = Instant::now();
        trainer.predict(batch)?;
        times.push(before.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// The times of batches of each size, and the figures on all rows.
fn measure<S: BatchSource>(
    trainer: &mut Trainer<Dlrm>,
    source: impl Fn(usize) -> S,
) -> Result<([Duration; 2], Evaluation)> {
    let [many, one] = BATCHES;
    let times = [time(trainer, &mut source(many))?, time(trainer, &mut source(one))?];
    Ok((times, trainer.evaluate(&mut source(many))?))
}

fn test(
    trainer: &mut Trainer<Dlrm>,
    exact: &Parameters,
    quantization: Quantization,
    (rows, split): (&dyn Samples, &TimeSplit),
) -> Result<Tested> {
    trainer.replace_params(exact.quantized(quantization)?);
    let source = |batch| RowSource::new(rows, split.test(true), batch, Order::InOrder);
    let table_bytes = trainer.params().tables().iter().map(|t| t.stored_bytes()).sum();
    let mlp_bytes = trainer.params().stored_bytes() - table_bytes;
    let (backend, mut measured) = (exact.backend().clone(), None);
    backend.scope(&mut || measured = Some(measure(trainer, source)));
    let (times, evaluation) = measured.expect("measured once")?;
    Ok(Tested { quantization, table_bytes, mlp_bytes, times, evaluation })
}

fn print(tested: &[Tested]) {
    let exact = tested[0].evaluation.auc;
    let line = |t: &Tested| {
        let number = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.5}"));
        let megabytes = |bytes: usize| format!("{:.2}", 1e-6 * bytes as f64);
        vec![
            t.quantization.tables.map_or("f32", RowFormat::name).to_owned(),
            t.quantization.weights.map_or("f32", WeightFormat::name).to_owned(),
            megabytes(t.table_bytes),
            megabytes(t.mlp_bytes),
            format!("{:.0}", BATCHES[0] as f64 / t.times[0].as_secs_f64()),
            format!("{:.1}", 1e6 * t.times[1].as_secs_f64()),
            number(t.evaluation.auc),
            // Less than the last digit is 0, not -0.
            number(exact.zip(t.evaluation.auc).map(|(exact, auc)| (1e5 * (exact - auc)).round() / 1e5 + 0.0)),
            format!("{:.5}", t.evaluation.logloss),
        ]
    };
    let header = ["tables", "MLP", "tables, MB", "MLP, MB", "rows/s", "one row, µs", "AUC", "AUC lost", "log loss"];
    print_columns(&header, &tested.iter().map(line).collect::<Vec<_>>());
}

fn run(args: &Args) -> Result<()> {
    check_memory("--rows", ROW_BYTES * args.rows as f64, &*cpu(args.threads.into())?)?;
    let teacher = if args.kaggle_vocabularies { TeacherConfig::kaggle() } else { TeacherConfig::small() };
    let (rows, _) = Teacher::new(args.seed, teacher).dataset(args.rows, 1)?;
    let days = rows.days().into_iter().map(|day| day as usize).collect();
    let split = TimeSplit::of_days(days).ok_or_else(|| Error::Config("too few rows for a day to test on".into()))?;
    let mut trainer = trained(args, &rows, &split)?;
    let copy = trainer.params().quantized(Quantization::default())?;
    let exact = trainer.replace_params(copy);
    let tables = std::iter::once(None).chain(RowFormat::ALL.map(Some));
    let weights = || std::iter::once(None).chain(WeightFormat::ALL.map(Some));
    let all = tables.flat_map(|tables| weights().map(move |weights| Quantization { tables, weights }));
    let tested = all.map(|quantization| test(&mut trainer, &exact, quantization, (&rows, &split)));
    print(&tested.collect::<Result<Vec<_>>>()?);
    Ok(())
}

fn main() -> ExitCode {
    run_main(run)
}
