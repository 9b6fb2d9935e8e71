//! Times one training step (or forward pass) of a standard model on random batches in memory.
//!
//! `cargo run --release --example train_step -- --config kaggle --batch-size 2048 --threads 2`

mod support;

use clap::Parser;
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::nn::Dlrm;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, Parameters, Result, Stream};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::models::{Config, random_batches};
use support::{cpu, fail, parse_args};

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
    /// One JSON object instead of a table.
    #[arg(long)]
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

fn measure(args: &Args, backend: &Arc<Cpu>) -> Result<Outcome> {
    let (config, lookups) = args.config.model();
    let mut stream = Stream::native(727);
    let mut params = Parameters::new(backend.clone());
    let model = Dlrm::new(&config, &mut params, &mut stream)?;
    let batches = random_batches(args.distinct, args.batch_size as usize, &config, lookups, &mut stream);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);

    let mut times = Ok(Vec::new());
    backend.scope(&mut || {
        let all = (0..args.warmup + args.iters).map(|i| {
            let batch = &batches[i as usize % batches.len()];
            step(&mut trainer, batch, args.forward_only)
        });
        times = all.collect::<Result<Vec<_>>>();
    });
    let times = &times?[args.warmup as usize..];
    let totals = times.iter().map(|t| t.iter().sum());
    let phase = |p: usize| spread(times.iter().map(|t| t[p])).median;
    Ok(Outcome {
        system: format!("dlrm-{}-{}", env!("CARGO_PKG_VERSION"), backend.isa().name()),
        config: args.config,
        batch: args.batch_size,
        threads: backend.threads(),
        mode: if args.forward_only { "forward" } else { "train" },
        ms: spread(totals),
        phases_ms: args.phases.then(|| Phases { forward: phase(0), backward: phase(1), update: phase(2) }),
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
    ExitCode::SUCCESS
}
