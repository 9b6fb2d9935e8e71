//! Predicts the time of a training step on many ranks, and checks the prediction against ranks of this machine.
//!
//! `cargo run --release --example scaling_model`

#[path = "../support/mod.rs"]
mod support;

mod check;
mod cluster;
mod svg;

use check::Check;
use clap::Parser;
use cluster::Prediction;
use dlrm::{Error, Result};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use support::models::Config;
use support::whole::Whole;
use support::{positive, run_main};

/// Measures what this machine can compute and how fast its threads exchange bytes, trains on one rank and on two, and
/// prints what the model of `dlrm::roofline::ranks` predicts beside it; then what it predicts for up to 1,024 ranks. Takes a
/// quarter of the free memory, at most 4 GiB.
#[derive(Parser)]
struct Args {
    /// The model that is trained here.
    #[arg(long, value_enum, default_value_t = Config::Kaggle)]
    config: Config,
    /// Samples a step that is trained here, at strong scaling; at weak scaling it is twice that for two ranks.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    batch_size: u32,
    /// Threads of both ranks together; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Steps timed.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    iters: u32,
    /// GB a second that a rank of a cluster sends, and at the same time gets [default: 12.5, which is 100 Gb/s].
    #[arg(long, value_name = "GB", value_parser = positive)]
    network_gbs: Option<f64>,
    /// Microseconds of a message there [default: 2].
    #[arg(long, value_name = "US", value_parser = positive)]
    latency_us: Option<f64>,
    /// Draw the predictions.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    system: String,
    check: Check,
    predictions: Vec<Prediction>,
}

fn run(args: &Args) -> Result<()> {
    let svg = args.svg.as_deref().map(Whole::create).transpose()?;
    let check = Check::measure(args)?;
    let network = cluster::network(args);
    let predictions = cluster::predictions(&check.worker, &network);
    if let Some(mut file) = svg {
        let drawn = svg::efficiencies(&network, &predictions);
        file.write_all(drawn.as_bytes()).map_err(|e| Error::io(args.svg.as_deref().unwrap_or("".as_ref()), e))?;
        file.finish()?;
    }
    if args.json {
        let outcome = Outcome { system: format!("dlrm-{}", env!("CARGO_PKG_VERSION")), check, predictions };
        println!("{}", serde_json::to_string(&outcome).expect("numbers and strings"));
        return Ok(());
    }
    check.print();
    cluster::print(&network, &predictions);
    Ok(())
}

fn main() -> ExitCode {
    run_main(run)
}
