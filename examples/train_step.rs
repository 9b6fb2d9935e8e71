//! Times one training step (or forward pass) of a standard model on random batches in memory.
//!
//! `cargo run --release --example train_step -- --config kaggle --batch-size 2048 --threads 2`

mod support;

use clap::Parser;
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::nn::Dlrm;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::profile::{Entry, Profiled};
use dlrm::roofline::Cost;
use dlrm::train::{TrainOptions, Trainer, Workload};
use dlrm::{Batch, Parameters, Result, Stream};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::breakdown::Breakdown;
use support::machine;
use support::memory::Planned;
use support::model_flags::ModelConfig;
use support::models::{Config, random_batches};
use support::profile::{self, Profile, ProfileFlags};
use support::{check_memory, cpu, fail, parse_args};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    phases_ms: Option<Phases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roofline: Option<Breakdown>,
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
    Ok([forward, backward - forward, start.elapsed() - backward])
}

/// The times of every step after the warm-up, and what is in its profile, if there is one.
type Steps = (Vec<[Duration; 3]>, Vec<Vec<Entry>>);

fn run_steps(args: &Args, backend: &Arc<Cpu>, profiled: Option<&Arc<Profiled>>) -> Result<Steps> {
    let (config, lookups) = args.config.model();
    let mut stream = Stream::native(727);
    let (batch, threads) = (args.batch_size as usize, backend.threads());
    let work =
        Workload { batch, test_batch: 0, test_rows: 0, ahead: args.distinct as usize - 1, threads, checkpoints: false };
    let samples = random_batches(1, 2, &config, lookups, &mut Stream::native(1)).remove(0);
    let shape = ModelConfig::Dlrm(config.clone());
    let memory = Planned::new(backend, &shape, (UpdateRule::Sgd, &TrainOptions::default()), &samples, work, 0)?;
    let mut params = Parameters::new(match profiled {
        Some(profiled) => profiled.clone(),
        None => backend.clone(),
    });
    let model = Dlrm::new(&config, &mut params, &mut stream)?;
    // Dense features and a label; ids, and where each list of them begins.
    let row = 4 * (config.dense_features + 1 + config.num_embeddings.len() * (lookups + 1));
    let rows = f64::from(args.distinct) * f64::from(args.batch_size);
    check_memory("--distinct batches of --batch-size rows", row as f64 * rows, &**backend)?;
    let batches = random_batches(args.distinct, args.batch_size as usize, &config, lookups, &mut stream);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);

    let entries = || profiled.map_or(Vec::new(), |p| p.take());
    entries(); // those of the initial values
    profiled.map(|p| p.take_trace());
    let mut steps = Ok(Vec::new());
    backend.scope(&mut || {
        let all = (0..u64::from(args.warmup) + u64::from(args.iters)).map(|i| {
            let batch = &batches[i as usize % batches.len()];
            Ok((step(&mut trainer, batch, args.forward_only)?, entries()))
        });
        steps = all.collect::<Result<Vec<_>>>();
    });
    memory.print_peak();
    Ok(steps?.into_iter().skip(args.warmup as usize).unzip())
}

/// The least work of a step.
fn least_work(args: &Args) -> Cost {
    let ((config, lookups), batch) = (args.config.model(), args.batch_size as usize);
    match args.forward_only {
        true => Cost::of_forward(&config, batch, lookups),
        false => Cost::of_step(&config, batch, lookups),
    }
}

fn measure(args: &Args, backend: &Arc<Cpu>) -> Result<Outcome> {
    let machine = if args.roofline { machine::measure(&[&**backend]).pop() } else { None };
    let profile = profile::backend(backend, args.profile.profile.as_deref())?.1;
    let watched = profile.as_ref().map(|profile| profile.profiled().clone());
    let profiled = watched.or_else(|| machine.as_ref().map(|_| Arc::new(Profiled::new(backend.clone()))));
    let (times, entries) = run_steps(args, backend, profiled.as_ref())?;
    let ms = spread(times.iter().map(|t| t.iter().sum()));
    let phase = |p: usize| spread(times.iter().map(|t| t[p])).median;
    let roofline = machine.map(|machine| Breakdown::new(machine, &entries, least_work(args), ms.median));
    profile.map_or(Ok(()), |profile: Profile| profile.finish_with(entries.into_iter().flatten()))?;
    Ok(Outcome {
        system: format!("dlrm-{}-{}", env!("CARGO_PKG_VERSION"), backend.isa().name()),
        config: args.config,
        batch: args.batch_size,
        threads: backend.threads(),
        mode: if args.forward_only { "forward" } else { "train" },
        ms,
        phases_ms: args.phases.then(|| Phases { forward: phase(0), backward: phase(1), update: phase(2) }),
        roofline,
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

fn main() -> ExitCode {
    let args = match parse_args::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let (outcome, backend) = match cpu(args.threads.into()).and_then(|b| Ok((measure(&args, &b)?, b))) {
        Ok(done) => done,
        Err(e) => return fail(e),
    };
    if args.json {
        println!("{}", serde_json::to_string(&outcome).expect("numbers and strings"));
        return ExitCode::SUCCESS;
    }
    let Spread { min, median, max } = outcome.ms;
    println!("{}", backend.describe());
    println!("{:<10}{:>10}{:>10}{:>10}   ms a step", outcome.mode, "min", "median", "max");
    println!("{:<10}{min:>10.3}{median:>10.3}{max:>10.3}", "");
    if let Some(Phases { forward, backward, update }) = outcome.phases_ms {
        println!("median of forward {forward:.3}, backward {backward:.3}, update {update:.3} ms");
    }
    println!("{:.0} rows a second", f64::from(args.batch_size) / median * 1e3);
    if let Some(roofline) = outcome.roofline {
        println!();
        roofline.print();
    }
    ExitCode::SUCCESS
}
