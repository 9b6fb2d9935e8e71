//! Trains a DLRM on days of rows in Criteo's format, more than fit into memory, and tests it on the last; with no
//! arguments on a few generated days.
//!
//! `cargo run --release --example criteo_terabyte -- --data day_0.gz day_1.gz day_2.gz`

mod support;

use clap::{CommandFactory, Parser};
use dlrm::data::preprocess::{Numbering, Options};
use dlrm::data::source::Samples;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::flags::{Recipe, TrainFlags};
use support::training::run;
use support::{cache, ended, parse_args_of, say};

/// Generated rows of the default run.
const DAYS: usize = 3;
const ROWS_A_DAY: usize = 20_000;

/// The reference's `bench/dlrm_s_criteo_terabyte.sh`, as are the defaults of the flags.
const RECIPE: Recipe = Recipe { hidden: &[512, 256], sgd_lr: 0.1 };

/// Its `--max-ind-range`.
const MAX_IND_RANGE: u32 = 10_000_000;

/// Trains a DLRM on days of rows in Criteo's format, more than fit into memory, and tests it on
/// the last day.
///
/// Defaults are those of the reference's Terabyte run. Without --data it generates three small
/// days.
#[derive(Parser)]
struct Args {
    /// A file for each day, in order: label, 13 integers, 26 ids, tab-separated, plain, .gz or
    /// .zst; or one binary dataset. One is made of text, FILE+2.rows for three days, and used
    /// again as long as the text stays.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Ids modulo this are ids; 0 leaves them as they are [default: 10000000].
    #[arg(long)]
    max_ind_range: Option<u32>,
    /// The probability with which a row without a click is left out [default: 0].
    #[arg(long, value_parser = probability)]
    sub_sample_rate: Option<f64>,
    #[command(flatten)]
    train: TrainFlags,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|p| (0.0..=1.0).contains(p));
    number.ok_or_else(|| "expected a probability".into())
}

impl Args {
    fn parse_with_defaults() -> Result<Args, ExitCode> {
        let default = |value: &'static str| move |flag: clap::Arg| flag.default_value(value);
        let help = |text: &'static str| move |flag: clap::Arg| flag.help(text);
        let bottom = "Widths of the bottom MLP from the 13 dense features to the embedding dim [default: \
                      13-512-256-(embedding dim)]";
        let command = Args::command()
            .mut_arg("batch_size", default("2048"))
            .mut_arg("embedding_dim", default("64"))
            .mut_arg("bottom_mlp", help(bottom))
            .mut_arg("top_mlp", default("512-512-256-1"))
            .mut_arg("data_randomize", default("day"));
        parse_args_of(command)
    }

    /// What to make of text.
    fn options(&self, inputs: Vec<PathBuf>) -> Options {
        let numbering = Numbering::Vocabulary {
            max_ind_range: self.max_ind_range.unwrap_or(MAX_IND_RANGE),
            min_count: self.train.min_count.unwrap_or(1),
        };
        let output = cache::beside(&inputs);
        Options {
            numbering,
            sub_sample_rate: self.sub_sample_rate.unwrap_or(0.0),
            seed: self.train.seed,
            bad_rows: self.train.bad_rows(),
            ..Options::new(inputs, output)
        }
    }

    /// The flags that a binary dataset was made with, if they are given.
    fn asked(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("--max-ind-range", self.max_ind_range.map(|range| range.to_string())),
            ("--sub-sample-rate", self.sub_sample_rate.map(|rate| rate.to_string())),
            ("--min-count", self.train.min_count.map(|count| count.to_string())),
        ]
    }
}

fn read(args: &Args) -> Result<Box<dyn Samples>> {
    for path in &args.data {
        match (cache::is_binary(path)?, args.data.len()) {
            (false, _) => {}
            (true, 1) => {
                say(format_args!("reading {}", path.display()));
                return Ok(Box::new(cache::open(path, &args.asked())?));
            }
            (true, _) => return Err(Error::file(path, "a binary dataset among other files, expected it alone")),
        }
    }
    if args.data.is_empty() {
        return generate(args);
    }
    Ok(Box::new(cache::cached(&args.options(args.data.clone()))?))
}

/// Days of generated rows, by way of files that are gone afterwards.
fn generate(args: &Args) -> Result<Box<dyn Samples>> {
    say(format_args!("no --data: generating {DAYS} days of {ROWS_A_DAY} rows in Criteo's format"));
    let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let days = write_days(args.train.seed, folder.path())?;
    // What is mapped stays readable without its name.
    Ok(Box::new(cache::make(&args.options(days))?))
}

fn write_days(seed: u64, folder: &Path) -> Result<Vec<PathBuf>> {
    let teacher = Teacher::new(seed, TeacherConfig::small());
    let text: Vec<u8> = teacher.blocks((DAYS * ROWS_A_DAY) as u64, |block| block.text).flatten().collect();
    let lines: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').collect();
    let write = |(day, lines): (usize, &[&[u8]])| {
        let path = folder.join(format!("day_{day}"));
        fs::write(&path, lines.concat()).map_err(|e| Error::io(&path, e))?;
        Ok(path)
    };
    lines.chunks(ROWS_A_DAY).enumerate().map(write).collect()
}

fn main() -> ExitCode {
    let args = match Args::parse_with_defaults() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let trained = args.train.check_files(&args.data).and_then(|()| run(&args.train, &RECIPE, || read(&args)));
    match trained {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => ended(&e),
    }
}
