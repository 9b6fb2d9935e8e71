//! The examples as a user meets them: what they print, what they write, and one clear line with
//! exit code 1 for each mistake.

mod common;

use common::example;
use dlrm::data::criteo::TimeSplit;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

fn run(name: &str, args: &[&str]) -> Output {
    example(name).args(args).output().unwrap()
}

/// Rows of the sample that ships with the project.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv")
}

/// A copy of them, since runs leave a binary dataset beside their rows.
fn sample_in(folder: &Path) -> String {
    let path = folder.join("sample.tsv");
    fs::copy(sample(), &path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = fs::read_to_string(sample()).unwrap();
    let short_row = write("short.tsv", &good.replacen('\t', " ", 1));
    let few = write("few.tsv", &good.lines().take(3).map(|l| format!("{l}\n")).collect::<String>());
    let few_good = write("few_good.tsv", &format!("not a row\n{}", fs::read_to_string(&few).unwrap()));
    let empty = write("empty.tsv", "");
    let sample = sample_in(dir.path());
    let folder = dir.path().to_str().unwrap().to_owned();
    let damaged = write("damaged.rows", &format!("DLRMROWS\u{1}\0\0\0{}", "x".repeat(60)));
    let cases: &[(&[&str], &str)] = &[
        (&["--data", "/nonexistent/train.txt"], "/nonexistent/train.txt: No such file or directory"),
        (&["--data", &folder], "Is a directory"),
        (&["--data", &short_row], "short.tsv:1:"),
        (&["--data", &few], "few.tsv: "),
        (&["--data", &empty], "empty.tsv: "),
        (&["--data", &few_good, "--skip-bad-rows"], "few_good.tsv: 3 rows (and 1 bad, skipped), expected at least 7"),
        (
            &["--data", &few_good, "--skip-bad-rows", "--no-cache"],
            "few_good.tsv: 3 rows (and 1 bad, skipped), expected at least 7",
        ),
        (&["--data", &damaged], "damaged.rows: a damaged binary dataset (it is cut short); make it again"),
        (&["--data-randomize", "week"], "[possible values: none, day, total]"),
        (&["--data", &sample, "--json", "/nonexistent/out.json"], "/nonexistent/out.json: No such file"),
        (&["--lr", "0"], "invalid value '0' for '--lr <LR>': expected a number above 0"),
        (&["--lr", "nan"], "invalid value 'nan' for '--lr <LR>': expected a number above 0"),
        (&["--lr=-1"], "invalid value '-1' for '--lr <LR>': expected a number above 0"),
        (&["--batch-size", "0"], "invalid value '0' for '--batch-size <BATCH_SIZE>'"),
        (&["--batch-size", "many"], "invalid value 'many' for '--batch-size <BATCH_SIZE>'"),
        (&["--epochs", "0"], "invalid value '0' for '--epochs <EPOCHS>'"),
        (&["--min-count", "0"], "invalid value '0' for '--min-count <MIN_COUNT>'"),
        (&["--test-freq", "0"], "invalid value '0' for '--test-freq <TEST_FREQ>'"),
        (&["--threads", "-1"], "invalid value '-1' for '--threads <THREADS>': -1 is not in 0..=1024"),
        (&["--optimizer", "momentum"], "[possible values: sgd, adagrad, rowwise-adagrad, adam]"),
        (&["--interaction", "dcn"], "[possible values: dot, dot-itself, cat]"),
        (&["--model", "wide"], "[possible values: dlrm, dcn, dcn-v2]"),
        (&["--cross-layers", "2"], "--cross-layers: expected --model dcn or dcn-v2 beside it"),
        (&["--model", "dcn", "--cross-rank", "8"], "--cross-rank: expected --model dcn-v2 beside it"),
        (&["--model", "dcn-v2", "--cross-layers", "0"], "invalid value '0' for '--cross-layers <LAYERS>'"),
        (&["--qr-flag", "--md-flag"], "'--qr-flag' cannot be used with '--md-flag'"),
        (&["--qr-threshold", "20"], "--qr-threshold: expected --qr-flag beside it"),
        (&["--qr-flag", "--qr-collisions", "0"], "invalid value '0' for '--qr-collisions <IDS>'"),
        (&["--md-flag", "--md-temperature=-1"], "for '--md-temperature <ALPHA>': expected a number of at least 0"),
        (
            &["--md-flag", "--md-round-dims", "--embedding-dim", "12"],
            "md round dims: the embedding dim, 12, is expected to be a power of two",
        ),
        (&["--model", "dcn", "--qr-flag"], "--qr-flag, --md-flag: expected --model dlrm or dcn-v2 beside it"),
        (&["--max-ind-range", "0"], "invalid value '0' for '--max-ind-range <ROWS>'"),
        (&["--loss-function", "hinge"], "[possible values: bce, mse, wbce]"),
        (&["--loss-threshold", "0.5"], "for '--loss-threshold <T>': expected a number from 0 to below 0.5"),
        (&["--loss-function", "wbce", "--loss-weights", "1"], "expected two numbers above 0 with a dash between"),
        (&["--loss-weights", "1.0-2.0"], "--loss-weights: expected --loss-function wbce beside it"),
        (&["--top-mlp", "512-x-1"], "expected widths from 1 to 1048576 with dashes between, such as 512-256-1"),
        (&["--top-mlp", "512-2"], "top MLP 512-2: the last width is expected to be 1, the logit"),
        (&["--bottom-mlp", "12-16"], "--bottom-mlp 12-16: the first width is expected to be 13, the dense features"),
        (
            &["--bottom-mlp", "13-64-32"],
            "bottom MLP 64-32: the last width, 32, is expected to be the embedding dim, 16",
        ),
        (&["--lr-warmup-steps", "5", "--lr-decay-steps", "3"], "--lr-decay-start-step"),
        (&["--lr-decay-last", "0.2", "--lr-decay-steps", "3"], "cannot be used with"),
        (&["--dropout", "1"], "--dropout"),
        (&["--clip-norm", "0"], "--clip-norm"),
        (&["--auc-threshold", "1.5"], "--auc-threshold"),
        (&["--grad-accum-iter", "0"], "--grad-accum-iter"),
        (&["--patience", "0"], "--patience"),
        (&["--on-nan", "hope"], "[possible values: stop, skip]"),
        (&["--data", &sample, "--lr", "1e30", "--batch-size", "100"], "error: step "),
        (
            &["--data", &sample, "--lr", "1e30", "--batch-size", "10", "--on-nan", "skip"],
            ", after 10 steps that were left out; a lower --lr, or --lr-warmup-steps, is the usual remedy",
        ),
        (&["--data", &sample, "--top-mlp", "1048576-1048576-1"], "training needs 176"),
    ];
    for &(args, expected) in cases {
        let out = run("criteo_kaggle", args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        let errors: Vec<&str> = stderr.lines().skip_while(|l| !l.starts_with("error: ")).collect();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(errors.len() == 1 && errors[0].contains(expected), "{args:?}: {stderr}, expected {expected}");
    }
}

#[test]
fn a_mistake_in_a_measurement_s_flag_is_one_line_too() {
    let cases: [(&str, &[&str], &str); 8] = [
        ("gemm_steps", &["--size", "100"], "expected a multiple of 64 up to 8192"),
        ("train_step", &["--config", "huge"], "[possible values: kaggle, mlperf, dcnv2, bigbasin, tiny]"),
        ("train_step", &["--iters", "0"], "invalid value '0' for '--iters <ITERS>'"),
        ("train_step", &["--roofline=yes"], "unexpected value 'yes' for '--roofline' found"),
        ("roofline", &["--threads", "1025"], "invalid value '1025' for '--threads <THREADS>'"),
        ("roofline", &["--threads", "two"], "invalid value 'two' for '--threads <THREADS>'"),
        ("roofline", &["--batch-size", "128"], "unexpected argument '--batch-size' found"),
        ("roofline", &["kaggle"], "unexpected argument 'kaggle' found"),
    ];
    for (name, args, expected) in cases {
        let out = run(name, args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{name} {args:?}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(expected), "{name} {args:?}: {stderr}");
    }
}

#[test]
fn an_unknown_instruction_set_is_one_line_too() {
    for name in ["criteo_kaggle", "gemm_steps", "train_step", "roofline"] {
        let out = example(name).env("DLRM_ISA", "sse9").output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{name}: {stderr}");
        let errors: Vec<&str> = stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains("DLRM_ISA") && errors[0].contains("sse9"), "{name}: {stderr}");
    }
}

#[test]
fn earlier_records_survive_a_run_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("records.jsonl");
    fs::write(&json, "earlier, and longer than any record ".repeat(30)).unwrap();
    let before = fs::read_to_string(&json).unwrap();
    let path = json.to_str().unwrap();
    let out = run("criteo_kaggle", &["--data", "/nonexistent/train.txt", "--json", path]);
    assert_eq!((out.status.code(), fs::read_to_string(&json).unwrap()), (Some(1), before));
    let out = run("criteo_kaggle", &["--data", &sample_in(dir.path()), "--json", path]);
    assert!(out.status.success());
    let records = fs::read_to_string(&json).unwrap();
    assert!(records.starts_with("{\"epoch\":1,") && records.ends_with("}\n") && records.lines().count() == 1);
}

#[test]
fn bad_rows_are_skipped_and_counted_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.tsv");
    let good = fs::read_to_string(sample()).unwrap();
    fs::write(&path, format!("not a row\n{good}also\tnot\n")).unwrap();
    let args = ["--data", path.to_str().unwrap(), "--skip-bad-rows", "--top-mlp", "8-1", "--bottom-mlp", "13-16"];
    let out = run("criteo_kaggle", &args);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{stderr}");
    assert!(stderr.contains("warning: 2 bad rows were skipped"), "{stderr}");
}

/// A record without the figures that depend on time.
fn untimed(mut record: serde_json::Value) -> String {
    for name in ["rows_per_s", "train_seconds", "waited_seconds", "test_seconds"] {
        assert!(record.as_object_mut().unwrap().remove(name).is_some(), "{name}");
    }
    record.to_string()
}

/// The JSON lines of a short run.
fn records(threads: &str, optimizer: &str) -> Vec<serde_json::Value> {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("records.jsonl");
    let out = example("criteo_kaggle")
        .args(["--data", &sample_in(dir.path()), "--json", json.to_str().unwrap(), "--threads", threads])
        .args(["--optimizer", optimizer, "--epochs", "2", "--test-freq", "1", "--full-test", "--batch-size", "100"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let stdout = String::from_utf8(out.stdout).unwrap();
    for line in [
        "train loss",
        "test log loss",
        "test AUC",
        "test average precision",
        "normalized entropy",
        "test accuracy",
        "precision, recall, F1",
        "base rate",
        "calibration",
        "waited",
        "with reading",
    ] {
        assert!(stdout.contains(line), "{stdout}");
    }
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    fs::read_to_string(json).unwrap().lines().map(parse).collect()
}

#[test]
fn each_evaluation_is_a_json_line_and_threads_change_no_bit() {
    let named = [
        "epoch",
        "step",
        "train_rows",
        "test_rows",
        "train_loss",
        "auc",
        "average_precision",
        "logloss",
        "normalized_entropy",
        "accuracy",
        "precision",
        "recall",
        "f1",
        "calibration",
        "rows_per_s",
    ];
    for optimizer in ["sgd", "adagrad", "rowwise-adagrad", "adam"] {
        let runs = ["1", "2"].map(|threads| records(threads, optimizer));
        assert!(runs[0].len() >= 4, "an evaluation a step, two passes: {}", runs[0].len());
        for record in runs.iter().flatten() {
            named.iter().for_each(|name| assert!(record[name].is_number(), "{name}: {record}"));
        }
        let untimed = runs.map(|records| records.into_iter().map(untimed).collect::<Vec<_>>());
        assert_eq!(untimed[0], untimed[1], "{optimizer}");
    }
}

#[test]
fn validation_leaves_the_last_day_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (sample, json) = (sample_in(dir.path()), dir.path().join("run.jsonl"));
    let rows = fs::read_to_string(&sample).unwrap().lines().count();
    let days = TimeSplit::new(rows).unwrap().days().to_vec();
    for (flags, train, test) in [
        (&["--full-test"][..], days[..6].iter().sum::<usize>(), days[6]),
        (&["--full-test", "--validate"], days[..5].iter().sum(), days[5]),
        (&["--full-test", "--validate", "--dense-buckets", "8", "--dropout", "0.1"], days[..5].iter().sum(), days[5]),
    ] {
        let args = ["--data", &sample, "--json", json.to_str().unwrap(), "--bottom-mlp", "13-16", "--top-mlp", "8-1"];
        let out = example("criteo_kaggle").args(args).args(flags).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        assert_eq!((&record["train_rows"], &record["test_rows"]), (&train.into(), &test.into()), "{flags:?}");
    }
}

#[test]
fn few_rows_are_trained_on_once_a_seed_and_the_medians_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (sample, json) = (sample_in(dir.path()), dir.path().join("run.jsonl"));
    let steps =
        TimeSplit::new(fs::read_to_string(&sample).unwrap().lines().count()).unwrap().train().len().div_ceil(64);
    let model = dir.path().join("model.safetensors");
    let args = ["--data", &sample, "--json", json.to_str().unwrap(), "--embedding-dim", "8", "--top-mlp", "8-1"];
    let out = example("few_rows")
        .args(args)
        .arg("--save-model")
        .arg(&model)
        .args(["--seeds", "5,4", "--lr", "0.5", "--lr-decay-last", "1"])
        .output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let records = [5, 4].map(|seed| {
        assert!(dir.path().join(format!("model.safetensors.{seed}")).exists(), "the model of seed {seed}");
        let lines = fs::read_to_string(dir.path().join(format!("run.jsonl.{seed}"))).unwrap();
        serde_json::from_str::<serde_json::Value>(&lines).unwrap()
    });
    for record in &records {
        // It falls as the square of what is left, here over all steps.
        let lr = 0.5 / (steps * steps) as f64;
        assert!((record["lr"].as_f64().unwrap() - lr).abs() < 1e-12, "{record}: not {lr} after {steps} steps");
    }
    let stdout = String::from_utf8(out.stdout).unwrap();
    let figure = |record: &serde_json::Value, name: &str| record[name].as_f64().unwrap();
    let line = |name: &str, of: &dyn Fn(&str) -> f64| {
        let figures = ["auc", "logloss", "calibration"].map(|figure| format!("{:.5}", of(figure)));
        [vec![name.to_string()], figures.to_vec()].concat().join(" ")
    };
    let lines: Vec<String> = stdout.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        line("seed 5", &|name| figure(&records[0], name)),
        line("seed 4", &|name| figure(&records[1], name)),
        line("median", &|name| (figure(&records[0], name) + figure(&records[1], name)) / 2.0),
    ] {
        assert!(lines.contains(&expected), "{stdout}: {expected}");
    }
}

#[test]
fn train_step_prints_the_peer_s_json() {
    let args = ["--config", "tiny", "--batch-size", "64", "--threads", "2", "--iters", "3", "--phases", "--json"];
    let out = run("train_step", &args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&json["config"], &json["batch"], &json["mode"]), (&"tiny".into(), &64.into(), &"train".into()));
    assert!(json["system"].as_str().unwrap().starts_with("dlrm-"));
    for (group, names) in [("ms", ["min", "median", "max"]), ("phases_ms", ["forward", "backward", "update"])] {
        names.iter().for_each(|name| assert!(json[group][name].as_f64().unwrap() > 0.0, "{group} {name}: {json}"));
    }
}

#[test]
fn a_table_of_one_s_own_is_trained_on_and_mistakes_in_it_get_one_line() {
    let out = run("custom_dataset", &["--epochs", "1", "--threads", "1"]);
    let (stdout, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success(), "{stderr}");
    let auc = |name: &str| {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
        line.split_whitespace().rev().nth(1).unwrap().parse::<f64>().unwrap()
    };
    let (rate, linear, dlrm) = (auc("the base rate"), auc("logistic regression"), auc("DLRM"));
    assert!(rate == 0.5 && linear > 0.6 && dlrm > linear + 0.05, "{stdout}");

    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).to_str().unwrap().to_owned()
    };
    let schema = write("s.toml", "label.column = \"y\"\nsplit.test = 0.5\n[[dense]]\ncolumn = \"x\"\n");
    let no_split = write("whole.toml", "label.column = \"y\"\n[[dense]]\ncolumn = \"x\"\n");
    let wrong_schema = write("wrong.toml", "label.column = \"y\"\n[[dense]]\ncolum = \"x\"\n");
    let (data, wrong_data) = (write("a.csv", "x,y\n1,1\n2,0\n"), write("wrong.csv", "x,y\n1,1\nold,0\n"));
    let cases: [(&[&str], &str); 4] = [
        (&["--schema", &schema], "--data <FILE>"),
        (&["--schema", &wrong_schema, "--data", &data], "wrong.toml:3:1: unknown field `colum`"),
        (&["--schema", &schema, "--data", &wrong_data], "wrong.csv:3:1: x is \"old\", expected a finite number"),
        (&["--schema", &no_split, "--data", &data], "whole.toml: no [split], expected one that puts test rows aside"),
    ];
    for (args, expected) in cases {
        let out = run("custom_dataset", args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
    }
}
