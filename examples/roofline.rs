//! Measures what this machine can do at most, and prints the limit of the standard models' training
//! steps.
//!
//! `cargo run --release --example roofline`

mod support;

use clap::Parser;
use dlrm::Result;
use dlrm::roofline::{Cost, Roofline};
use serde::Serialize;
use std::process::ExitCode;
use support::columns::print_columns;
use support::machine::{measure, threads};
use support::models::Config;
use support::{cpu, fail, parse_args};

/// Measures what this machine can do at most, on one thread and on several, and prints the limit of
/// the standard models' training steps. Takes a quarter of the free memory, at most 4 GiB.
#[derive(Parser)]
struct Args {
    /// Threads beside one; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    system: String,
    /// One thread, several threads.
    machine: Vec<Roofline>,
    steps: Vec<Step>,
}

/// A training step, and its limit on each of the machine's entries.
#[derive(Serialize)]
struct Step {
    config: Config,
    batch: usize,
    cost: Cost,
    limit_ms: Vec<f64>,
    bf16_limit_ms: Vec<Option<f64>>,
}

fn run(args: &Args) -> Result<Outcome> {
    let all = cpu(args.threads.into())?;
    let one = cpu(1)?;
    let cpus = if all.threads() == 1 { vec![&*one] } else { vec![&*one, &*all] };
    let machine = measure(&cpus);
    let standard = [Config::Kaggle, Config::Mlperf, Config::Bigbasin].into_iter();
    let steps = standard.flat_map(|config| [128, 2048].map(|batch| step(config, batch, &machine)));
    Ok(Outcome { system: format!("dlrm-{}", env!("CARGO_PKG_VERSION")), steps: steps.collect(), machine })
}

fn step(config: Config, batch: usize, machine: &[Roofline]) -> Step {
    let (model, lookups) = config.model();
    let cost = Cost::of_step(&model, batch, lookups);
    let limit_ms = machine.iter().map(|m| m.step_ms(&cost)).collect();
    Step { config, batch, cost, limit_ms, bf16_limit_ms: machine.iter().map(|m| m.step_bf16_ms(&cost)).collect() }
}

fn print_machine(machine: &[Roofline]) {
    let mut lines = Vec::new();
    let mut line = |name: String, digits: usize, figure: &dyn Fn(&Roofline) -> Option<f64>| {
        let figures = machine.iter().map(|m| figure(m).map_or("-".into(), |f| format!("{f:.digits$}")));
        lines.push(std::iter::once(name).chain(figures).collect());
    };
    line("f32 multiply-adds, GFLOP/s".into(), 0, &|m| Some(m.f32_gflops));
    line("bf16 dot products, GFLOP/s".into(), 0, &|m| m.bf16_gflops);
    line("sequential read, GB/s".into(), 1, &|m| Some(m.read_gbs));
    line("sequential write past the caches, GB/s".into(), 1, &|m| Some(m.write_gbs));
    for i in 0..machine[0].rows.len() {
        let bytes = machine[0].rows[i].bytes;
        line(format!("random rows of {bytes} bytes read, GB/s"), 1, &|m| Some(m.rows[i].read_gbs));
        line(format!("random rows of {bytes} bytes updated, GB/s"), 1, &|m| Some(m.rows[i].update_gbs));
    }
    let threads: Vec<String> = machine.iter().map(|m| threads(m.threads)).collect();
    let header = std::iter::once(machine[0].isa).chain(threads.iter().map(String::as_str));
    print_columns(&header.collect::<Vec<_>>(), &lines);
}

fn print_steps(machine: &[Roofline], steps: &[Step]) {
    let mut header: Vec<String> = ["training step", "GFLOP", "rows read, MB", "updated, MB"].map(String::from).into();
    for m in machine {
        header.extend([format!("limit, {}, ms", threads(m.threads)), "in bf16".into()]);
    }
    let line = |s: &Step| {
        let mut cells = vec![
            format!("{}, batch {}", s.config, s.batch),
            format!("{:.2}", 1e-9 * s.cost.flops as f64),
            format!("{:.1}", 1e-6 * s.cost.rows_read.bytes as f64),
            format!("{:.1}", 1e-6 * s.cost.rows_updated.bytes as f64),
        ];
        for (ms, bf16) in s.limit_ms.iter().zip(&s.bf16_limit_ms) {
            cells.extend([format!("{ms:.2}"), bf16.map_or("-".into(), |ms| format!("{ms:.2}"))]);
        }
        cells
    };
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    print_columns(&header, &steps.iter().map(line).collect::<Vec<_>>());
}

fn main() -> ExitCode {
    let args = match parse_args::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let outcome = match run(&args) {
        Ok(outcome) => outcome,
        Err(e) => return fail(e),
    };
    if args.json {
        println!("{}", serde_json::to_string(&outcome).expect("numbers and strings"));
        return ExitCode::SUCCESS;
    }
    print_machine(&outcome.machine);
    println!();
    print_steps(&outcome.machine, &outcome.steps);
    ExitCode::SUCCESS
}
