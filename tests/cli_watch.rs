//! Files that a run is watched by, as a user meets them.

mod common;

use common::{example, run_in, stdout_in};
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
fn a_log_has_what_happened_with_time_and_level() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["--log", "run.log", "--checkpoint-dir", "kept"]);
    let events = json_lines(dir.path().join("run.log"));
    let of = |message: &str| events.iter().filter(|event| event["message"] == message).collect::<Vec<_>>();
    assert_eq!((&events[0]["message"], &events.last().unwrap()["message"]), (&"begin".into(), &"end".into()));
    assert!(events[0]["flags"].as_str().unwrap().contains("--log run.log"));
    assert!(events.iter().all(|event| event["level"] == "INFO" && event["timestamp"].is_string()), "{events:?}");
    let records = json_lines(dir.path().join("run.jsonl"));
    for field in ["epoch", "step", "train_loss", "auc", "logloss", "accuracy", "calibration", "best"] {
        let values = |lines: Vec<&Json>| lines.into_iter().map(|line| line[field].clone()).collect::<Vec<_>>();
        assert_eq!(values(of("test")), values(records.iter().collect()), "{field}");
    }
    let last = records.last().unwrap()["step"].as_u64().unwrap();
    let steps: Vec<u64> = of("step").iter().map(|event| event["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (5..=last).step_by(5).collect::<Vec<_>>());
    assert!(of("step").iter().all(|event| event["gradient_norm_dense"].as_f64().unwrap() > 0.0));
    assert!(!of("save").is_empty(), "{events:?}");
    assert_eq!(of("rows")[0]["rows"], 200);
    // A run that ends by an error says so, at the end of the same file.
    let wrong = ["--data", "none.tsv", "--log", "run.log"];
    assert!(!run_in(dir.path(), "criteo_kaggle", &wrong).status.success());
    let more = json_lines(dir.path().join("run.log"));
    let end = more.last().unwrap();
    assert_eq!(more.len(), events.len() + 2);
    assert_eq!((&end["level"], &end["message"]), (&"ERROR".into(), &"end".into()));
    assert!(end["reason"].as_str().unwrap().contains("none.tsv"), "{end}");
}

#[test]
fn a_mistake_in_a_flag_of_a_file_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--histograms"], "error: the following required arguments were not provided: --tensorboard <DIR>"),
        (&["--log-every", "0"], "error: invalid value '0' for '--log-every <STEPS>'"),
        (&["--tensorboard", "/dev/null"], "error: /dev/null: "),
        (&["--report", "/nonexistent/report.html"], "error: /nonexistent/report.html: No such file"),
    ];
    for (flags, expected) in cases {
        let out = example("criteo_kaggle").current_dir(dir.path()).args(flags).output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{flags:?}");
        assert!(stderr.starts_with(expected) && stderr.lines().count() == 1, "{flags:?}: {stderr}");
    }
}

/// The text of an element, or the value of an attribute: what escapes mean.
fn unescaped(text: &str) -> String {
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    escapes.into_iter().fold(text.to_owned(), |text, (escape, meant)| text.replace(escape, meant))
}

/// Names of elements in the order in which they open. Fails unless the page is well-formed: every element is closed, in
/// the order of nesting, and every ampersand begins an escape.
fn elements(page: &str) -> Vec<&str> {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("a page");
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for (i, piece) in body.split('<').enumerate().skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("piece {i}: <{piece}"));
        assert!(open.last() == Some(&"style") || !text.contains('>'), "{piece}");
        for escape in text.split('&').skip(1).chain(tag.split('&').skip(1)) {
            assert!(["lt;", "gt;", "quot;", "#39;", "amp;"].iter().any(|known| escape.starts_with(known)), "{piece}");
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "piece {i}");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        all.push(name);
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

/// The exact figures of a page.
fn data(page: &str) -> BTreeMap<&str, f64> {
    let pieces = page.split("<data id=\"").skip(1).map(|piece| piece.split('"').collect::<Vec<_>>());
    pieces.map(|piece| (piece[0], piece[2].parse().unwrap())).collect()
}

#[test]
fn a_report_is_one_page_with_the_figures_of_json() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "</td><script>alert('&\"')</script>.html";
    let hostile = hostile.replace('/', "\u{2215}");
    run(dir.path(), &["--report", &hostile, "--epochs", "2"]);
    let page = fs::read_to_string(dir.path().join(&hostile)).unwrap();
    let elements = elements(&page);
    let count = |name: &str| elements.iter().filter(|&&element| element == name).count();
    assert_eq!((count("svg"), count("script"), count("link"), count("img")), (5, 0, 0, 0));
    for forbidden in ["http:", "https:", "//", "url(", "@import", "src="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(unescaped(&page).contains(&format!("<td>--report</td><td>{hostile}</td>")));
    assert!(page.contains("<td>--log-every</td><td>5</td>") && page.contains("<td>--batch-size</td><td>8</td>"));
    let records = json_lines(dir.path().join("run.jsonl"));
    let (figures, last) = (data(&page), records.last().unwrap());
    for name in
        ["auc", "logloss", "accuracy", "average_precision", "f1", "base_rate", "calibration", "train_loss", "step"]
    {
        assert_eq!(Some(figures[name]), last[name].as_f64(), "{name}");
    }
    // A dot for each test, and what it tells.
    for record in &records {
        let (step, auc, loss) = (&record["step"], &record["auc"], &record["logloss"]);
        for figure in [auc, loss] {
            let told = format!("<title>step {step}: {:.5}</title>", figure.as_f64().unwrap());
            assert!(page.contains(&told), "{told}");
        }
    }
    for operator in ["linear_backward", "embedding_bags", "update_tables"] {
        assert!(page.contains(&format!("<tr><td>{operator}</td>")), "{operator}");
    }
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
}

#[test]
fn mlperf_s_lines_tell_the_run_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv");
    fs::copy(sample, dir.path().join("sample.tsv")).unwrap();
    let lines = |flags: &[&str]| -> Vec<Json> {
        let stdout = stdout_in(dir.path(), "criteo_kaggle", &[&SHORT[..], &["--mlperf-logging"], flags].concat());
        stdout.lines().filter_map(|l| l.strip_prefix(":::MLLOG ")).map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let log = lines(&["--epochs", "2"]);
    let intervals: Vec<&str> =
        log.iter().map(|line| line["key"].as_str().unwrap()).filter(|k| !k.contains("opt_")).collect();
    let test = ["eval_start", "eval_accuracy", "eval_stop"];
    let pass = [&["block_start", "epoch_start"][..], &test, &test, &test, &["epoch_stop", "block_stop"]].concat();
    let begin = [
        "init_start",
        "submission_benchmark",
        "seed",
        "global_batch_size",
        "lr_decay_start_steps",
        "init_stop",
        "run_start",
    ];
    assert_eq!(intervals, [&begin[..], &pass, &pass, &["run_stop"]].concat());
    let value = |key: &str| &log.iter().find(|line| line["key"] == key).unwrap()["value"];
    assert_eq!((value("seed"), value("global_batch_size")), (&123.into(), &8.into()));
    assert_eq!(
        (value("opt_base_learning_rate"), value("sgd_opt_learning_rate_decay_poly_power")),
        (&0.1.into(), &2.into())
    );
    let times: Vec<u64> = log.iter().map(|line| line["time_ms"].as_u64().unwrap()).collect();
    assert!(times[0] > 1_700_000_000_000 && times[0] <= times[times.len() - 1], "{times:?}");
    let aucs: Vec<&Json> =
        log.iter().filter(|line| line["key"] == "eval_accuracy").map(|line| &line["value"]).collect();
    let records = json_lines(dir.path().join("run.jsonl"));
    assert_eq!(aucs, records.iter().map(|record| &record["auc"]).collect::<Vec<_>>());
    let epochs: Vec<_> =
        log.iter().filter(|line| line["key"] == "eval_stop").map(|line| &line["metadata"]["epoch_num"]).collect();
    assert!(epochs[2].as_f64() == Some(2.0) && epochs[5].as_f64() == Some(3.0), "{epochs:?}");
    let status = |log: &[Json]| log.last().unwrap()["metadata"]["status"].clone();
    assert_eq!(status(&log), "success");
    // A target that is not reached; and one that is, at the first test.
    assert_eq!(status(&lines(&["--auc-threshold", "1"])), "aborted");
    let early = lines(&["--acc-threshold", "0.01"]);
    assert_eq!((status(&early), early.iter().filter(|line| line["key"] == "eval_stop").count()), ("success".into(), 1));
}
