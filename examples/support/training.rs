//! A run from rows to a report.

use super::backend_flags::Chosen;
use super::change_flags::changed;
use super::flags::{Recipe, TrainFlags};
use super::memory::Planned;
use super::mlperf::MlPerf;
use super::model_flags::ModelConfig;
use super::profile::Profile;
use super::run_flags::{self, Begun, Kept};
use super::watch_flags::Watchers;
use super::{profile, report, signals};
use dlrm::data::criteo::TimeSplit;
use dlrm::data::source::{Order, Prefetch, RowSource, Samples};
use dlrm::train::{Observer, Record, Report, Schedule, Trainer};
use dlrm::{Error, Result};
use std::time::Instant;

/// Rows a batch when testing: only memory depends on it.
pub const TEST_BATCH: usize = 2048;

/// Batches ready before they are asked for: a few, so that one slow row of the disk delays no step.
pub const AHEAD: usize = 4;

/// What a run ends with.
pub struct Trained {
    /// What people call the model.
    pub model: &'static str,
    pub rows: Box<dyn Samples>,
    pub split: TimeSplit,
    /// The last evaluation.
    pub record: Record,
}

/// Reads rows with `read`, trains and tests on them, and prints the report.
pub fn run(
    flags: &TrainFlags,
    recipe: &Recipe,
    read: impl FnOnce() -> Result<Box<dyn Samples>> + Send,
) -> Result<Trained> {
    // What is wrong with the flags is said before any row is read.
    flags.policy(recipe, u32::MAX as usize)?;
    profile::check(flags.profile.profile.as_deref())?;
    flags.loss.kind()?;
    flags.checkpoint.check(&flags.model)?;
    flags.model.config(flags.config(recipe, vec![1; 26])?)?;
    let chosen = flags.backend.open(flags.threads.into())?;
    let kept = flags.run.open()?;
    let steps = kept.as_ref().map_or(Ok(0), Kept::step)?;
    let mut watch = flags.watch.watchers(flags.json.as_deref(), steps)?;
    let (start, mut read, mut rows) = (Instant::now(), Some(read), None);
    chosen.backend().scope(&mut || rows = read.take().map(|read| read()));
    let rows = changed(rows.expect("read once")?, flags.buckets.change());
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
    let (train_rows, test_rows) = (split.train().len(), split.test(flags.full_test).len());
    tracing::info!(rows = rows.rows(), train_rows, test_rows, seconds = reading.as_secs_f64(), "rows");
    let (model, records) = train(flags, recipe, &chosen, (&*rows, &split), kept, &mut watch)?;
    let record = records.into_iter().last().expect("a pass ends with an evaluation");
    let trained = if flags.checkpoint.inference_only { 0 } else { split.train().len() as u64 * flags.epochs };
    tracing::info!(steps = record.step, "end");
    print!("{}", Report { record: &record, rows: trained, reading });
    Ok(Trained { model, rows, split, record })
}

fn train(
    flags: &TrainFlags,
    recipe: &Recipe,
    chosen: &Chosen,
    (rows, split): (&dyn Samples, &TimeSplit),
    kept: Option<Kept>,
    watch: &mut Watchers,
) -> Result<(&'static str, Vec<Record>)> {
    let backend = chosen.backend();
    let (watched, profile) = profile::backend(&backend, flags.profile.profile.as_deref())?;
    let (watched, timed) = report::timed(watched, profile.as_ref(), flags.watch.report.is_some())?;
    let mut memory = None;
    let mut plan = |config: &ModelConfig| {
        memory = Planned::of_run(flags, chosen, config, (rows, split))?;
        Ok(())
    };
    let Begun { config, model, params, mut checkpoints, file } =
        run_flags::begin(flags, recipe, watched, (rows, split), kept, &mut plan)?;
    signals::listen();
    let count = params.count();
    eprintln!("{count} parameters, {:.1} MB; {}", 4e-6 * count as f64, backend.describe());
    tracing::info!(parameters = count, backend = backend.describe(), "model");
    let policy = flags.policy(recipe, split.train().len())?;
    if flags.watch.mlperf_logging {
        watch.push(MlPerf::new(flags, &policy, watch.began()));
    }
    let mut trainer = Trainer::new(model, params, flags.rule(), policy, flags.loss.kind()?)
        .with_options(flags.options.options(flags.seed, &flags.loss))?;
    file.map_or(Ok(()), |mut file| trainer.resume(&mut file))?;
    if let Some(checkpoints) = &checkpoints {
        let (dir, megabytes) = (checkpoints.dir().path(), 1e-6 * trainer.checkpoint_bytes() as f64);
        eprintln!("checkpoints in {}, by way of a copy of {megabytes:.1} MB in memory", dir.display());
    }
    let train = RowSource::new(rows, split.train(), flags.batch_size as usize, flags.order());
    let test = || RowSource::new(rows, split.test(flags.full_test), TEST_BATCH, Order::InOrder);
    let schedule = Schedule { epochs: flags.epochs, test_freq: flags.test_freq };
    profile.iter().for_each(Profile::start);
    timed.iter().for_each(|timed| drop(timed.take()));
    let records = if flags.checkpoint.inference_only {
        let record = Record::untrained(trainer.evaluate(&mut test())?);
        watch.on_evaluation(&record)?;
        vec![record]
    } else {
        let records = Prefetch::run(train, AHEAD, |train| {
            Prefetch::run(test(), AHEAD, |test| match &mut checkpoints {
                None => trainer.train(train, test, schedule, watch),
                Some(checkpoints) => trainer.train_with_checkpoints(train, test, schedule, watch, checkpoints),
            })
        });
        records.inspect_err(|e| flags.run.tell(e))?
    };
    let operators = timed.map_or(Vec::new(), |timed| timed.take());
    profile.map_or(Ok(()), |profile| profile.finish_with(operators.iter().cloned()))?;
    flags.checkpoint.save(&config, trainer.params(), rows)?;
    memory.iter().for_each(Planned::print_peak);
    if let Some(path) = &flags.watch.report {
        report::write(path, watch, &mut trainer, &mut test(), &records, &operators)?;
    }
    let exact = &records.last().expect("a pass ends with an evaluation").evaluation;
    flags.quantize.test(&mut trainer, exact, &mut test())?;
    Ok((config.title(), records))
}
