//! Every example is in the README's table and has its short run in the gate; the numbered ones are short.

use std::fs;
use std::path::{Path, PathBuf};

/// The programs in `examples/`: their names, and the files that they begin with.
fn examples() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    let program = |path: PathBuf| {
        let main = if path.is_dir() { path.join("main.rs") } else { path.clone() };
        let is_program = main.extension().is_some_and(|e| e == "rs") && main.is_file();
        is_program.then(|| (path.file_stem().unwrap().to_str().unwrap().to_owned(), main))
    };
    entries.filter_map(|entry| program(entry.unwrap().path())).collect()
}

#[test]
fn each_is_listed_and_run() {
    let (readme, gate) = (include_str!("../README.md"), include_str!("../.ci/run"));
    let listed = |name: &str| readme.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
    let run = |name: &str| gate.contains(&format!("target/release/examples/{name}"));
    for (name, _) in examples() {
        assert!(listed(&name), "{name}: no line of the README's table");
        assert!(run(&name), "{name}: not in .ci/run");
    }
}

#[test]
fn the_numbered_ones_are_short_and_say_what_they_show() {
    let mut numbers = Vec::new();
    for (name, path) in examples().into_iter().filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_digit())) {
        let source = fs::read_to_string(path).unwrap();
        assert!(source.lines().count() < 80, "{name} has {} lines", source.lines().count());
        assert!(source.starts_with("//! "), "{name} does not say what it shows");
        assert!(source.contains(&format!("--example {name}\n")), "{name} does not say how it is run");
        numbers.push(name[..2].parse::<usize>().expect("two digits"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
}
