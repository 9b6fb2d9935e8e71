//! Turns datasets of one format into another: see `dlrm::data::formats`.
//!
//! ```sh
//! cargo run --release --example convert -- --input day_0_reordered.npz day_1_reordered.npz --output rows.dlrm
//! cargo run --release --example convert -- --input rows.dlrm --output train_data.bin
//! cargo run --release --features parquet --example convert -- --input rows.parquet --output rows.dlrm
//! ```

mod support;

use clap::Parser;
use dlrm::data::binary::RowFile;
#[cfg(feature = "parquet")]
use dlrm::data::formats::parquet;
use dlrm::data::formats::{mlperf, npz, torchrec};
use dlrm::data::schema::{Schema, Transform};
use dlrm::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::run_main;

/// Turns datasets of one format into another: by the end of its name a file is the reference's (.npz), MLPerf's (.bin),
/// TorchRec's (_dense.npy, with _sparse.npy and _labels.npy beside it), Parquet (.parquet), else a binary dataset of
/// this project.
#[derive(Parser)]
struct Args {
    /// The files to read, of one format; each becomes a day.
    #[arg(long, required = true, num_args = 1..)]
    input: Vec<PathBuf>,
    /// The file to write.
    #[arg(long)]
    output: PathBuf,
    /// The columns to read from Parquet, as TOML; Criteo's if not given: label, I1 to I13, C1 to C26.
    #[arg(long)]
    schema: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Npz,
    Mlperf,
    Torchrec,
    Parquet,
    Ours,
}

impl Format {
    fn of(path: &Path) -> Format {
        match path.file_name().unwrap_or_default().to_string_lossy() {
            name if name.ends_with(".npz") => Format::Npz,
            name if name.ends_with(".bin") => Format::Mlperf,
            name if name.ends_with(DENSE) => Format::Torchrec,
            name if name.ends_with(".parquet") => Format::Parquet,
            _ => Format::Ours,
        }
    }
}

/// How the first of TorchRec's three names ends.
const DENSE: &str = "_dense.npy";

fn main() -> ExitCode {
    run_main(run)
}

fn run(args: &Args) -> Result<()> {
    let (from, to) = (Format::of(&args.input[0]), Format::of(&args.output));
    if let Some(other) = args.input.iter().find(|path| Format::of(path) != from) {
        let message = format!("another format than {}, expected the same", args.input[0].display());
        return Err(Error::file(other, message));
    }
    if args.schema.is_some() && from != Format::Parquet {
        return Err(Error::Config("--schema: expected Parquet as --input beside it".into()));
    }
    match (from, &args.input[..]) {
        (Format::Ours, [input]) if to != Format::Ours => write(to, &RowFile::open(input)?, &args.output),
        (Format::Ours, [_]) => Err(Error::file(&args.output, "the format of the input, expected another")),
        (Format::Ours, [_, second, ..]) => Err(Error::file(second, "a second binary dataset, expected one")),
        _ if to == Format::Ours => read(from, args, &args.output),
        _ => {
            let rows = beside(&args.output);
            let done = read(from, args, &rows).and_then(|()| write(to, &RowFile::open(&rows)?, &args.output));
            let _ = fs::remove_file(&rows); // it may never have been made
            done
        }
    }
}

fn read(format: Format, args: &Args, output: &Path) -> Result<()> {
    let inputs = &args.input;
    match format {
        Format::Npz => npz::read(inputs, output),
        Format::Mlperf => mlperf::read(inputs, output),
        Format::Torchrec => torchrec::read(&inputs.iter().map(|path| prefix(path)).collect::<Vec<_>>(), output),
        Format::Parquet => parquet::read(inputs, &schema(args.schema.as_deref())?, output),
        Format::Ours => unreachable!("opened as they are"),
    }
}

fn schema(path: Option<&Path>) -> Result<Schema> {
    let Some(path) = path else { return Ok(Schema::criteo(Transform::Log)) };
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    toml::from_str(&text).map_err(|e| Error::file(path, format!("{}, expected a schema", e.message())))
}

fn write(format: Format, rows: &RowFile, output: &Path) -> Result<()> {
    match format {
        Format::Npz => npz::write(rows, output),
        Format::Mlperf => mlperf::write(rows, output),
        Format::Torchrec => torchrec::write(rows, &prefix(output)),
        Format::Parquet => parquet::write(rows, output),
        Format::Ours => unreachable!("read into it"),
    }
}

/// `day_0` of `day_0_dense.npy`.
fn prefix(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(name.strip_suffix(DENSE).unwrap_or(&name))
}

/// A name for the rows on their way from one format of others to another.
fn beside(output: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(output.file_name().unwrap_or_default());
    name.push(format!(".{}.rows", std::process::id()));
    output.with_file_name(name)
}

/// Instead of the module of this name.
#[cfg(not(feature = "parquet"))]
mod parquet {
    use super::*;

    const MISSING: &str = "Parquet, expected this example to be built with --features parquet";

    pub fn read(inputs: &[PathBuf], _: &Schema, _: &Path) -> Result<()> {
        Err(Error::file(&inputs[0], MISSING))
    }

    pub fn write(_: &RowFile, path: &Path) -> Result<()> {
        Err(Error::file(path, MISSING))
    }
}
