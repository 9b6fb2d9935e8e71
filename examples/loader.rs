//! How fast batches come, without a model to wait for them: from memory, or from a file however large.
//!
//! ```sh
//! cargo run --release --example loader -- --data terabyte.rows --data-randomize total --batch-size 2048
//! ```
//!
//! Whether a file larger than memory is read at the disk's speed shows on a small file in a small memory:
//!
//! ```sh
//! systemd-run --user --scope -p MemoryMax=1G target/release/examples/loader --data train.rows
//! ```

mod support;

use clap::Parser;
use dlrm::Batch;
use dlrm::data::source::{BatchSource, Prefetch, RowSource, Samples};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use support::flags::Randomize;
use support::{Meter, cache, run_main};

/// Generated rows, if no file is given.
const GENERATED_ROWS: u64 = 200_000;

/// Bytes of a row of Criteo's in a binary dataset: label, 13 integers, 26 ids.
const ROW_BYTES: f64 = 160.0;

/// Makes batches as fast as it can, and says how fast that is.
#[derive(Parser)]
struct Args {
    /// A binary dataset; if left out, generated rows in memory.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// What is shuffled: nothing, the rows of each day, or all rows.
    #[arg(long, value_enum, default_value_t = Randomize::None)]
    data_randomize: Randomize,
    /// Seed of the order, and of generated rows.
    #[arg(long, default_value_t = 123)]
    seed: u64,
    /// Rows a batch.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// Stop after so many batches.
    #[arg(long, value_name = "N")]
    num_batches: Option<u64>,
    /// One JSON object instead of a line.
    #[arg(long)]
    json: bool,
}

/// What came, and how fast.
#[derive(serde::Serialize)]
struct Speed {
    rows: u64,
    seconds: f64,
    rows_per_s: f64,
    /// Of a binary dataset's rows.
    mb_per_s: f64,
}

fn main() -> ExitCode {
    run_main(run)
}

fn run(args: &Args) -> Result<()> {
    let samples: Box<dyn Samples> = match &args.data {
        Some(path) if cache::is_binary(path)? => Box::new(cache::open(path, &[])?),
        Some(path) => return Err(Error::file(path, "not a binary dataset, expected one made by `preprocess`")),
        None => Box::new(Teacher::new(args.seed, TeacherConfig::small()).dataset(GENERATED_ROWS, 1)?.0),
    };
    let order = args.data_randomize.order(args.seed);
    let source = RowSource::new(&*samples, 0..samples.rows() as usize, args.batch_size as usize, order);
    let speed =
        Prefetch::run(source, support::training::AHEAD, |source| drain(source, args.num_batches.unwrap_or(u64::MAX)))?;
    if args.json {
        println!("{}", serde_json::to_string(&speed).expect("an object of numbers"));
    } else {
        let Speed { rows, seconds, rows_per_s, mb_per_s } = speed;
        println!("{rows} rows in {seconds:.2} s: {rows_per_s:.0} rows/s, {mb_per_s:.0} MB/s");
    }
    Ok(())
}

/// Takes the batches of a pass, at most so many.
fn drain(source: &mut dyn BatchSource, most: u64) -> Result<Speed> {
    let mut meter = Meter::new("loading", Some(source.rows() as u64));
    let (mut batch, mut rows, start) = (Batch::default(), 0, Instant::now());
    for _ in 0..most {
        if !source.next_batch(&mut batch)? {
            break;
        }
        rows += batch.len() as u64;
        meter.update(rows, String::new);
    }
    meter.finish();
    let seconds = start.elapsed().as_secs_f64();
    let rows_per_s = rows as f64 / seconds;
    Ok(Speed { rows, seconds, rows_per_s, mb_per_s: 1e-6 * ROW_BYTES * rows_per_s })
}
