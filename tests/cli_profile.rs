//! `--profile`: the file that the examples write is a trace that Chrome's viewer takes, and its times fit together.

mod common;

use common::example;
use serde_json::Value;
use std::fs;
use std::path::Path;

const NANOSECOND: f64 = 1.01e-3;

/// Complete events of a trace: whether it is a phase, name, start and end in microseconds.
struct Complete {
    is_phase: bool,
    name: String,
    start: f64,
    end: f64,
    args: Value,
}

/// Reads a trace and checks what holds of every one.
fn read(path: &Path) -> Vec<Complete> {
    let trace: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let (meta, events): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|e| e["ph"] == "M");
    let threads: Vec<&Value> = meta.iter().filter(|e| e["name"] == "thread_name").map(|e| &e["tid"]).collect();
    let complete = |e: &&Value| {
        assert!(e["ph"] == "X" && e["pid"] == 1 && threads.contains(&&e["tid"]), "{e}");
        let (start, time) = (e["ts"].as_f64().unwrap(), e["dur"].as_f64().unwrap());
        let name = e["name"].as_str().unwrap().to_owned();
        Complete { is_phase: e["cat"] == "phase", name, start, end: start + time, args: e["args"].clone() }
    };
    let events: Vec<Complete> = events.iter().map(complete).collect();
    let (phases, calls): (Vec<&Complete>, Vec<&Complete>) = events.iter().partition(|e| e.is_phase);
    for events in [&phases, &calls] {
        assert!(!events.is_empty());
        events.windows(2).for_each(|pair| {
            let (name, end, next) = (&pair[0].name, pair[0].end, pair[1].start);
            assert!(end <= next + NANOSECOND, "{name} ends at {end}, the next begins at {next}");
        });
    }
    for call in calls {
        let inside = |p: &&&Complete| p.start <= call.start + NANOSECOND && call.end <= p.end + NANOSECOND;
        assert_eq!(phases.iter().filter(inside).count(), 1, "{} at {}", call.name, call.start);
    }
    events
}

/// The names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_example_s_profile_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv");
    let sample = sample.to_str().unwrap();
    let cases: [(&str, &[&str]); 3] = [
        ("random", &["--mini-batch-size=2", "--data-size=6", "--test-freq=2"]),
        ("train_step", &["--config", "tiny", "--batch-size", "64", "--iters", "3", "--threads", "2"]),
        ("criteo_kaggle", &["--data", sample, "--no-cache", "--top-mlp", "8-1", "--bottom-mlp", "13-16"]),
    ];
    for (name, args) in cases {
        let path = dir.path().join("trace.json");
        fs::write(&path, "of an earlier run").unwrap();
        let out = example(name).args(args).arg("--profile").arg(&path).output().unwrap();
        let stdout = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(files(dir.path()), ["trace.json"], "{name}");
        let events = read(&path);
        for phase in ["forward", "backward", "update"] {
            assert!(events.iter().any(|e| e.is_phase && e.name == phase), "{name}: {phase}");
        }
        for (operator, array) in [("linear", "weight"), ("embedding_bags", "lookups"), ("interaction", "pooled")] {
            let event = events.iter().find(|e| e.name == operator).unwrap_or_else(|| panic!("{name}: {operator}"));
            assert!(event.args[array].is_array() && event.args["caffe2"].is_string(), "{name}: {}", event.args);
            assert!(stdout.lines().any(|l| l.starts_with(&format!("{operator} "))), "{name}: {stdout}");
        }
        let count = format!("trace.json: {} calls and phases, for ui.perfetto.dev", events.len());
        assert!(stdout.contains(&count), "{name}: {stdout}");
    }
}

#[test]
fn the_reference_s_flag_names_the_file_by_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let out = example("random").arg("--enable-profiling").current_dir(dir.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let [name] = &files(dir.path())[..] else { panic!("one file") };
    assert!(name.starts_with("random2") && name.ends_with(".json"), "{name}");
    read(&dir.path().join(name));
}

#[test]
fn a_run_that_fails_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.json");
    fs::write(&path, "of an earlier run").unwrap();
    let diverges = ["--data-size=9", "--learning-rate=1e30", "--profile"];
    let out = example("random").args(diverges).arg(&path).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(
        (files(dir.path()), fs::read_to_string(&path).unwrap()),
        (vec!["trace.json".into()], "of an earlier run".into())
    );
    let out = example("random").args(["--profile", "/nonexistent/trace.json"]).output().unwrap();
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(error.starts_with("error: /nonexistent/trace.json: No such file") && error.lines().count() == 1, "{error}");
}
