//! What tests of the examples share.

use std::process::Command;

/// An example that `cargo test` has built beside this test. (With `--test NAME` it builds no example: then it is the
/// one of the last `cargo build --examples`.)
pub fn example(name: &str) -> Command {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    Command::new(path)
}
