//! What tests of the examples share.

// Each test uses its own part of this.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

/// An example that `cargo test` has built beside this test. (With `--test NAME` it builds no example: then it is the
/// one of the last `cargo build --examples`.)
pub fn example(name: &str) -> Command {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    Command::new(path)
}

/// What a run of an example in `folder` ends with.
pub fn run_in(folder: &Path, name: &str, args: &[&str]) -> Output {
    example(name).current_dir(folder).args(args).output().unwrap()
}

/// What a run in `folder` that succeeds prints.
#[track_caller]
pub fn stdout_in(folder: &Path, name: &str, args: &[&str]) -> String {
    let out = run_in(folder, name, args);
    assert!(out.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
