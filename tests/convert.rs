//! The example that converts, as a user meets it.

mod common;

use common::example;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Runs the example in `dir`.
fn convert(dir: &Path, args: &[&str]) -> Output {
    example("convert").current_dir(dir).args(args).output().unwrap()
}

/// Rows of MLPerf's format.
fn rows(n: i32) -> Vec<u8> {
    (0..n)
        .flat_map(|i| (0..40).map(move |c| if c == 0 { i % 2 } else { i * 7 + c }))
        .flat_map(i32::to_le_bytes)
        .collect()
}

#[test]
fn a_round_through_all_formats_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("a.bin"), rows(50)).unwrap();
    let steps = [("a.bin", "a.npz"), ("a.npz", "a.dlrm"), ("a.dlrm", "b.bin"), ("a.npz", "day_0_dense.npy")];
    for (from, to) in steps {
        let out = convert(dir.path(), &["--input", from, "--output", to]);
        assert!(out.status.success(), "{from} to {to}: {}", String::from_utf8_lossy(&out.stderr));
    }
    assert_eq!(fs::read(path("b.bin")).unwrap(), rows(50));
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    let expected = ["a.bin", "a.dlrm", "a.npz", "b.bin", "day_0_dense.npy", "day_0_labels.npy", "day_0_sparse.npy"];
    assert_eq!(names, expected);
}

#[test]
fn a_mistake_gets_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.bin"), rows(1)).unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["a.bin", "a.npz", "--output", "b"], "a.npz: another format than a.bin, expected the same"),
        (&["a", "--output", "b"], "b: the format of the input, expected another"),
        (&["a", "b", "--output", "c.bin"], "b: a second binary dataset, expected one"),
        (&["none.bin", "--output", "b"], "none.bin: No such file or directory (os error 2)"),
        (&["a.bin", "--output", "no/b.npz"], "No such file or directory (os error 2)"),
    ];
    for (args, expected) in cases {
        let out = convert(dir.path(), &[&["--input"], args].concat());
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.trim_end().ends_with(expected), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    }
}
