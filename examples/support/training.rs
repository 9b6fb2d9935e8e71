//! A run from rows to a report.

use super::backend_flags::Chosen;
use super::change_flags::changed;
use super::flags::{Recipe, TrainFlags};
use super::memory::Planned;
use super::mlperf::MlPerf;
use super::model_flags::ModelConfig;
use super::profile::Profile;
use super::ranks::Quiet;
use super::run_flags::{self, Begun, Kept};
use super::watch_flags::Watchers;
use super::{be_quiet, cpu, profile, ranks, report, signals};
use dlrm::comm::Communicator;
use dlrm::data::criteo::TimeSplit;
use dlrm::data::source::{Order, Prefetch, RowSource, Samples};
use dlrm::train::{Observer, Record, Report, Schedule, Trainer};
use dlrm::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Reads rows with `read`, trains and tests on them, and prints the report. Of the processes of several ranks the first
/// returns what it ends with.
pub fn run(
    flags: &TrainFlags,
    recipe: &Recipe,
    read: impl FnOnce() -> Result<Box<dyn Samples>> + Send,
) -> Result<Option<Trained>> {
    ranks::check(flags)?;
    if !flags.ranks.mpi {
        return run_process(flags, recipe, read, None).map(Some);
    }
    let read = Mutex::new(Some(read));
    flags.ranks.run(|comm| run_process(flags, recipe, once(&read), Some(comm)))
}

/// What one of those who may ask gets.
fn once<T>(of: &Mutex<Option<T>>) -> T {
    of.lock().unwrap_or_else(PoisonError::into_inner).take().expect("asked for once")
}

/// The same in one process, which is a rank if there is a `comm`.
fn run_process(
    flags: &TrainFlags,
    recipe: &Recipe,
    read: impl FnOnce() -> Result<Box<dyn Samples>> + Send,
    comm: Option<Arc<Communicator>>,
) -> Result<Trained> {
    let is_first = ranks::is_first(comm.as_ref());
    if !is_first {
        be_quiet();
    }
    // What is wrong with the flags is said before any row is read.
    flags.policy(recipe, u32::MAX as usize)?;
    profile::check(flags.profile.profile.as_deref())?;
    flags.loss.kind()?;
    flags.checkpoint.check(&flags.model)?;
    flags.model.config(flags.config(recipe, vec![1; 26])?)?;
    let asked = flags.threads.into();
    let threads = comm.as_ref().map_or(Ok(asked), |comm| flags.ranks.threads(comm, asked))?;
    let chosen = flags.backend.open(threads)?;
    // Ranks that are threads of this process begin when the rows are there.
    let begun = if flags.ranks.ranks.is_none() { Some(begin(flags, comm.as_ref())?) } else { None };
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
    let (train_rows, test_rows) = (split.train().len(), split.test(flags.full_test).len());
    if is_first {
        let seconds = reading.as_secs_f64();
        eprintln!("{} rows in {seconds:.1} s: {train_rows} to train on, {test_rows} to test on", rows.rows());
    }
    tracing::info!(rows = rows.rows(), train_rows, test_rows, seconds = reading.as_secs_f64(), "rows");
    let data = (&*rows, &split);
    let (model, records) = match begun {
        Some(begun) => train(flags, recipe, &chosen, data, begun, comm.as_ref())?,
        None => {
            let first = flags.ranks.run(|comm| {
                let cpu = Chosen::Cpu(cpu(flags.ranks.threads(&comm, asked)?)?);
                train(flags, recipe, &cpu, data, begin(flags, Some(&comm))?, Some(&comm))
            })?;
            first.expect("rank 0 is in this process")
        }
    };
    let record = records.into_iter().last().expect("a pass ends with an evaluation");
    let trained = if flags.checkpoint.inference_only { 0 } else { split.train().len() as u64 * flags.epochs };
    tracing::info!(steps = record.step, "end");
    if is_first {
        print!("{}", Report { record: &record, rows: trained, reading });
    }
    Ok(Trained { model, rows, split, record })
}

/// What a rank goes on from, and who watches it.
fn begin(flags: &TrainFlags, comm: Option<&Arc<Communicator>>) -> Result<(Option<Kept>, Watchers)> {
    let kept = flags.run.open(comm)?;
    let steps = kept.as_ref().map_or(Ok(0), Kept::step)?;
    let watchers = || flags.watch.watchers(flags.json.as_deref(), steps);
    let watch = if ranks::is_first(comm) { watchers()? } else { Watchers::of(Quiet) };
    Ok((kept, watch))
}

fn train(
    flags: &TrainFlags,
    recipe: &Recipe,
    chosen: &Chosen,
    (rows, split): (&dyn Samples, &TimeSplit),
    (kept, mut watch): (Option<Kept>, Watchers),
    comm: Option<&Arc<Communicator>>,
) -> Result<(&'static str, Vec<Record>)> {
    let watch = &mut watch;
    let (is_first, [rank, size]) = (ranks::is_first(comm), ranks::of(comm));
    let backend = chosen.backend();
    let (watched, profile) = profile::backend(&backend, flags.profile.profile.as_deref())?;
    let (watched, timed) = report::timed(watched, profile.as_ref(), flags.watch.report.is_some())?;
    let mut memory = None;
    let mut plan = |config: &ModelConfig| {
        // It is of a whole model.
        if comm.is_none() {
            memory = Planned::of_run(flags, chosen, config, (rows, split))?;
        }
        Ok(())
    };
    let Begun { config, model, params, mut checkpoints, file } =
        run_flags::begin(flags, recipe, watched, (rows, split), kept, comm, &mut plan)?;
    if is_first || flags.ranks.mpi {
        signals::listen();
    }
    let count = params.count();
    if is_first {
        model.shards().iter().for_each(|shards| eprint!("{}", shards.placement()));
        let of_rank = if size > 1 { " on rank 0" } else { "" };
        eprintln!("{count} parameters{of_rank}, {:.1} MB; {}", 4e-6 * count as f64, backend.describe());
    }
    tracing::info!(parameters = count, backend = backend.describe(), "model");
    let policy = flags.policy(recipe, split.train().len())?;
    if flags.watch.mlperf_logging && is_first {
        watch.push(MlPerf::new(flags, &policy, watch.began()));
    }
    let mut trainer = Trainer::new(model, params, flags.rule(), policy, flags.loss.kind()?)
        .with_options(flags.options.options(flags.seed, &flags.loss))?;
    file.map_or(Ok(()), |mut file| trainer.resume(&mut file))?;
    if let Some(checkpoints) = checkpoints.as_ref().filter(|_| is_first) {
        let (dir, megabytes) = (checkpoints.dir().path(), 1e-6 * trainer.checkpoint_bytes() as f64);
        eprintln!("checkpoints in {}, by way of a copy of {megabytes:.1} MB in memory", dir.display());
    }
    let train = RowSource::new(rows, split.train(), flags.batch_size as usize, flags.order()).share(rank, size);
    let test = || RowSource::new(rows, split.test(flags.full_test), TEST_BATCH, Order::InOrder).share(rank, size);
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
        records.inspect_err(|e| {
            if is_first {
                flags.run.tell(e);
            }
        })?
    };
    let operators = timed.map_or(Vec::new(), |timed| timed.take());
    profile.map_or(Ok(()), |profile| profile.finish_with(operators.iter().cloned()))?;
    flags.checkpoint.save(&config, &trainer, rows)?;
    memory.iter().for_each(Planned::print_peak);
    comm.filter(|_| is_first).into_iter().for_each(|comm| ranks::print_traffic(comm));
    if let Some(path) = &flags.watch.report {
        report::write(path, watch, &mut trainer, &mut test(), &records, &operators)?;
    }
    let exact = &records.last().expect("a pass ends with an evaluation").evaluation;
    flags.quantize.test(&mut trainer, exact, &mut test())?;
    Ok((config.title(), records))
}
