//! Files that a run is watched by, as a user meets them.

mod common;

use common::{example, run_in};
use dlrm::watch::{EventReader, Value, What};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A short run of a small model on the sample, with two tests.
const SHORT: [&str; 15] = [
    "--data",
    "sample.tsv",
    "--no-cache",
    "--top-mlp",
    "8-1",
    "--bottom-mlp",
    "13-16",
    "--batch-size",
    "8",
    "--test-freq",
    "10",
    "--json",
    "run.jsonl",
    "--log-every",
    "5",
];

/// What a run in `folder` with `flags` writes to standard error.
#[track_caller]
fn run(folder: &Path, flags: &[&str]) -> String {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv");
    fs::copy(sample, folder.join("sample.tsv")).unwrap();
    let out = run_in(folder, "criteo_kaggle", &[&SHORT, flags].concat());
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{flags:?}: {stderr}");
    stderr
}

/// The lines of a file of JSON.
fn json_lines(path: PathBuf) -> Vec<Json> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one event file of a folder: every tag with its steps and numbers.
fn scalars(folder: &Path) -> BTreeMap<String, Vec<(i64, f32)>> {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    let mut scalars: BTreeMap<String, Vec<(i64, f32)>> = BTreeMap::new();
    for event in EventReader::open(file).unwrap() {
        let event = event.unwrap();
        let What::Summary(values) = event.what else { continue };
        for (tag, value) in values {
            if let Value::Scalar(number) = value {
                scalars.entry(tag).or_default().push((event.step, number));
            }
        }
    }
    scalars
}

#[test]
fn event_files_have_the_figures_of_json_and_change_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    let watched = dir.path().join("watched");
    let plain = dir.path().join("plain");
    for folder in [&watched, &plain] {
        fs::create_dir(folder).unwrap();
    }
    run(&watched, &["--tensorboard", "events", "--histograms", "--save-model", "model"]);
    run(&plain, &["--save-model", "model"]);
    assert_eq!(fs::read(watched.join("model")).unwrap(), fs::read(plain.join("model")).unwrap());
    let records = json_lines(watched.join("run.jsonl"));
    assert!(records.len() > 2);
    let scalars = scalars(&watched.join("events"));
    for (tag, field) in [("test/auc", "auc"), ("test/logloss", "logloss"), ("pass/train_loss", "train_loss")] {
        let point = |record: &Json| (record["step"].as_i64().unwrap(), record[field].as_f64().unwrap() as f32);
        assert_eq!(scalars[tag], records.iter().map(point).collect::<Vec<_>>(), "{tag}");
    }
    let last = records.last().unwrap()["step"].as_i64().unwrap();
    for tag in ["train/loss", "train/lr", "train/rows_per_s", "gradient_norm/dense", "gradient_norm/embeddings"] {
        let steps: Vec<i64> = scalars[tag].iter().map(|&(step, _)| step).collect();
        assert_eq!(steps, (5..=last).step_by(5).collect::<Vec<_>>(), "{tag}");
    }
}

#[test]
fn a_mistake_in_a_flag_of_a_file_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["--histograms"], "error: the following required arguments were not provided: --tensorboard <DIR>"),
        (&["--log-every", "0"], "error: invalid value '0' for '--log-every <STEPS>'"),
        (&["--tensorboard", "/dev/null"], "error: /dev/null: "),
    ];
    for (flags, expected) in cases {
        let out = example("criteo_kaggle").current_dir(dir.path()).args(flags).output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{flags:?}");
        assert!(stderr.starts_with(expected) && stderr.lines().count() == 1, "{flags:?}: {stderr}");
    }
}
