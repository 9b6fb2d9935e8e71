//! Writes generated rows in Criteo's format: see `dlrm::data::teacher`.
//!
//! ```sh
//! cargo run --release --example generate_rows -- --rows 20000000 --output rows.tsv --seed 1
//! ```

mod support;

use clap::Parser;
use dlrm::data::teacher::{Block, Teacher, TeacherConfig};
use dlrm::{Error, Result};
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use support::whole::Whole;
use support::{Meter, run_main};

/// Writes rows in Criteo's format, made by a planted teacher.
#[derive(Parser)]
struct Args {
    /// How many rows.
    #[arg(long)]
    rows: u64,
    /// The file to write; compressed if its name ends in .gz.
    #[arg(long)]
    output: PathBuf,
    /// Rows depend on this and on nothing else.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// As many different ids as Criteo's Kaggle set, instead of a few thousand.
    #[arg(long)]
    kaggle_vocabularies: bool,
}

fn main() -> ExitCode {
    run_main(run)
}

fn run(args: &Args) -> Result<()> {
    let config = if args.kaggle_vocabularies { TeacherConfig::kaggle() } else { TeacherConfig::small() };
    let teacher = Teacher::new(args.seed, config);
    let mut file = Whole::create(&args.output)?;
    write(&teacher, args, &mut file).map_err(|e| Error::io(&args.output, e))?;
    file.finish()
}

fn write(teacher: &Teacher, args: &Args, file: &mut Whole) -> io::Result<()> {
    let compress = args.output.extension().is_some_and(|e| e == "gz");
    let mut meter = Meter::new("generating", Some(args.rows));
    let mut written = 0;
    let blocks = teacher.blocks(args.rows, |block| {
        let rows = block.probabilities.len() as u64;
        Ok::<_, io::Error>((if compress { gz_member(&block)? } else { block.text }, rows))
    });
    for block in blocks {
        let (bytes, rows) = block?;
        file.write_all(&bytes)?;
        written += rows;
        meter.update(written, String::new);
    }
    meter.finish();
    Ok(())
}

/// One member a block: a .gz may have many, so blocks are compressed side by side.
fn gz_member(block: &Block) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&block.text)?;
    encoder.finish()
}
