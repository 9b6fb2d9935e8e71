//! Where the time of a run goes: a table by operation, and the first calls as a trace.

use super::columns::print_columns;
use clap::Args;
use dlrm::backend::Backend;
use dlrm::profile::{Entry, Event, Profiled, Trace, reference_operators};
use dlrm::{Error, Result};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args)]
pub struct ProfileFlags {
    /// Print the time of each operation in the end, and write the first 50,000 calls to this file, which
    /// ui.perfetto.dev and chrome://tracing show.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

/// A profile in the making. Its file has its name when it is complete, and another before.
pub struct Profile {
    profiled: Arc<Profiled>,
    path: PathBuf,
    part: Part,
}

/// A file that goes when it is not needed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // It may have another name by now.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a profile can be written there.
pub fn check(path: Option<&Path>) -> Result<()> {
    match path {
        Some(path) if path.is_dir() || path.file_name().is_none() => {
            Err(Error::file(path, "not the name of a file, expected one to write"))
        }
        Some(path) => part_of(path).map(drop),
        None => Ok(()),
    }
}

/// The file that is written before it gets the name `path`.
fn part_of(path: &Path) -> Result<Part> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    File::create(&name).map_err(|e| Error::io(path, e))?;
    Ok(Part(name.into()))
}

/// The backend to work on, and the profile of what it does, if there is a file to put it.
pub fn backend(inner: &Arc<dyn Backend>, path: Option<&Path>) -> Result<(Arc<dyn Backend>, Option<Profile>)> {
    let Some(path) = path else { return Ok((inner.clone(), None)) };
    inner.begin_timing()?;
    // What is wrong with the path is said before the work is done.
    check(Some(path))?;
    let part = part_of(path)?;
    let profiled = Arc::new(Profiled::with_trace(inner.clone()));
    Ok((profiled.clone(), Some(Profile { profiled, path: path.to_owned(), part })))
}

impl Profile {
    /// The backend that is watched.
    pub fn profiled(&self) -> &Arc<Profiled> {
        &self.profiled
    }

    /// Forgets what it took to set up.
    pub fn start(&self) {
        self.profiled.take();
        self.profiled.take_trace();
    }

    /// Prints the table and writes the trace.
    pub fn finish(self) -> Result<()> {
        let entries = self.profiled.take();
        self.finish_with(entries)
    }

    /// The same, of entries that were taken before.
    pub fn finish_with(self, entries: impl IntoIterator<Item = Entry>) -> Result<()> {
        let trace = self.profiled.take_trace();
        let write = || {
            let mut file = BufWriter::new(File::create(&self.part.0)?);
            serde_json::to_writer(&mut file, &chrome(&trace))?;
            file.into_inner()?.sync_all()?;
            fs::rename(&self.part.0, &self.path)
        };
        write().map_err(|e| Error::io(&self.path, e))?;
        print_table(entries);
        let (calls, path) = (trace.events.len(), self.path.display());
        match trace.left_out {
            0 => println!("{path}: {calls} calls and phases, for ui.perfetto.dev or chrome://tracing"),
            left => println!("{path}: the first {calls} calls and phases of {}", calls as u64 + left),
        }
        Ok(())
    }
}

/// A line for each operation and layer, slowest first.
fn print_table(entries: impl IntoIterator<Item = Entry>) {
    let mut all: Vec<Entry> = Vec::new();
    for entry in entries {
        match all.iter_mut().find(|e| (e.operator, e.layer) == (entry.operator, entry.layer)) {
            None => all.push(entry),
            Some(same) => {
                same.calls += entry.calls;
                same.time += entry.time;
            }
        }
    }
    all.sort_by_key(|e| std::cmp::Reverse(e.time));
    let total: f64 = all.iter().map(|e| e.time.as_secs_f64()).sum();
    let line = |e: &Entry| {
        let seconds = e.time.as_secs_f64();
        let [caffe2, pytorch] = reference_operators(e.operator).unwrap_or_default();
        vec![
            e.operator.to_owned(),
            e.layer.map_or(String::new(), |[m, n, k]| format!("{m}×{n}×{k}")),
            e.calls.to_string(),
            format!("{:.3}", 1e3 * seconds),
            format!("{:.3}", 1e3 * seconds / e.calls.max(1) as f64),
            format!("{:.1} %", 100.0 * seconds / total),
            caffe2.to_owned(),
            pytorch.to_owned(),
        ]
    };
    let header = ["operation", "M×N×K", "calls", "ms", "ms a call", "of all", "Caffe2's", "PyTorch's"];
    print_columns(&header, &all.iter().map(line).collect::<Vec<_>>());
}

/// A trace in the format of Chrome's trace viewer: complete events, times in microseconds.
fn chrome(trace: &Trace) -> Value {
    let micros = |nanos: u128| nanos as f64 / 1e3;
    let name = |what: &str, thread: usize, name: &str| json!({ "name": what, "ph": "M", "pid": 1, "tid": thread + 1, "args": { "name": name } });
    let event = |e: &Event| {
        let mut args: serde_json::Map<String, Value> =
            e.shapes.iter().map(|(array, shape)| ((*array).to_owned(), json!(shape.to_vec()))).collect();
        if let Some([caffe2, pytorch]) = reference_operators(e.name) {
            args.insert("caffe2".into(), caffe2.into());
            args.insert("pytorch".into(), pytorch.into());
        }
        json!({
            "name": e.name,
            "cat": if e.is_phase { "phase" } else { "operation" },
            "ph": "X",
            "ts": micros(e.start.as_nanos()),
            "dur": micros(e.time.as_nanos()),
            "pid": 1,
            "tid": e.thread + 1,
            "args": args,
        })
    };
    let threads = trace.threads.iter().enumerate().map(|(t, thread)| name("thread_name", t, thread));
    let events = std::iter::once(name("process_name", 0, "dlrm")).chain(threads).chain(trace.events.iter().map(event));
    json!({ "displayTimeUnit": "ms", "traceEvents": events.collect::<Vec<_>>() })
}
