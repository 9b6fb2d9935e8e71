//! What a user can do wrong, one clear line each.
//!
//! A programmer's mistake (two shapes that do not fit) panics at the operation instead; a value
//! of [`Error`] is always about a file, a row, a flag or a configuration.

mod fault;

pub use fault::{Fault, Pass};

use std::path::{Path, PathBuf};

/// A mistake in what a user handed in. Its `Display` is one line that names the place and what
/// was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A row of a text file does not have the format it should have.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column (tab-separated field), from 1.
        column: usize,
        /// What stood there and what was expected.
        message: String,
    },
    /// A file as a whole cannot be used (empty, too few rows, wrong kind).
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A model configuration that contradicts itself.
    #[error("{0}")]
    Config(String),
    /// A batch that does not fit the model it is given to.
    #[error("batch: {0}")]
    Batch(String),
    /// A device that computes cannot be used, or no longer: what it is, and what is the matter.
    #[error("{0}")]
    Device(String),
    /// Another rank of the group can no longer be reached.
    #[error("rank {rank}: {message}")]
    Rank {
        /// Which one.
        rank: usize,
        /// What is known of it.
        message: String,
    },
    /// The loss or a gradient is no longer a number.
    #[error("step {step}: {fault}{}", after(fault, *skipped))]
    Diverged {
        /// Training step, from 1.
        step: u64,
        /// Steps that were left out before this one, for the same reason, one after the other.
        skipped: u64,
        /// The first number that is NaN or infinite.
        fault: Box<Fault>,
    },
    /// Training was [asked](crate::train::Observer::interrupted) to end.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// The last training step, from 1.
        step: u64,
    },
}

/// What there is to say of it.
fn after(fault: &Fault, skipped: u64) -> String {
    let skipped = if skipped == 0 { String::new() } else { format!(", after {skipped} steps that were left out") };
    match fault.pass {
        Pass::Input => format!("{skipped}, expected finite numbers"),
        _ => format!("{skipped}; a lower --lr, or --lr-warmup-steps, is the usual remedy"),
    }
}

impl Error {
    /// An [`Error::Io`] at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_owned(), source }
    }

    /// An [`Error::File`] at `path`.
    pub fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_owned(), message: message.into() }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
