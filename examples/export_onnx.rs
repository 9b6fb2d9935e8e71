//! A model that was kept to ONNX: see `dlrm::onnx` for what comes in and goes out.
//!
//! `cargo run --release --example export_onnx -- --load-model model.safetensors --save-onnx model.onnx`

mod support;

use clap::Parser;
use dlrm::onnx::{self, Bags};
use dlrm::{Predictor, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use support::files::check_apart;
use support::{cpu, run_main};

/// Writes the forward pass of a model as ONNX, for runtimes of others.
#[derive(Parser)]
struct Args {
    /// The model: what --save-model of the examples that train wrote.
    #[arg(long, value_name = "FILE")]
    load_model: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    save_onnx: PathBuf,
    /// Each table takes a list of ids a row, as offsets and indices, and not one id.
    #[arg(long)]
    lists: bool,
    /// Put the weights into a file of their own, FILE.data, also if they are less than 2 GiB.
    #[arg(long)]
    external_data: bool,
}

fn run(args: &Args) -> Result<()> {
    check_apart([args.load_model.as_path()], [args.save_onnx.as_path()])?;
    let predictor = Predictor::open(&args.load_model, cpu(0)?)?;
    let bags = if args.lists { Bags::Lists } else { Bags::One };
    onnx::export(&args.save_onnx, predictor.model(), predictor.params(), bags, args.external_data)
}

fn main() -> ExitCode {
    run_main(run)
}
