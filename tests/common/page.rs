//! What tests of pages share: the cells of a table, and whether what is named in them exists.

// Each test uses its own part of this.
#![allow(dead_code)]

use super::common::example;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A path in the repository.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The cells of a line of a table.
pub fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// The pieces of a cell that are set as code.
pub fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The example that a piece of code begins with, if it is one, and what follows.
pub fn example_and_rest(code: &str) -> Option<(&str, &str)> {
    let (name, rest) = code.split_once(' ').unwrap_or((code, ""));
    let exists = root(&format!("examples/{name}.rs")).exists() || root(&format!("examples/{name}/main.rs")).exists();
    exists.then_some((name, rest))
}

/// Whether a help text has a flag.
pub fn has_flag(help: &str, flag: &str) -> bool {
    help.lines().any(|line| line.trim_start().split([' ', ',']).take(3).any(|word| word == flag))
}

/// The examples' help texts, asked for once.
#[derive(Default)]
pub struct Helps(HashMap<String, String>);

impl Helps {
    /// The help text of an example.
    pub fn of(&mut self, name: &str) -> &str {
        self.0.entry(name.to_owned()).or_insert_with(|| {
            let out = example(name).arg("--help").output().unwrap();
            assert!(out.status.success(), "{name} --help: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        })
    }

    /// Fails unless `command`, an example with flags, is one, and its help has these flags.
    #[track_caller]
    pub fn check(&mut self, command: &str) {
        let (name, rest) = example_and_rest(command).unwrap_or_else(|| panic!("{command}: there is no such example"));
        for word in rest.split(' ').filter(|word| word.starts_with("--")) {
            let flag = word.split('=').next().unwrap();
            assert!(has_flag(self.of(name), flag), "{command}: {name} has no {flag}");
        }
    }
}

/// Fails unless `test`, a file and the name of a function after `::`, is a test there.
#[track_caller]
pub fn check_test(test: &str) {
    let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test}: expected file::test"));
    let source = fs::read_to_string(root(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let found = lines.windows(2).any(|pair| pair[0] == "#[test]" && pair[1].starts_with(&format!("fn {name}(")));
    assert!(found, "no test {test}");
}
