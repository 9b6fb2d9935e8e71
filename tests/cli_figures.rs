//! The paper's figures as a user meets them: a table, files, and exit code 1 where something is not as the paper says. Those
//! that train or time steps are run by the gate.

mod common;

use common::example;
use std::fs;
use std::path::Path;
use std::process::Output;

fn figures(args: &[&str], output: &Path) -> Output {
    example("paper_figures").args(args).arg("--output").arg(output).output().unwrap()
}

#[test]
fn a_generated_trace_stands_for_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let out = figures(&["figure3", "locality", "algorithms", "--quick"], dir.path());
    let table = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{table}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!((table.matches("yes\n").count(), table.matches("NO\n").count()), (17, 0), "{table}");
    for (name, curves, columns) in [("figure3", 3, 3), ("algorithms", 6, 4), ("locality", 7, 3)] {
        let svg = fs::read_to_string(dir.path().join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("prefers-color-scheme: dark"));
        assert_eq!(svg.matches("<polyline ").count(), 2 * curves, "a curve and its line in the legend, {name}");
        let csv = fs::read_to_string(dir.path().join(format!("{name}.csv"))).unwrap();
        assert!(csv.lines().count() > 100 && csv.lines().all(|line| line.split(',').count() == columns), "{name}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 6);
}

#[test]
fn what_is_outside_is_said_and_ends_with_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    // In 200 draws of 256 ids nearly none comes again.
    let sample = format!("{}/data/sample.tsv", env!("CARGO_MANIFEST_DIR"));
    let out = figures(&["locality", "--data", &sample], dir.path());
    let [table, stderr] = [out.stdout, out.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(out.status.code(), Some(1), "{table}");
    let outside = table.lines().filter(|line| line.ends_with("NO")).collect::<Vec<_>>();
    assert!(outside.iter().any(|line| line.starts_with("locality, even draws")), "{table}");
    assert_eq!(stderr, format!("error: {} of 7 are outside of what is expected\n", outside.len()));
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let cases: [(&[&str], &Path, &str); 4] = [
        (&["figure7"], dir.path(), "invalid value 'figure7' for '[FIGURES]...'"),
        (&["locality", "--data", "/nonexistent/train.txt"], dir.path(), "/nonexistent/train.txt: No such file"),
        (&["figure5", "--data", "/nonexistent/train.txt"], dir.path(), "/nonexistent/train.txt: No such file"),
        (&["locality"], &file, "file: not a directory, expected one for the figures"),
    ];
    for (args, output, expected) in cases {
        let out = figures(args, output);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(expected), "{args:?}: {stderr}");
    }
}
