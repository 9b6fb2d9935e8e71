//! The locality example as a user meets it: table, JSON and picture, and one clear line for each mistake.

mod common;

use common::example;
use dlrm::data::preprocess::{Options, preprocess};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Runs the example.
fn locality(args: &[&str]) -> Output {
    example("locality").args(args).output().unwrap()
}

/// Rows of the sample that ships with the project.
fn sample() -> String {
    format!("{}/data/sample.tsv", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let sample = sample();
    let cut = write("cut.bin", b"DLRMROWS and no more");
    let bad = write("bad.tsv", b"not a row\n");
    let cases: [(&[&str], &str); 6] = [
        (&["--data", "/nonexistent/train.txt"], "/nonexistent/train.txt: No such file or directory"),
        (&["--data", &cut], "cut.bin: no binary dataset: 20 bytes, expected 64 or more"),
        (&["--data", &bad], "bad.tsv:1:1: "),
        (&["--data", &sample, "--columns", "C1,I2"], "--columns I2: expected some of C1, C2, "),
        (&["--data", &sample, "--svg", "/nonexistent/a.svg"], "/nonexistent/a.svg: No such file or directory"),
        (&["--rows", "7"], "unexpected argument '--rows' found"),
    ];
    for (args, expected) in cases {
        let out = locality(args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(expected), "{args:?}: {stderr}");
    }
}

#[test]
fn the_sample_as_table_json_and_picture() {
    let dir = tempfile::tempdir().unwrap();
    let svg = dir.path().join("rates.svg");
    let data = sample();
    let args = ["--data", &data, "--columns", "C9,C3", "--svg", svg.to_str().unwrap()];
    let out = locality(&args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let table = String::from_utf8(out.stdout).unwrap();
    let starts: Vec<&str> =
        table.lines().map(|l| l.split(' ').next().unwrap()).filter(|w| w.starts_with('C')).collect();
    assert_eq!(starts, ["C9", "C3", "C9", "C3"], "{table}");
    let svg = fs::read_to_string(&svg).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // A curve and its line in the legend for each column.
    assert_eq!((svg.matches("<polyline ").count(), svg.matches(">C3<").count()), (4, 1));

    let out = locality(&[&args[..], &["--json"]].concat());
    let lines: Vec<serde_json::Value> =
        String::from_utf8(out.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let c9 = &lines[0];
    let column: Vec<String> = fs::read_to_string(sample())
        .unwrap()
        .lines()
        .map(|row| row.split('\t').nth(14 + 8).unwrap().to_owned())
        .collect();
    let different = column.iter().collect::<HashSet<_>>().len();
    let hottest = column.iter().map(|id| column.iter().filter(|other| *other == id).count()).max().unwrap();
    assert_eq!((&c9["column"], &c9["accesses"], &c9["different"]), (&"C9".into(), &200.into(), &different.into()));
    assert_eq!(c9["hottest_rows"][0]["share"], hottest as f64 / 200.0);
    assert_eq!(
        (&c9["hottest_percent"][2]["percent"], &c9["hottest_percent"][2]["share"]),
        (&10.0.into(), &c9["hottest_rows"][0]["share"])
    );
    let again: u64 = c9["stack_distances"].as_array().unwrap().iter().map(|o| o["accesses"].as_u64().unwrap()).sum();
    assert_eq!(again as usize, 200 - different);
}

#[test]
fn a_binary_dataset_is_as_local_as_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("rows.bin");
    preprocess(&Options::new(vec![sample().into()], binary.clone()), &mut |_| ()).unwrap();
    let [text, binary] = [Path::new(&sample()), &binary].map(|path| {
        let out = locality(&["--data", path.to_str().unwrap(), "--json"]);
        String::from_utf8(out.stdout).unwrap()
    });
    assert_eq!((text.lines().count(), &text), (26, &binary));
}
