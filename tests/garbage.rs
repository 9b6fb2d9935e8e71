//! Whatever is given as rows: one clear line, exit code 1, and no more memory than rows would take.

mod common;

use common::example;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

/// Runs an example with at most 1 GiB of address space.
fn run(name: &str, args: &[&str]) -> Output {
    let limited = r#"ulimit -v 1048576 && exec "$0" "$@""#; // in KiB
    Command::new("sh").args(["-c", limited]).arg(example(name).get_program()).args(args).output().unwrap()
}

const ADULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/schemas/adult.toml");

/// The line that each program says about a file, which it calls FILE.
fn said(path: &Path) -> [String; 3] {
    let (input, output) = (path.to_str().unwrap(), path.with_extension("rows"));
    let programs: [(&str, &[&str]); 3] = [
        ("preprocess", &["--input", input, "--output", output.to_str().unwrap(), "--threads", "2"]),
        ("criteo_kaggle", &["--data", input, "--no-cache", "--threads", "2"]),
        ("custom_dataset", &["--schema", ADULT, "--data", input]),
    ];
    programs.map(|(program, args)| {
        let out = run(program, args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{program} of {input}: {stderr}");
        assert!(!output.exists(), "{program} of {input}: it has written {}", output.display());
        let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "{program} of {input}: {stderr}");
        let line = lines[0].replace(&format!("{}: ", output.display()), "").replace(input, "FILE");
        line.trim_start_matches("error: ").to_owned()
    })
}

/// A row of Criteo's, without the end of its line.
fn row() -> String {
    format!("0\t{}{}", "1\t".repeat(13), ["68fd1e64"; 26].join("\t"))
}

#[test]
fn garbage_is_one_line_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let many: String = "1\t".repeat(1_000_000);
    let cases: [(&str, Vec<u8>, [&str; 3]); 6] = [
        ("random", (0..1 << 20).map(|_| random()).collect(), ["FILE:1:", "FILE:1:", "FILE:1"]),
        ("nul", vec![0; 100_000], ["FILE:1:1: ", "FILE:1:1: ", "FILE:1"]),
        ("crlf", [&row(), "\r\n"].concat().repeat(20).into(), ["FILE:1:40: ", "FILE:1:40: ", "FILE:1"]),
        ("bom", ["\u{feff}", &row(), "\n"].concat().into(), ["FILE:1:1: ", "FILE:1:1: ", "FILE:1"]),
        ("columns", many.into(), ["FILE:1:", "FILE:1:", "FILE:1"]),
        ("empty", Vec::new(), ["FILE: 0 rows", "FILE: 0 rows", "FILE"]),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for (line, start) in said(&path).iter().zip(expected) {
            assert!(line.starts_with(start) && line.len() < 300, "{name}: {line}");
        }
    }
}

#[test]
fn a_gigabyte_without_a_newline_is_one_line_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zeros");
    File::create(&path).unwrap().set_len(1 << 30).unwrap(); // which takes no room on the disk
    for line in said(&path) {
        assert!(line.starts_with("FILE:1") && line.len() < 300, "{line}");
    }
}

/// A device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("rows.tsv"), [row(), "\n".into()].concat().repeat(1000)).unwrap();
    let preprocess = || {
        let [input, output] = ["rows.tsv", "out.rows"].map(|name| path(name).to_str().unwrap().to_owned());
        run("preprocess", &["--input", &input, "--output", &output])
    };
    let partial = path(".out.rows.partial");
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let out = preprocess();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    let expected = format!("error: {}: No space left on device", partial.display());
    assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{stderr}");
    assert!(!path("out.rows").exists());
    fs::remove_file(&partial).unwrap();
    assert!(preprocess().status.success());
    assert!(path("out.rows").exists());
}
