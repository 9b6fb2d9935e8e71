//! What the examples share: flags, errors, progress, rows and how they are trained on, standard models, columns of
//! figures.

// Each example uses its own part of this.
#![allow(dead_code)]

pub mod backend_flags;
pub mod breakdown;
pub mod cache;
pub mod change_flags;
pub mod checkpoint_flags;
pub mod columns;
pub mod compression_flags;
pub mod exchanges;
pub mod files;
pub mod flags;
pub mod latency;
pub mod log;
pub mod loss_flags;
pub mod machine;
pub mod memory;
pub mod mlperf;
pub mod model_flags;
pub mod models;
pub mod new_rows;
pub mod options;
pub mod profile;
pub mod quantize;
pub mod ranks;
pub mod ranks_flags;
pub mod ranks_step;
pub mod report;
pub mod run_flags;
pub mod signals;
pub mod training;
pub mod watch;
pub mod watch_flags;
pub mod whole;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Parser};
use dlrm::backend::{Backend, Cpu};
use dlrm_kernels::Isa;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The flags, or the exit code after help (0) or after one line about a wrong flag (1).
pub fn parse_args<A: Parser>() -> Result<A, ExitCode> {
    parse_args_of(A::command())
}

/// The same for a command whose flags were changed, such as their defaults.
pub fn parse_args_of<A: Parser>(mut command: Command) -> Result<A, ExitCode> {
    // A number below 0 is a wrong number, not an unknown flag.
    command = command.allow_negative_numbers(true);
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    if let Ok(matches) = &matches {
        FLAGS.get_or_init(|| flags_of(&command, matches));
        if let Some(code) = backend_flags::listed(matches) {
            return Err(code);
        }
    }
    matches.and_then(|matches| A::from_arg_matches(&matches)).map_err(|e| {
        if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            print!("{e}");
            return ExitCode::SUCCESS;
        }
        let text = e.to_string();
        let lines = text.lines().map(str::trim).take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more"));
        let line = lines.filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
        fail(EXPECTED.iter().fold(line.trim_start_matches("error: ").to_owned(), |line, (said, expected)| {
            if line.ends_with(said) || said.ends_with(' ') { line.replace(said, expected) } else { line }
        }))
    })
}

/// The flags of this run, for a report.
static FLAGS: OnceLock<Vec<(String, String)>> = OnceLock::new();

/// Every flag that has a value, given or by default, and the value.
pub fn given_flags() -> &'static [(String, String)] {
    FLAGS.get().map_or(&[], |flags| flags)
}

fn flags_of(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    let flag = |arg: &clap::Arg| {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok()??;
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        Some((format!("--{}", arg.get_long()?), values.join(" ")))
    };
    command.get_arguments().filter_map(flag).collect()
}

/// What the parsers of others say, and what is said instead.
const EXPECTED: [(&str, &str); 6] = [
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number"),
    ("number too large to fit in target type", "expected a smaller number"),
    ("number too small to fit in target type", "expected a larger number"),
    ("invalid float literal", "expected a number"),
    (" tip: ", "; "),
];

/// An example from its flags to its exit code: what goes wrong is one line, and 1.
pub fn run_main<A: Parser>(run: impl FnOnce(&A) -> dlrm::Result<()>) -> ExitCode {
    match parse_args().map(|args| run(&args)) {
        Err(code) => code,
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(e)) => ended(&e),
    }
}

/// The exit code of what went wrong, or was interrupted.
pub fn ended(error: &dlrm::Error) -> ExitCode {
    match error {
        // It was told when it happened.
        dlrm::Error::Interrupted { .. } => signals::exit_code(),
        error => fail(error),
    }
}

/// The processor with `threads` threads and the instruction set that the environment allows.
pub fn cpu(threads: usize) -> dlrm::Result<Arc<Cpu>> {
    let isa = Isa::from_env().map_err(dlrm::Error::Config)?;
    Ok(Arc::new(Cpu::with_isa(threads, isa)))
}

/// Whether `bytes` for `what` fit into the memory that is left.
pub fn check_memory(what: &str, bytes: f64, backend: &dyn Backend) -> dlrm::Result<()> {
    match backend.available_memory() {
        Some(available) if bytes > available as f64 => Err(dlrm::Error::Config(format!(
            "{what} need {:.1} GB of memory, and {:.1} GB are available",
            1e-9 * bytes,
            1e-9 * available as f64
        ))),
        _ => Ok(()),
    }
}

/// Whether another process says what this one does too.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// From here on this process leaves it to another to [`say`] what both do.
pub fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// One line on standard error about what all ranks do, from the first of them.
pub fn say(line: impl Display) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        eprintln!("{line}");
    }
}

/// One line on standard error, and exit code 1.
pub fn fail(error: impl Display) -> ExitCode {
    eprintln!("error: {error}");
    tracing::error!(reason = %error, "end");
    ExitCode::FAILURE
}

/// Widths of layers as the reference writes them: `512-256-1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Widths(pub Vec<usize>);

impl FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let width = |w: &str| w.parse::<usize>().ok().filter(|&w| (1..=1 << 20).contains(&w));
        let widths = text.split('-').map(width).collect::<Option<Vec<_>>>();
        widths
            .map(Widths)
            .ok_or_else(|| "expected widths from 1 to 1048576 with dashes between, such as 512-256-1".into())
    }
}

impl Display for Widths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(usize::to_string).collect::<Vec<_>>().join("-"))
    }
}

/// A flag's number above 0 and finite, also in 32 bits.
pub fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|&v| (v as f32).is_finite() && v as f32 > 0.0);
    number.ok_or_else(|| "expected a number above 0, from 1e-45 to 3.4e38".into())
}

/// Progress through rows, on standard error: a bar on a terminal, a line every few seconds
/// elsewhere.
pub struct Meter {
    what: String,
    bar: ProgressBar,
    start: Instant,
    last: Instant,
}

/// Between two looks at the clock's worth of news: on a terminal, and elsewhere.
const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Meter {
    /// Of `rows`, if it is known how many there are.
    pub fn new(what: impl Into<String>, rows: Option<u64>) -> Self {
        let what = what.into();
        let (bar, style) = match rows {
            Some(rows) => (ProgressBar::new(rows), "{prefix} [{bar:30}] {human_pos}/{human_len} rows, {msg}{eta} left"),
            None => (ProgressBar::new_spinner(), "{prefix} {spinner} {human_pos} rows, {msg}{elapsed}"),
        };
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template").progress_chars("=> "));
        Meter { bar: bar.with_prefix(what.clone()), what, start: Instant::now(), last: Instant::now() }
    }

    /// `rows` are done; `note` says more, if anyone looks.
    pub fn update(&mut self, rows: u64, note: impl FnOnce() -> String) {
        let every = if self.bar.is_hidden() { LINE_EVERY } else { BAR_EVERY };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        if !self.bar.is_hidden() {
            self.bar.set_message(note());
            return self.bar.set_position(rows);
        }
        let (what, done, note) = (&self.what, HumanCount(rows), note());
        match self.bar.length() {
            None => say(format_args!("{what}: {done} rows, {note}{:.0} s", self.start.elapsed().as_secs_f64())),
            Some(total) => {
                let left = self.start.elapsed().as_secs_f64() * (total - rows.min(total)) as f64 / rows.max(1) as f64;
                say(format_args!("{what}: {done}/{} rows, {note}{left:.0} s left", HumanCount(total)));
            }
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
