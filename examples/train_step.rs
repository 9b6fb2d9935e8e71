//! Times one training step (or forward pass) of a standard model on random batches in memory.
//!
//! `cargo run --release --example train_step -- --config kaggle --batch-size 2048 --threads 2`
//!
//! With `--ranks 2`, or `--mpi` under `mpirun` in a build with `--features mpi`, the ranks train one model, and the time of
//! each of their exchanges is told.

mod support;

use clap::Parser;
use dlrm::backend::{Backend, LossKind};
use dlrm::nn::Dlrm;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::profile::{Entry, Profiled};
use dlrm::roofline::Cost;
use dlrm::train::{TrainOptions, Trainer, Workload};
use dlrm::{Batch, Error, Parameters, Result, Stream};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::backend_flags::{BackendFlags, BackendName, COUNTS, Chosen};
use support::breakdown::Breakdown;
use support::exchanges::{Exchange, print_exchanges};
use support::machine;
use support::memory::Planned;
use support::model_flags::ModelConfig;
use support::models::{Config, random_batches};
use support::profile::{self, Profile, ProfileFlags};
use support::ranks_flags::RanksFlags;
use support::ranks_step::{Steps as RankSteps, Timed};
use support::{check_memory, fail, parse_args};

/// Times one training step of a standard model on random batches in memory.
#[derive(Parser)]
struct Args {
    /// The model.
    #[arg(long, value_enum, default_value_t = Config::Kaggle)]
    config: Config,
    /// Samples a batch.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// Threads; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    #[command(flatten)]
    backend: BackendFlags,
    #[command(flatten)]
    ranks: RanksFlags,
    /// Steps timed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    iters: u32,
    /// Steps before the clock starts.
    #[arg(long, default_value_t = 5)]
    warmup: u32,
    /// Different batches, used in turn.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    distinct: u32,
    /// Only the forward pass.
    #[arg(long)]
    forward_only: bool,
    /// Also the times of forward, backward and update.
    #[arg(long)]
    phases: bool,
    /// Also the time of each operation beside the least that the machine allows, which is measured
    /// first; takes a quarter of the free memory for it, at most 4 GiB.
    #[arg(long)]
    roofline: bool,
    #[command(flatten)]
    profile: ProfileFlags,
    /// One JSON object instead of a table.
    #[arg(long, conflicts_with = "profile")]
    json: bool,
}

#[derive(Serialize)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

#[derive(Serialize)]
struct Phases {
    forward: f64,
    backward: f64,
    update: f64,
}

#[derive(Serialize)]
struct Outcome {
    system: String,
    config: Config,
    batch: u32,
    threads: usize,
    mode: &'static str,
    ms: Spread,
    /// What a GPU was given to do in a step, a mean over those timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<BTreeMap<&'static str, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phases_ms: Option<Phases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roofline: Option<Breakdown>,
}

/// The same on ranks.
#[derive(Serialize)]
struct RanksOutcome {
    system: String,
    config: Config,
    /// Samples of all ranks.
    batch: u32,
    ranks: usize,
    ranks_are: &'static str,
    /// Of each rank.
    threads: usize,
    mode: &'static str,
    ms: Spread,
    samples_a_second: f64,
    exchanges: Vec<Exchange>,
}

/// Times of one step: forward, backward, update.
fn step(trainer: &mut Trainer<Dlrm>, batch: &Batch, forward_only: bool) -> Result<[Duration; 3]> {
    let start = Instant::now();
    if forward_only {
        trainer.predict(batch)?;
        return Ok([start.elapsed(), Duration::ZERO, Duration::ZERO]);
    }
    let loss = trainer.forward(batch)?;
    let forward = start.elapsed();
    trainer.backward(loss);
    let backward = start.elapsed();
    trainer.update();
    trainer.params().backend().submit();
    Ok([forward, backward - forward, start.elapsed() - backward])
}

/// Of the steps after the warm-up.
struct Steps {
    /// The times of each; of a GPU, which is not waited for in between, the mean ones of each round.
    times: Vec<[Duration; 3]>,
    /// What is in the profile of each, or of each round, if there is one.
    entries: Vec<Vec<Entry>>,
    counts: Option<BTreeMap<&'static str, f64>>,
}

/// Rounds that the steps of a GPU are timed in.
const ROUNDS: usize = 5;

fn run_steps(args: &Args, chosen: &Chosen, profiled: Option<&Arc<Profiled>>) -> Result<Steps> {
    let (config, lookups) = args.config.model();
    let mut stream = Stream::native(727);
    let (batch, threads) = (args.batch_size as usize, chosen.threads());
    let work =
        Workload { batch, test_batch: 0, test_rows: 0, ahead: args.distinct as usize - 1, threads, checkpoints: false };
    let samples = random_batches(1, 2, &config, lookups, &mut Stream::native(1)).remove(0);
    let shape = ModelConfig::Dlrm(config.clone());
    let memory = Planned::new(chosen, &shape, (UpdateRule::Sgd, &TrainOptions::default()), &samples, work, 0)?;
    let backend: Arc<dyn Backend> = profiled.map_or(chosen.backend(), |profiled| profiled.clone());
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut stream)?;
    // Dense features and a label; ids, and where each list of them begins.
    let row = 4 * (config.dense_features + 1 + config.num_embeddings.len() * (lookups + 1));
    let rows = f64::from(args.distinct) * f64::from(args.batch_size);
    check_memory("--distinct batches of --batch-size rows", row as f64 * rows, &*backend)?;
    let batches = random_batches(args.distinct, args.batch_size as usize, &config, lookups, &mut stream);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);

    let entries = || profiled.map_or(Vec::new(), |p| p.take());
    entries(); // those of the initial values
    profiled.map(|p| p.take_trace());
    let mut run = |i: usize| step(&mut trainer, &batches[i % batches.len()], args.forward_only);
    let mut steps = Ok(None);
    backend.scope(&mut || steps = timed(args, chosen, &mut run, &entries).map(Some));
    memory.print_peak();
    Ok(steps?.expect("run once"))
}

/// The warm-up, and the steps that are timed.
fn timed(
    args: &Args,
    chosen: &Chosen,
    run: &mut dyn FnMut(usize) -> Result<[Duration; 3]>,
    entries: &dyn Fn() -> Vec<Entry>,
) -> Result<Steps> {
    let [warmup, iters] = [args.warmup as usize, args.iters as usize];
    (0..warmup).try_for_each(|i| run(i).map(drop))?;
    chosen.wait()?;
    entries();
    let before = chosen.counts();
    let waits = if chosen.cpu().is_some() { iters } else { iters.min(ROUNDS) };
    let mut steps = Steps { times: Vec::new(), entries: Vec::new(), counts: None };
    for round in 0..waits {
        let (start, at) = (Instant::now(), |round| round * iters / waits);
        let mut times = [Duration::ZERO; 3];
        for i in at(round)..at(round + 1) {
            times = run(warmup + i)?;
        }
        if chosen.cpu().is_none() {
            chosen.wait()?;
            times = [start.elapsed() / (at(round + 1) - at(round)) as u32, Duration::ZERO, Duration::ZERO];
        }
        steps.times.push(times);
        steps.entries.push(entries());
    }
    let counts = before.zip(chosen.counts()).map(|(before, after)| {
        let mean = |i: usize| (after[i] - before[i]) as f64 / iters as f64;
        COUNTS.into_iter().enumerate().map(|(i, name)| (name, mean(i))).collect()
    });
    Ok(Steps { counts, ..steps })
}

/// The least work of a step.
fn least_work(args: &Args) -> Cost {
    let ((config, lookups), batch) = (args.config.model(), args.batch_size as usize);
    match args.forward_only {
        true => Cost::of_forward(&config, batch, lookups),
        false => Cost::of_step(&config, batch, lookups),
    }
}

fn measure(args: &Args) -> Result<(Outcome, Chosen)> {
    let chosen = args.backend.open(args.threads.into())?;
    for (flag, given) in [("--phases", args.phases), ("--roofline", args.roofline)] {
        if given && chosen.cpu().is_none() {
            let why = "a GPU computes after the calls, and --profile has its times";
            return Err(Error::Config(format!("{flag}: expected --backend cpu beside it: {why}")));
        }
    }
    let machine = chosen.cpu().filter(|_| args.roofline).and_then(|cpu| machine::measure(&[&**cpu]).pop());
    let backend = chosen.backend();
    let profile = profile::backend(&backend, args.profile.profile.as_deref())?.1;
    let watched = profile.as_ref().map(|profile| profile.profiled().clone());
    let profiled = watched.or_else(|| machine.as_ref().map(|_| Arc::new(Profiled::new(backend))));
    let Steps { times, entries, counts } = run_steps(args, &chosen, profiled.as_ref())?;
    let ms = spread(times.iter().map(|t| t.iter().sum()));
    let phase = |p: usize| spread(times.iter().map(|t| t[p])).median;
    let roofline = machine.map(|machine| Breakdown::new(machine, &entries, least_work(args), ms.median));
    profile.map_or(Ok(()), |profile: Profile| profile.finish_with(entries.into_iter().flatten()))?;
    let kind = chosen.cpu().map_or("wgpu", |cpu| cpu.isa().name());
    let outcome = Outcome {
        system: format!("dlrm-{}-{kind}", env!("CARGO_PKG_VERSION")),
        config: args.config,
        batch: args.batch_size,
        threads: chosen.threads(),
        mode: if args.forward_only { "forward" } else { "train" },
        ms,
        counts,
        phases_ms: args.phases.then(|| Phases { forward: phase(0), backward: phase(1), update: phase(2) }),
        roofline,
    };
    Ok((outcome, chosen))
}

/// Times steps on ranks, each with its share of the batch and of the threads. Rank 0 has the outcome.
fn measure_on_ranks(args: &Args, flag: &str) -> Result<Option<RanksOutcome>> {
    let given = [
        ("--backend wgpu", args.backend.backend == BackendName::Wgpu),
        ("--forward-only", args.forward_only),
        ("--phases", args.phases),
        ("--roofline", args.roofline),
        ("--profile", args.profile.profile.is_some()),
    ];
    if let Some((other, _)) = given.into_iter().find(|(_, given)| *given) {
        return Err(Error::Config(format!(
            "{other}: expected no {flag} beside it, which times whole steps on processors"
        )));
    }
    args.ranks.run(|comm| {
        let chosen = args.backend.open(args.ranks.threads(&comm, args.threads.into())?)?;
        let cpu = chosen.cpu().expect("a GPU was refused");
        let (model, lookups) = args.config.model();
        let [batch, warmup, iters] = [args.batch_size, args.warmup, args.iters].map(|n| n as usize);
        let steps = RankSteps { model, lookups, batch, distinct: args.distinct, warmup, iters };
        let Timed { times, exchanges } = steps.run(&comm, cpu)?;
        let ms = spread(times.into_iter());
        Ok(RanksOutcome {
            system: format!("dlrm-{}-{}", env!("CARGO_PKG_VERSION"), cpu.isa().name()),
            config: args.config,
            batch: args.batch_size,
            ranks: comm.size(),
            ranks_are: args.ranks.are(),
            threads: cpu.threads(),
            mode: "train",
            samples_a_second: f64::from(args.batch_size) / ms.median * 1e3,
            ms,
            exchanges,
        })
    })
}

/// Minimum, median and maximum in milliseconds, to the microsecond.
fn spread(times: impl Iterator<Item = Duration>) -> Spread {
    let mut us: Vec<f64> = times.map(|t| t.as_secs_f64() * 1e6).collect();
    us.sort_by(f64::total_cmp);
    let ms = |us: f64| us.round() / 1e3;
    let mid = us.len() / 2;
    let median = if us.len() % 2 == 1 { us[mid] } else { (us[mid - 1] + us[mid]) / 2.0 };
    Spread { min: ms(us[0]), median: ms(median), max: ms(us[us.len() - 1]) }
}

fn print_spread(mode: &str, Spread { min, median, max }: &Spread) {
    println!("{mode:<10}{:>10}{:>10}{:>10}   ms a step", "min", "median", "max");
    println!("{:<10}{min:>10.3}{median:>10.3}{max:>10.3}", "");
}

fn print_ranks(outcome: &RanksOutcome) {
    let RanksOutcome { ranks, ranks_are, threads, batch, .. } = outcome;
    println!("{ranks} ranks, which are {ranks_are}, {} each; {batch} samples a step", machine::threads(*threads));
    print_spread(outcome.mode, &outcome.ms);
    println!("{:.0} rows a second", outcome.samples_a_second);
    println!();
    print_exchanges(&outcome.exchanges);
}

fn main_on_ranks(args: &Args, flag: &str) -> ExitCode {
    match measure_on_ranks(args, flag) {
        Err(e) => return fail(e),
        Ok(None) => {}
        Ok(Some(outcome)) if args.json => {
            println!("{}", serde_json::to_string(&outcome).expect("numbers and strings"));
        }
        Ok(Some(outcome)) => print_ranks(&outcome),
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let args = match parse_args::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    if let Some(flag) = args.ranks.given() {
        return main_on_ranks(&args, flag);
    }
    let (outcome, chosen) = match measure(&args) {
        Ok(done) => done,
        Err(e) => return fail(e),
    };
    if args.json {
        println!("{}", serde_json::to_string(&outcome).expect("numbers and strings"));
        return ExitCode::SUCCESS;
    }
    println!("{}", chosen.backend().describe());
    print_spread(outcome.mode, &outcome.ms);
    if let Some(Phases { forward, backward, update }) = outcome.phases_ms {
        println!("median of forward {forward:.3}, backward {backward:.3}, update {update:.3} ms");
    }
    println!("{:.0} rows a second", f64::from(args.batch_size) / outcome.ms.median * 1e3);
    if let Some(counts) = outcome.counts {
        let count =
            |(name, count): (&&str, &f64)| format!("{} {}", (count * 100.0).round() / 100.0, name.replace('_', " "));
        println!("a step: {}", counts.iter().map(count).collect::<Vec<_>>().join(", "));
    }
    if let Some(roofline) = outcome.roofline {
        println!();
        roofline.print();
    }
    ExitCode::SUCCESS
}
