//! A run from rows to a report.

use super::cpu;
use super::flags::{Recipe, TrainFlags};
use super::watch::Watch;
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::data::criteo::{DENSE_FEATURES, TimeSplit};
use dlrm::data::source::{DenseBuckets, Order, Prefetch, RowSource, Samples};
use dlrm::nn::Dlrm;
use dlrm::train::{Record, Report, Schedule, Trainer};
use dlrm::{Error, Parameters, Result, Stream};
use std::sync::Arc;
use std::time::Instant;

/// Rows a batch when testing: only memory depends on it.
pub const TEST_BATCH: usize = 2048;

/// Batches ready before they are asked for: a few, so that one slow row of the disk delays no step.
const AHEAD: usize = 4;

/// Reads rows with `read`, trains and tests on them, and prints the report; returns the last evaluation.
pub fn run(
    flags: &TrainFlags,
    recipe: &Recipe,
    read: impl FnOnce() -> Result<Box<dyn Samples>> + Send,
) -> Result<(Box<dyn Samples>, TimeSplit, Record)> {
    // What is wrong with the flags is said before any row is read.
    flags.policy(recipe, u32::MAX as usize)?;
    flags.config(recipe, vec![1; 26])?;
    let mut watch = Watch::new(flags.json.as_deref())?;
    let backend = cpu(flags.threads.into())?;
    let (start, mut read, mut rows) = (Instant::now(), Some(read), None);
    backend.scope(&mut || rows = read.take().map(|read| read()));
    let mut rows = rows.expect("read once")?;
    if let Some(n) = flags.dense_buckets {
        rows = Box::new(DenseBuckets::new(rows, DENSE_FEATURES, n));
    }
    let reading = start.elapsed();
    let mut days: Vec<usize> = rows.days().into_iter().map(|day| day as usize).collect();
    if flags.validate {
        days.pop();
    }
    let too_few = || Error::Config("the last day is to test on, those before to train on, but one has no row".into());
    let split = TimeSplit::of_days(days).ok_or_else(too_few)?;
    eprintln!(
        "{} rows in {:.1} s: {} to train on, {} to test on",
        rows.rows(),
        reading.as_secs_f64(),
        split.train().len(),
        split.test(flags.full_test).len()
    );
    let records = train(flags, recipe, &backend, (&*rows, &split), &mut watch)?;
    let record = records.into_iter().last().expect("a pass ends with an evaluation");
    print!("{}", Report { record: &record, rows: split.train().len() as u64 * flags.epochs, reading });
    Ok((rows, split, record))
}

fn train(
    flags: &TrainFlags,
    recipe: &Recipe,
    backend: &Arc<Cpu>,
    (rows, split): (&dyn Samples, &TimeSplit),
    watch: &mut Watch,
) -> Result<Vec<Record>> {
    let config = flags.config(recipe, rows.num_embeddings())?;
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(flags.seed))?;
    let count = params.count();
    eprintln!("{count} parameters, {:.1} MB; {}", 4e-6 * count as f64, backend.describe());
    let mut trainer =
        Trainer::new(model, params, flags.rule(), flags.policy(recipe, split.train().len())?, LossKind::BCE)
            .with_options(flags.options.options(flags.seed))?;
    let train = RowSource::new(rows, split.train(), flags.batch_size as usize, flags.order());
    let test = RowSource::new(rows, split.test(flags.full_test), TEST_BATCH, Order::InOrder);
    let schedule = Schedule { epochs: flags.epochs, test_freq: flags.test_freq };
    Prefetch::run(train, AHEAD, |train| Prefetch::run(test, AHEAD, |test| trainer.train(train, test, schedule, watch)))
}
