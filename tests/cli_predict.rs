//! Predictions from the command line, as a user meets them.

mod common;

use common::{example, run_in, stdout_in};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

/// A folder with the sample that ships with the project, `rows.tsv`, and a model of it, `model`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv"), path.join("rows.tsv")).unwrap();
    let small = ["--top-mlp", "16-1", "--bottom-mlp", "13-8-16", "--data", "rows.tsv", "--save-model", "model"];
    stdout_in(path, "criteo_kaggle", &small);
    folder
}

const TEXT: [&str; 6] = ["--load-model", "model", "--data", "rows.tsv", "--vocabulary", "rows.tsv.rows"];
const DATASET: [&str; 4] = ["--load-model", "model", "--data", "rows.tsv.rows"];

#[test]
fn text_and_dataset_and_every_batch_size_give_the_same() {
    let folder = folder();
    let path = folder.path();
    let expected = stdout_in(path, "predict", &TEXT);
    let rows = fs::read_to_string(path.join("rows.tsv")).unwrap();
    assert_eq!(expected.lines().count(), rows.lines().count());
    assert!(expected.lines().all(|p| (0.0..1.0).contains(&p.parse::<f32>().unwrap())));
    for size in ["1", "7", "100000"] {
        assert_eq!(
            stdout_in(path, "predict", &[&DATASET[..], &["--batch-size", size, "--threads", "1"]].concat()),
            expected
        );
    }
    assert_eq!(stdout_in(path, "predict", &[&DATASET[..], &["--output", "p"]].concat()), "");
    assert_eq!(fs::read_to_string(path.join("p")).unwrap(), expected);
    let logits = stdout_in(path, "predict", &[&DATASET[..], &["--logits"]].concat());
    for (logit, p) in logits.lines().zip(expected.lines()) {
        let (logit, p): (f64, f64) = (logit.parse().unwrap(), p.parse().unwrap());
        assert!((1.0 / (1.0 + (-logit).exp()) - p).abs() < 1e-6, "{logit}, {p}");
    }
    // Without labels, from standard input, and with nobody to say that more will come.
    let mut stdin = [&TEXT[..], &["--no-labels", "--batch-size", "1"]].concat();
    stdin[3] = "-";
    let predict = example("predict").current_dir(path).args(stdin).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut predict = predict.unwrap();
    let unlabelled: String = rows.lines().take(3).map(|line| format!("{}\n", &line[2..])).collect();
    predict.stdin.take().unwrap().write_all(unlabelled.as_bytes()).unwrap();
    let out = predict.wait_with_output().unwrap();
    let first: String = expected.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), first);
}

#[test]
fn rows_of_tables_by_their_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let schema =
        "label.column = 'bought'\nsplit.test = 0.2\n[[dense]]\ncolumn = 'price'\n[[categorical]]\ncolumn = 'colour'\n";
    fs::write(path.join("schema.toml"), schema).unwrap();
    let rows: String = (0..50).map(|i| format!("{},{},{}\n", i % 7, ["red", "blue", "green"][i % 3], i % 2)).collect();
    fs::write(path.join("rows.csv"), format!("price,colour,bought\n{rows}")).unwrap();
    fs::write(path.join("new.csv"), "colour,price\nblue,1\nred,0\n").unwrap();
    let train = ["--schema", "schema.toml", "--data", "rows.csv", "--output", "rows", "--save-model", "model"];
    stdout_in(path, "custom_dataset", &train);
    let text = ["--load-model", "model", "--data", "new.csv", "--vocabulary", "rows", "--schema", "schema.toml"];
    let (new, old) =
        (stdout_in(path, "predict", &text), stdout_in(path, "predict", &["--load-model", "model", "--data", "rows"]));
    let old: Vec<&str> = old.lines().collect();
    assert_eq!(new.lines().collect::<Vec<_>>(), [old[1], old[0]]);
}

#[test]
fn latency_is_measured() {
    let folder = folder();
    let report =
        stdout_in(folder.path(), "predict", &["--load-model", "model", "--latency", "--json", "--threads", "1"]);
    let sizes: Vec<u64> = report
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["batch"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [1, 64, 2048]);
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let folder = folder();
    let path = folder.path();
    let other = fs::read_to_string(path.join("rows.tsv")).unwrap().replacen("\t", "\t1", 20);
    fs::write(path.join("other.tsv"), other.replace("68fd1e64", "12345678")).unwrap();
    let row = format!("1{}\t{}\n", "\t".repeat(13), ["0badcafe"; 26].join("\t"));
    fs::write(path.join("unknown.tsv"), row).unwrap();
    let text = |data: &'static str| {
        ["--load-model", "model", "--data", data, "--vocabulary", "rows.tsv.rows", "--output", "p"]
    };
    let cases: [(&[&str], &str); 7] = [
        (&[], "the following required arguments were not provided: --load-model <FILE>"),
        (&["--load-model", "model", "--data", "none"], "none: No such file or directory (os error 2)"),
        (
            &["--load-model", "model", "--data", "rows.tsv"],
            "--vocabulary is missing, expected it with rows.tsv, which is text",
        ),
        (
            &["--load-model", "rows.tsv", "--data", "rows.tsv"],
            "rows.tsv: not a checkpoint, expected a safetensors file",
        ),
        (&text("unknown.tsv"), "unknown.tsv:1:15: C1 is 0badcafe, expected an id of the dataset"),
        (&text("model"), "model:1:"),
        (&[&DATASET[..], &["--output", "no/p"]].concat(), "no/p: No such file or directory (os error 2)"),
    ];
    for (args, expected) in cases {
        let out = run_in(path, "predict", args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{args:?}: {stderr}, expected {expected}");
        assert!(!path.join("p").exists(), "{args:?}");
    }
}
