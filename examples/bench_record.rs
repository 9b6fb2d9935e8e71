//! Turns what `cargo bench` left behind into Markdown tables, to be kept as a record.
//!
//! `cargo run --release --example bench_record`

mod support;

use clap::Parser;
use dlrm_kernels::Isa;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::{fail, parse_args};

/// Prints the medians of the last run of each bench, one Markdown table a group: a line a scenario,
/// a column an implementation.
#[derive(Parser)]
struct Args {
    /// Where criterion keeps its results.
    #[arg(default_value = "target/criterion")]
    results: PathBuf,
}

/// Criterion's benchmark.json.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: String,
    value_str: String,
    throughput: Throughput,
}

/// The work of one iteration.
#[derive(Deserialize, Clone, Copy)]
enum Throughput {
    Bytes(f64),
    Elements(f64),
}

/// Criterion's estimates.json.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    /// In nanoseconds.
    point_estimate: f64,
}

/// A group's figures, by scenario and implementation.
#[derive(Default)]
struct Table {
    unit: &'static str,
    figures: BTreeMap<Name, BTreeMap<Name, f64>>,
}

/// A name behind what it is sorted by.
type Name = (String, String);

/// `name`, sorted with its numbers as such: 128x512 comes before 2048x64.
fn numerically(name: &str) -> Name {
    let (mut key, mut number) = (String::new(), String::new());
    for c in name.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if !number.is_empty() {
            key.push_str(&format!("{number:0>12}"));
            number.clear();
        }
        key.push(c);
    }
    (key, name.into())
}

/// The rate of a bench of `group`, and its unit.
fn rate(group: &str, throughput: Throughput, nanoseconds: f64) -> (f64, &'static str) {
    match (throughput, group.split('/').next()) {
        (Throughput::Bytes(bytes), _) => (bytes / nanoseconds, "GB/s"),
        (Throughput::Elements(flops), Some("gemm" | "interaction")) => (flops / nanoseconds, "GFLOP/s"),
        (Throughput::Elements(samples), Some("train_step")) => (1e9 * samples / nanoseconds, "samples/s"),
        (Throughput::Elements(elements), _) => (1e3 * elements / nanoseconds, "million elements/s"),
    }
}

/// Three digits, or all before the point.
fn digits(figure: f64) -> String {
    let places = if figure < 10.0 { 2 } else { usize::from(figure < 100.0) };
    format!("{figure:.places$}")
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = fs::read_to_string(path).map_err(|e| at(&e))?;
    serde_json::from_str(&text).map_err(|e| at(&e))
}

/// The folders of last results under `folder`.
fn last_results(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut found = Vec::new();
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()) {
        match folder.ends_with("new") {
            true => found.push(folder),
            false => found.extend(last_results(&folder)?),
        }
    }
    Ok(found)
}

fn tables(results: &Path) -> Result<BTreeMap<String, Table>, String> {
    let mut tables = BTreeMap::<String, Table>::new();
    for folder in last_results(results)? {
        let bench: Benchmark = read(&folder.join("benchmark.json"))?;
        let estimates: Estimates = read(&folder.join("estimates.json"))?;
        let (figure, unit) = rate(&bench.group_id, bench.throughput, estimates.median.point_estimate);
        let table = tables.entry(bench.group_id).or_default();
        table.unit = unit;
        let scenario = table.figures.entry(numerically(&bench.value_str)).or_default();
        scenario.insert(numerically(&bench.function_id), figure);
    }
    if tables.is_empty() {
        return Err(format!("{}: no results of cargo bench", results.display()));
    }
    Ok(tables)
}

fn print(group: &str, table: &Table) {
    let columns: BTreeSet<&Name> = table.figures.values().flat_map(BTreeMap::keys).collect();
    let line = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    println!("\n## {group}, {}\n", table.unit);
    line(std::iter::once(String::new()).chain(columns.iter().map(|c| c.1.clone())).collect());
    println!("|---|{}", "--:|".repeat(columns.len()));
    for (scenario, figures) in &table.figures {
        let figures = columns.iter().map(|&c| figures.get(c).map_or(String::new(), |&f| digits(f)));
        line(std::iter::once(scenario.1.clone()).chain(figures).collect());
    }
}

/// The processor as Linux calls it, and the widest instruction set that the benches use.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {processors} processors, {}", model.unwrap_or("unknown processor"), Isa::best().name())
}

fn main() -> ExitCode {
    let args = match parse_args::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match tables(&args.results) {
        Err(e) => fail(e),
        Ok(tables) => {
            println!("{}.", machine());
            tables.iter().for_each(|(group, table)| print(group, table));
            ExitCode::SUCCESS
        }
    }
}
