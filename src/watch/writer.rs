//! Event files written.

use super::event::{Event, Value, What};
use super::histogram::Histogram;
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The version that all readers ask for.
pub(super) const VERSION: &str = "brain.Event:2";

/// What the names of event files have in front of the time.
const PREFIX: &str = "events.out.tfevents.";

/// Writes a TensorBoard event file. Each event is given to the operating system at once and whole, so that TensorBoard
/// shows it while the run goes on, and the end of the process loses none.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// A new file in `folder`, which is made if it is missing, for a run of which `steps` steps are done: none, or those
    /// before it was resumed. The file's name comes after those of all event files that are there, and TensorBoard takes
    /// what those have of later steps for void.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(folder: &Path, steps: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let last = last_time(folder).map_err(|e| Error::io(folder, e))?;
        let time = (now() as u64).max(last.map_or(0, |last| last.saturating_add(1)));
        let path = folder.join(format!("{PREFIX}{time:010}.{}.{}", host(), std::process::id()));
        let file = File::options().write(true).create_new(true).open(&path).map_err(|e| Error::io(&path, e))?;
        let mut writer = EventWriter { path, file };
        let step = steps.saturating_add(1);
        writer.write(step, What::Version(VERSION.into()))?;
        writer.write(step, What::Start)?;
        Ok(writer)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers that were measured at a step, each with its name. TensorBoard keeps 32 bits of them.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<()> {
        let value = |&(tag, number): &(&str, f64)| (tag.to_owned(), Value::Scalar(number as f32));
        self.write(step, What::Summary(scalars.iter().map(value).collect()))
    }

    /// How some numbers were spread at a step.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn histogram(&mut self, step: u64, tag: &str, histogram: Histogram) -> Result<()> {
        self.write(step, What::Summary(vec![(tag.to_owned(), Value::Histogram(Box::new(histogram)))]))
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let record = Event { wall_time: now(), step, what }.to_record();
        self.file.write_all(&record).map_err(|e| Error::io(&self.path, e))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The latest time that an event file of `folder` is named by.
fn last_time(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut last = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let time = rest.and_then(|rest| rest.split('.').next()).and_then(|time| time.parse().ok());
        last = last.max(time);
    }
    Ok(last)
}

/// What the machine calls itself, as far as a file's name takes it.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    if name.is_empty() { "localhost".into() } else { name }
}
