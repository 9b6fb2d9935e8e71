//! How often the rows of each table are met, and how soon again: see `dlrm::data::locality`.
//!
//! ```sh
//! cargo run --release --example locality -- --data train.txt --columns C3,C4 --svg hit_rates.svg
//! ```

#[path = "../support/mod.rs"]
mod support;

mod report;
mod rows;
mod svg;

use clap::Parser;
use dlrm::data::locality::{Locality, LocalityProfiler};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::{Error, Result};
use rayon::prelude::*;
use report::Report;
use rows::Rows;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use support::files::check_apart;
use support::whole::Whole;
use support::{Meter, run_main};

/// Shows how often the rows of each table are met, and how soon again.
#[derive(Parser)]
struct Args {
    /// A binary dataset, or rows in Criteo's format, plain or .gz; if left out, a million generated rows.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Only these columns, with commas between.
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
    /// Draws the hit rates of LRU caches into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// A JSON object a column instead of table and plot.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run_main(run)
}

fn run(args: &Args) -> Result<()> {
    check_apart(args.data.as_deref(), args.svg.as_deref())?;
    // A file that cannot be written is better known before the rows are read.
    let svg = args.svg.as_deref().map(Whole::create).transpose()?;
    let teacher;
    let rows = match &args.data {
        Some(path) => Rows::open(path)?,
        None => {
            teacher = Teacher::new(1, TeacherConfig::kaggle());
            Rows::generated(&teacher, 1_000_000)
        }
    };
    let chosen = choose(&rows.columns, &args.columns)?;
    let names: Vec<String> = chosen.iter().map(|&c| rows.columns[c].clone()).collect();
    let localities = profile(rows, &chosen)?;
    let reports: Vec<Report> = names.iter().zip(&localities).map(|(name, l)| Report::new(name, l)).collect();
    if args.json {
        reports.iter().for_each(Report::print_json);
    } else {
        report::print(&reports);
    }
    let Some(mut file) = svg else { return Ok(()) };
    let drawn = svg::hit_rates(&names, &localities);
    file.write_all(drawn.as_bytes()).map_err(|e| Error::io(args.svg.as_deref().unwrap_or("".as_ref()), e))?;
    file.finish()
}

/// The places of the columns that were asked for; of all, if none was.
fn choose(columns: &[String], names: &[String]) -> Result<Vec<usize>> {
    let place = |name: &String| {
        let unknown = || Error::Config(format!("--columns {name}: expected some of {}", columns.join(", ")));
        columns.iter().position(|c| c == name).ok_or_else(unknown)
    };
    if names.is_empty() { Ok((0..columns.len()).collect()) } else { names.iter().map(place).collect() }
}

/// The locality of the chosen columns: side by side, while the next rows are read.
fn profile(mut rows: Rows, chosen: &[usize]) -> Result<Vec<Locality>> {
    let mut profilers = vec![LocalityProfiler::default(); chosen.len()];
    let mut meter = Meter::new("profiling", rows.total);
    let (mut ids, mut next) = (vec![Vec::new(); rows.columns.len()], vec![Vec::new(); rows.columns.len()]);
    let mut done = 0;
    loop {
        let take = || {
            let columns = profilers.par_iter_mut().zip(chosen);
            columns.for_each(|(profiler, &c)| profiler.extend(ids[c].iter().copied()));
        };
        let (read, ()) = rayon::join(|| rows.next_block(&mut next), take);
        match read? {
            0 => break,
            read => done += read,
        }
        meter.update(done, String::new);
        std::mem::swap(&mut ids, &mut next);
    }
    meter.finish();
    Ok(profilers.into_par_iter().map(LocalityProfiler::finish).collect())
}
