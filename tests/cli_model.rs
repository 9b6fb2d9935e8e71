//! Models that the examples keep and take up again, as a user meets them.

mod common;

use common::{run_in, stdout_in};
use std::fs;
use std::path::Path;

/// The lines about the test rows.
fn tested(report: &str) -> Vec<&str> {
    let about = ["test ", "normalized", "precision", "base rate", "calibration"];
    let lines = report.lines().filter(|line| about.iter().any(|start| line.trim_start().starts_with(start)));
    lines.collect()
}

/// A folder with the sample that ships with the project.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv");
    fs::copy(sample, folder.path().join("sample.tsv")).unwrap();
    folder
}

const SMALL: [&str; 6] = ["--top-mlp", "16-1", "--bottom-mlp", "13-8-16", "--data", "sample.tsv"];

#[test]
fn a_model_that_was_kept_tests_as_before_and_learns_on() {
    let folder = folder();
    let path = folder.path();
    let trained = stdout_in(path, "criteo_kaggle", &[&SMALL[..], &["--save-model", "a.safetensors"]].concat());
    for cache in [&[][..], &["--no-cache"]] {
        let load = [&["--data", "sample.tsv", "--load-model", "a.safetensors", "--inference-only"], cache].concat();
        let loaded = stdout_in(path, "criteo_kaggle", &load);
        assert_eq!(tested(&loaded), tested(&trained));
        assert!(loaded.lines().count() == 8 && tested(&loaded).len() == 8, "{loaded}");
    }
    let on = ["--data", "sample.tsv", "--load-model", "a.safetensors", "--save-model", "b.safetensors"];
    let on = stdout_in(path, "criteo_kaggle", &on);
    assert_ne!(tested(&on), tested(&trained));
    let [a, b] = ["a.safetensors", "b.safetensors"].map(|name| fs::read(path.join(name)).unwrap());
    assert!(a.len() == b.len() && a != b);
}

#[test]
fn so_do_models_of_tables() {
    let folder = folder();
    let last_line = |args: &[&str]| stdout_in(folder.path(), "custom_dataset", args).lines().last().unwrap().to_owned();
    let trained = last_line(&["--epochs", "1", "--save-model", "m"]);
    assert_eq!(last_line(&["--epochs", "1", "--load-model", "m", "--inference-only"]), trained);
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let folder = folder();
    let path = folder.path();
    stdout_in(path, "criteo_kaggle", &[&SMALL[..], &["--save-model", "model"]].concat());
    fs::write(path.join("text"), "not a model").unwrap();
    let load = ["--data", "sample.tsv", "--load-model", "model"];
    let other = ["--data", "sample.tsv", "--load-model", "model", "--min-count", "2"];
    let cases: [(&[&str], &str); 9] = [
        (&["--load-model", "none"], "none: No such file or directory (os error 2)"),
        (&["--load-model", "text"], "text: not a checkpoint, expected a safetensors file"),
        (&["--save-model", "no/model"], "no/model: No such file or directory (os error 2)"),
        (&["--save-model", "."], ".: not the name of a file, expected one to write"),
        (&["--inference-only"], "the following required arguments were not provided: --load-model <FILE>"),
        (
            &[&load[..], &["--embedding-dim", "8"]].concat(),
            "'--load-model <FILE>' cannot be used with '--embedding-dim",
        ),
        (&[&load[..], &["--top-mlp", "8-1"]].concat(), "'--load-model <FILE>' cannot be used with '--top-mlp"),
        (
            &[&load[..], &["--inference-only", "--save-model", "b"]].concat(),
            "'--inference-only' cannot be used with '--save-model",
        ),
        (&other, "model: table 0 has 37 rows, expected 27, as the data have"),
    ];
    for (args, expected) in cases {
        let out = run_in(path, "criteo_kaggle", args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        let errors: Vec<&str> = stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(errors.len() == 1 && errors[0].contains(expected), "{args:?}: {stderr}, expected {expected}");
    }
}
