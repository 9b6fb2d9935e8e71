//! The figures of the paper (Naumov et al. 2019, arXiv 1906.00091), made anew: each as CSV and SVG, and what the paper says
//! of it beside what comes out.
//!
//! ```sh
//! cargo run --release --example paper_figures -- all
//! ```
//!
//! | name | of the paper | what |
//! |---|---|---|
//! | `figure3` | section 4.2, figure 3 | stack distances of a trace, of one generated in its place, and of an adjusted one |
//! | `figure5` | section 5.1, figure 5 | accuracy and loss of DLRM and DCN, with SGD and Adagrad |
//! | `figure6` | section 5.2, figure 6 | where the time of a step goes, by operator |
//! | `locality` | section 4.2 | hit rates of caches, for a trace and for one generated in its place |
//! | `algorithms` | section 4.2, algorithms 1 and 2 | stack distances of both, for columns of rows |

#[path = "../support/mod.rs"]
mod support;

#[path = "../locality/rows.rs"]
mod rows;

mod accuracy;
mod chart;
mod check;
mod distances;
mod locality;
mod operators;
mod traces;

use check::Check;
use clap::{Parser, ValueEnum};
use dlrm::{Error, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::columns::print_columns;
use support::run_main;
use support::whole::Whole;

/// Makes the figures of the paper, and sets what comes out beside what the paper says.
#[derive(Parser)]
struct Args {
    /// Which ones.
    #[arg(value_enum, default_value = "all")]
    figures: Vec<Figure>,
    /// Rows in Criteo's format, plain, .gz or .zst, or a binary dataset, for figure 5, locality and
    /// algorithms; if left out, generated ones.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Where CSV and SVG go.
    #[arg(long, value_name = "DIR", default_value = "target/paper_figures")]
    output: PathBuf,
    /// Threads; 0 means one for each processor.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// A tenth of the steps and accesses, a fifth of the generated rows. The models stay as large.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Figure {
    /// All of those below.
    All,
    /// Stack distances of even draws, of a trace generated in their place, and of an adjusted one.
    Figure3,
    /// Accuracy and loss of DLRM and DCN, with SGD and Adagrad.
    Figure5,
    /// The time of a step by operator, on the model of section 5.2; takes 2.5 GB of memory.
    Figure6,
    /// Hit rates of caches on a trace, and on one that was generated in its place.
    Locality,
    /// The stack distances of both.
    Algorithms,
}

impl Args {
    fn wants(&self, figure: Figure) -> bool {
        self.figures.contains(&figure) || self.figures.contains(&Figure::All)
    }

    /// The number, or a tenth of it.
    fn scaled(&self, number: u64) -> u64 {
        if self.quick { number / 10 } else { number }
    }
}

/// Where files go.
pub struct Output<'a>(&'a Path);

impl Output<'_> {
    /// Writes a file, which has its name once it is complete.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.0.join(name);
        fs::create_dir_all(self.0).map_err(|e| Error::io(self.0, e))?;
        let mut file = Whole::create(&path)?;
        file.write_all(text.as_bytes()).map_err(|e| Error::io(&path, e))?;
        file.finish()?;
        println!("{}", path.display());
        Ok(())
    }
}

fn main() -> ExitCode {
    run_main(run)
}

fn run(args: &Args) -> Result<()> {
    if args.output.exists() && !args.output.is_dir() {
        return Err(Error::file(&args.output, "not a directory, expected one for the figures"));
    }
    let (output, mut checks) = (Output(&args.output), Vec::new());
    if args.wants(Figure::Figure3) {
        checks.extend(distances::figure(&output)?);
    }
    if args.wants(Figure::Locality) || args.wants(Figure::Algorithms) {
        let traces = traces::make(args.data.as_deref(), args.scaled(200_000))?;
        if args.wants(Figure::Algorithms) {
            checks.extend(traces::stack_distances(&traces, &output)?);
        }
        if args.wants(Figure::Locality) {
            checks.extend(locality::hit_rates(&traces, &output)?);
        }
    }
    let cpu = support::cpu(args.threads.into())?;
    if args.wants(Figure::Figure6) {
        checks.extend(operators::profile(&cpu, args.scaled(20), &output)?);
    }
    if args.wants(Figure::Figure5) {
        // With a tenth of them SGD would learn next to nothing.
        let generated = if args.quick { 70_000 } else { 350_000 };
        checks.extend(accuracy::compare(args.data.as_deref(), generated, &cpu, &output)?);
    }
    println!();
    print_columns(&Check::HEADER, &checks.iter().map(Check::cells).collect::<Vec<_>>());
    match checks.iter().filter(|check| !check.ok).count() {
        0 => Ok(()),
        outside => Err(Error::Config(format!("{outside} of {} are outside of what is expected", checks.len()))),
    }
}
