//! Criteo's text to a binary dataset: see `dlrm::data::preprocess`.
//!
//! ```sh
//! cargo run --release --example preprocess -- --input train.txt --output train.rows
//! cargo run --release --example preprocess -- --input day_{0..23}.gz --output terabyte.rows --max-ind-range 10000000
//! ```

mod support;

use clap::{Parser, ValueEnum};
use dlrm::Result;
use dlrm::data::binary::RowFile;
use dlrm::data::criteo::BadRows;
use dlrm::data::preprocess::{Numbering, Options, Phase, Progress, Summary, preprocess};
use dlrm::data::schema::Transform;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use support::cache::check_text;
use support::{Meter, cpu, run_main};

/// Makes a binary dataset of rows in Criteo's format.
///
/// If it is stopped, the same command goes on where it was.
#[derive(Parser)]
struct Args {
    /// Rows in order of time, plain, .gz or .zst; of several files each is a day.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Days that a single file is cut into.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(2..))]
    days: u16,
    /// What a model sees of integers.
    #[arg(long, value_enum, default_value_t = Dense::Log)]
    dense: Dense,
    /// Ids modulo this are numbered; 0 for ids as they are.
    #[arg(long, default_value_t = 0)]
    max_ind_range: u32,
    /// Ids seen fewer times on all days but the last share row 0 of their table.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    min_count: u32,
    /// No vocabulary: ids are hashed to so many rows a table.
    #[arg(long, conflicts_with_all = ["max_ind_range", "min_count"], value_parser = clap::value_parser!(u32).range(1..))]
    hash_size: Option<u32>,
    /// The probability to leave out a row without a click.
    #[arg(long, default_value_t = 0.0)]
    sub_sample_rate: f64,
    /// Which rows those are.
    #[arg(long, default_value_t = 123)]
    seed: u64,
    /// Pass over bad rows and count them, instead of stopping at the first.
    #[arg(long)]
    skip_bad_rows: bool,
    /// Bytes that vocabularies may take in memory, such as 500M or 2G; what does not fit is numbered on disk.
    #[arg(long, value_parser = bytes, value_name = "BYTES")]
    memory_limit: Option<u64>,
    /// Threads; 0 means one for each processor. The result does not depend on it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// The summary as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dense {
    /// ln(1 + max(x, 0)), as the reference.
    Log,
    /// ln(x - min + 2), as TorchRec.
    LogShifted,
}

/// `500M`, `2G`: powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        _ => None,
    };
    let bytes = shift.zip(digits.parse::<u64>().ok()).and_then(|(shift, n)| n.checked_mul(1 << shift));
    bytes.ok_or_else(|| "expected a number of bytes, such as 500M or 2G".into())
}

impl Args {
    fn options(&self) -> Options {
        let numbering = match self.hash_size {
            Some(size) => Numbering::Hash(size),
            None => Numbering::Vocabulary { max_ind_range: self.max_ind_range, min_count: self.min_count },
        };
        Options {
            days: self.days.into(),
            transform: match self.dense {
                Dense::Log => Transform::Log,
                Dense::LogShifted => Transform::LogShifted,
            },
            numbering,
            sub_sample_rate: self.sub_sample_rate,
            seed: self.seed,
            bad_rows: if self.skip_bad_rows { BadRows::Skip } else { BadRows::Stop },
            memory_limit: self.memory_limit,
            ..Options::new(self.input.clone(), self.output.clone())
        }
    }
}

/// What a program wants to know.
#[derive(Serialize)]
struct Made {
    rows: u64,
    resumed: u64,
    skipped: u64,
    spilled_columns: usize,
    seconds: f64,
    rows_per_s: f64,
    bytes: u64,
    num_embeddings: Vec<u64>,
}

fn show(meter: &mut Option<Meter>, start: Instant, p: Progress) {
    match p.phase {
        Phase::Reading => {
            // How many rows there are is known at the end: bytes tell how far it is.
            let share = p.bytes as f64 / p.total.max(1) as f64;
            let left = start.elapsed().as_secs_f64() * (1.0 - share) / share.max(1e-9);
            let note = || {
                let rate = p.rows as f64 / start.elapsed().as_secs_f64();
                format!("{:.0} %, {rate:.0} rows/s, {left:.0} s left, ", 100.0 * share)
            };
            meter.get_or_insert_with(|| Meter::new("reading", None)).update(p.rows, note);
        }
        Phase::Numbering => {
            meter.get_or_insert_with(|| Meter::new("numbering", None)).update(p.rows, String::new);
        }
        Phase::Finishing => *meter = None,
    }
}

fn print(args: &Args, summary: Summary, made: &Made) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(made).expect("numbers only"));
        return Ok(());
    }
    println!("{}", args.output.display());
    println!("  {:<26}{:>14}", "rows", HumanCount(made.rows).to_string());
    if summary.resumed > 0 {
        println!("  {:<26}{:>14}", "of these read before", HumanCount(made.resumed).to_string());
    }
    if made.skipped > 0 {
        println!("  {:<26}{:>14}", "bad rows skipped", HumanCount(made.skipped).to_string());
    }
    if summary.spilled > 0 {
        println!("  {:<26}{:>14}", "columns numbered on disk", summary.spilled);
    }
    let ids: u64 = made.num_embeddings.iter().sum();
    println!("  {:<26}{:>14}", "embedding rows", HumanCount(ids).to_string());
    println!("  {:<26}{:>14}", "size", HumanBytes(made.bytes).to_string());
    println!("  {:<26}{:>14}", "seconds", format!("{:.1}", made.seconds));
    println!("  {:<26}{:>14}", "rows a second", HumanCount(made.rows_per_s as u64).to_string());
    Ok(())
}

fn run(args: &Args) -> Result<()> {
    args.input.iter().try_for_each(|path| check_text(path))?;
    let (options, start, backend) = (args.options(), Instant::now(), cpu(args.threads.into())?);
    let mut summary = None;
    use dlrm::backend::Backend;
    backend.scope(&mut || {
        let mut meter = None;
        summary = Some(preprocess(&options, &mut |p| show(&mut meter, start, p)));
    });
    let summary = summary.expect("the scope ran")?;
    let seconds = start.elapsed().as_secs_f64();
    let file = RowFile::open(&args.output)?;
    let made = Made {
        rows: summary.rows,
        resumed: summary.resumed,
        skipped: summary.skipped,
        spilled_columns: summary.spilled,
        seconds,
        rows_per_s: (summary.rows - summary.resumed) as f64 / seconds,
        bytes: std::fs::metadata(&args.output).map_err(|e| dlrm::Error::io(&args.output, e))?.len(),
        num_embeddings: file.header().num_embeddings.clone(),
    };
    print(args, summary, &made)
}

fn main() -> ExitCode {
    run_main(run)
}
