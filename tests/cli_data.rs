//! The training examples and their files as a user meets them: binary datasets given, made and used again; days of
//! rows; and one clear line for each mistake.

mod common;

use common::example;
use dlrm::data::binary::{Header, Keys, RowWriter, Source};
use dlrm::data::schema::{Schema, Transform};
use flate2::{Compression, write::GzEncoder};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

fn run(name: &str, args: &[&str]) -> Output {
    example(name).args(args).output().unwrap()
}

/// The rows of the sample that ships with the project.
fn sample() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv")).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    // Times of files go by ticks of some milliseconds: what is made of this one is to be newer.
    std::thread::sleep(std::time::Duration::from_millis(20));
    path.to_str().unwrap().to_owned()
}

/// A small model.
const SMALL: [&str; 6] = ["--bottom-mlp", "13-16", "--top-mlp", "8-1", "--embedding-dim", "16"];

/// What a run of a small model on `data` says on standard error, and its records without the figures that depend on
/// time.
fn train(example: &str, data: &[&str], flags: &[&str]) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("records.jsonl");
    let args = [&["--data"], data, &["--json", json.to_str().unwrap()], &SMALL, flags].concat();
    let out = run(example, &args);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{args:?}: {stderr}");
    let untimed = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        for name in ["rows_per_s", "train_seconds", "waited_seconds", "test_seconds"] {
            assert!(record[name].take().is_number(), "{name}: {line}");
        }
        record.to_string()
    };
    (stderr, fs::read_to_string(json).unwrap().lines().map(untimed).collect())
}

#[test]
fn a_binary_dataset_is_made_once_and_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let text = write(folder.path(), "rows.tsv", &format!("bad\n{}", sample()));
    let binary = format!("{text}.rows");
    for (min_count, randomize) in [("1", "total"), ("3", "day"), ("1", "none")] {
        let flags = ["--skip-bad-rows", "--min-count", min_count, "--data-randomize", randomize, "--epochs", "2"];
        let (_, in_memory) = train("criteo_kaggle", &[&text], &[&flags[..], &["--no-cache"]].concat());
        let (made, first) = train("criteo_kaggle", &[&text], &flags);
        let (used, second) = train("criteo_kaggle", &[&text], &flags);
        let (_, given) = train("criteo_kaggle", &[&binary], &flags);
        assert!(made.contains("kept as") && used.contains("made before"), "{made}\n{used}");
        for said in [made, used] {
            assert!(said.contains("warning: 1 bad rows were skipped"), "{said}");
        }
        assert_eq!(in_memory.len(), 2);
        assert_eq!([&first, &second, &given], [&in_memory; 3], "--min-count {min_count} {randomize}");
    }
}

#[test]
fn a_binary_dataset_of_other_text_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = write(folder.path(), "rows.tsv", &sample());
    assert!(train("criteo_kaggle", &[&text], &[]).0.contains("kept as"));
    assert!(train("criteo_kaggle", &[&text], &[]).0.contains("made before"));
    write(folder.path(), "rows.tsv", &sample());
    assert!(train("criteo_kaggle", &[&text], &[]).0.contains("kept as"), "of the same size, but newer");
    // Older than the dataset, but of another size.
    let longer = write(folder.path(), "rows.tsv", &sample().repeat(2));
    File::options().append(true).open(longer).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let (said, _) = train("criteo_kaggle", &[&text], &[]);
    assert!(said.contains("kept as"), "{said}");
    fs::write(format!("{text}.rows"), "no dataset").unwrap();
    assert!(train("criteo_kaggle", &[&text], &[]).0.contains("kept as"), "what lies there is no dataset");
}

#[test]
fn compressed_text_gives_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let text = sample();
    let mut gz = GzEncoder::new(File::create(path("rows.gz")).unwrap(), Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap();
    let zst = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    fs::write(path("rows.zst"), zst).unwrap();
    let plain = train("criteo_kaggle", &[&write(folder.path(), "rows.tsv", &text)], &[]).1;
    for name in ["rows.gz", "rows.zst"] {
        assert_eq!(train("criteo_kaggle", &[&path(name)], &[]).1, plain, "{name}");
        assert_eq!(train("criteo_kaggle", &[&path(name)], &["--no-cache"]).1, plain, "{name} in memory");
    }
}

#[test]
fn where_nothing_can_be_written_rows_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let text = write(folder.path(), "rows.tsv", &sample());
    let (_, expected) = train("criteo_kaggle", &[&text], &["--no-cache"]);
    // In the way of the file that is written first: permissions would not stop everybody.
    fs::create_dir(folder.path().join(".rows.tsv.rows.partial")).unwrap();
    let (said, found) = train("criteo_kaggle", &[&text], &[]);
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(warnings.len() == 1 && warnings[0].ends_with("no binary dataset, the rows stay in memory"), "{said}");
    assert_eq!(found, expected);
}

#[test]
fn days_train_and_the_last_one_tests() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = sample().lines().map(|line| format!("{line}\n")).collect();
    let (first, rest) = lines.split_at(lines.len() / 2);
    let (second, third) = rest.split_at(rest.len() / 3);
    let write_day = |(i, day): (usize, &[String])| write(folder.path(), &format!("day_{i}"), &day.concat());
    let days: Vec<String> = [first, second, third].into_iter().enumerate().map(write_day).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    let flags = ["--full-test", "--batch-size", "32", "--min-count", "2"];
    let (made, records) = train("criteo_terabyte", &days, &flags);
    let last: serde_json::Value = serde_json::from_str(records.last().unwrap()).unwrap();
    assert_eq!((&last["train_rows"], &last["test_rows"]), (&(first.len() + second.len()).into(), &third.len().into()));
    let (used, again) = train("criteo_terabyte", &days, &flags);
    let binary = format!("{}+2.rows", days[0]);
    let (_, given) = train("criteo_terabyte", &[&binary], &flags);
    assert!(made.contains("kept as") && used.contains("made before"), "{made}\n{used}");
    assert_eq!([&again, &given], [&records; 2]);
    // Another day of the same size.
    fs::copy(days[1], folder.path().join("day_3")).unwrap();
    let day_3 = folder.path().join("day_3").to_str().unwrap().to_owned();
    assert!(train("criteo_terabyte", &[days[0], &day_3, days[2]], &flags).0.contains("kept as"));
    // Fewer ids, fewer rows: the flags reach the dataset.
    let (said, capped) = train("criteo_terabyte", &days, &[&flags[..], &["--max-ind-range", "5"]].concat());
    assert!(said.contains("kept as") && capped != records, "{said}");
    let (said, fewer) = train("criteo_terabyte", &days, &[&flags[..], &["--sub-sample-rate", "0.5"]].concat());
    let fewer: serde_json::Value = serde_json::from_str(fewer.last().unwrap()).unwrap();
    assert!(said.contains("kept as") && fewer["train_rows"].as_u64() < last["train_rows"].as_u64(), "{said}");
}

#[test]
fn without_data_a_few_days_are_generated() {
    let out = run("criteo_terabyte", &SMALL);
    let (stdout, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success(), "{stderr}");
    assert!(stderr.contains("40000 to train on, 10000 to test on"), "{stderr}");
    assert!(stdout.contains("waited for data"), "{stdout}");
}

#[test]
fn rows_may_come_from_a_pipe() {
    let mut command = example("criteo_kaggle");
    command.args(["--data", "/dev/stdin"]).args(SMALL).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(sample().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    let rows = format!("{} rows in", sample().lines().count());
    assert!(out.status.success() && stderr.contains(&rows) && !stderr.contains("kept as"), "{stderr}");
}

/// A binary dataset of one dense column and one of ids.
fn narrow(path: &Path) {
    let mut schema = Schema::criteo(Transform::Log);
    schema.dense.truncate(1);
    schema.categorical.truncate(1);
    let mut writer = RowWriter::create(path, 3).unwrap();
    writer.write(2, &[0; 6]).unwrap();
    let header = Header {
        days: vec![1, 1],
        num_embeddings: vec![1],
        shared_row: false,
        min_dense: 0.0,
        source: Source::default(),
        schema,
    };
    writer.finish(&header, [Ok(Keys::None)].into_iter()).unwrap();
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let rows = sample();
    let [day, bad, empty] =
        [("day", &rows[..]), ("bad", "no row\n"), ("empty", "")].map(|(name, text)| write(folder.path(), name, text));
    train("criteo_kaggle", &[&day], &["--min-count", "2"]);
    let binary = format!("{day}.rows");
    let directory = folder.path().to_str().unwrap();
    let other = folder.path().join("other.rows");
    narrow(&other);
    let other = other.to_str().unwrap();
    let cases: [(&str, &[&str], &str); 13] = [
        ("criteo_kaggle", &["--data", other], "other.rows: 1 dense columns, expected Criteo's 13"),
        ("criteo_kaggle", &["--data", &binary, "--min-count", "1"], "made with --min-count 2, not with --min-count 1"),
        ("criteo_terabyte", &["--data", &binary, "--max-ind-range", "7"], "made with --max-ind-range 0, not with"),
        ("criteo_terabyte", &["--data", &binary, "--sub-sample-rate", "0.5"], "made without --sub-sample-rate, not"),
        ("criteo_terabyte", &["--data", &day, &binary], "day.rows: a binary dataset among other files"),
        ("criteo_terabyte", &["--data", &day, "/nonexistent/day_1"], "/nonexistent/day_1: No such file or directory"),
        ("criteo_terabyte", &["--data", directory], "Is a directory"),
        ("criteo_terabyte", &["--data", &day, &bad], "bad:1:"),
        ("criteo_terabyte", &["--data", &day, &empty], "empty: no row, expected at least one for each day"),
        ("criteo_terabyte", &["--data"], "a value is required for '--data <FILE>...' but none was supplied"),
        ("criteo_terabyte", &["--sub-sample-rate", "2"], "for '--sub-sample-rate <SUB_SAMPLE_RATE>': expected a prob"),
        ("criteo_terabyte", &["--top-mlp", "512-2"], "top MLP 512-2: the last width is expected to be 1, the logit"),
        ("criteo_terabyte", &["--bottom-mlp", "13-16"], "the last width, 16, is expected to be the embedding dim, 64"),
    ];
    for (name, args, expected) in cases {
        let out = run(name, args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(out.status.code(), Some(1), "{name} {args:?}: {stderr}");
        assert!(errors.len() == 1 && errors[0].contains(expected), "{name} {args:?}: {stderr}, expected {expected}");
        assert!(stderr.ends_with(&format!("{}\n", errors[0])), "{name} {args:?}: {stderr}");
    }
}
