//! What goes in, what comes out: every mistake gets one line and exit code 1, and leaves no file behind or changed.
//!
//! The cases are the lists in the files beside this one; what they say is `snapshots/mistakes__table.snap`. Where a message
//! is meant to change, `INSTA_UPDATE=always cargo test --test mistakes` writes it anew, to be read before it is committed.

// Another system has other words for its errors, and an example with MPI, Parquet or a GPU takes what one without does not.
#![cfg(all(target_os = "linux", not(feature = "mpi"), not(feature = "parquet"), not(feature = "wgpu")))]

#[path = "../common/mod.rs"]
mod common;
mod flags;
mod formats;
mod inputs;
mod models;
mod outputs;
mod rows;
mod runs;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Commands of one kind, each a mistake. A word of nothing is written `''`.
type Kind = (&'static str, &'static [&'static str]);

const KINDS: [Kind; 7] = [
    ("Flags", flags::COMMANDS),
    ("Rows", rows::COMMANDS),
    ("Tables and their schemas", tables::COMMANDS),
    ("Models", models::COMMANDS),
    ("Other formats", formats::COMMANDS),
    ("Runs that are kept, go on or are watched", runs::COMMANDS),
    ("Where things are written", outputs::COMMANDS),
];

#[test]
fn table() {
    let folder = tempfile::tempdir().unwrap();
    let described = [inputs::write(folder.path()), runs::write(folder.path())].concat();
    let (mut table, mut failures) = (String::new(), Vec::new());
    let mut before = contents(folder.path());
    for (kind, commands) in KINDS {
        table += &format!("# {kind}\n");
        for command in commands {
            table += &format!("\n{command}\n");
            for (name, what) in described.iter().filter(|(name, _)| mentions(command, name)) {
                table += &format!("    {name} is {what}\n");
            }
            match run(folder.path(), command) {
                Ok(line) => table += &format!("    {line}\n"),
                Err(failure) => failures.push(format!("{command}: {failure}")),
            }
            let after = contents(folder.path());
            let changed = before.keys().chain(after.keys()).find(|path| before.get(*path) != after.get(*path));
            failures.extend(changed.map(|path| format!("{command}: has made, changed or removed {}", path.display())));
            before = after;
        }
        table += "\n";
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    insta::assert_snapshot!(table.trim_end());
}

#[test]
fn there_are_enough_of_them_and_all_examples_with_flags_are_among_them() {
    let commands: Vec<&str> = KINDS.iter().flat_map(|(_, commands)| *commands).copied().collect();
    assert!(commands.len() >= 60, "{}", commands.len());
    let twice = (1..commands.len()).find(|&i| commands[..i].contains(&commands[i]));
    assert_eq!(twice.map(|i| commands[i]), None, "twice");
    let programs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let main = if path.is_dir() { path.join("main.rs") } else { path.clone() };
        let is_program = main.extension().is_some_and(|e| e == "rs") && main.exists();
        // Who reads no flag reads no file: nothing about it can be wrong.
        let takes_flags = |source: String| source.contains("clap") || source.contains("env::args");
        let found = is_program && takes_flags(fs::read_to_string(&main).unwrap());
        found.then(|| path.file_stem().unwrap().to_str().unwrap().to_owned())
    });
    for program in programs {
        let found = commands.iter().any(|command| command.split(' ').next() == Some(&program));
        assert!(found, "no mistake of {program}");
    }
}

/// Whether a file is one of a command's words.
fn mentions(command: &str, name: &str) -> bool {
    command.split(' ').any(|word| word == name)
}

/// The one line that a command ends with, or what it did instead.
fn run(folder: &Path, command: &str) -> Result<String, String> {
    let mut words = command.split(' ').map(|word| if word == "''" { "" } else { word });
    let program = common::example(words.next().unwrap());
    // In 4 GiB of address space: whoever asks for more than that without a look ends here, and not the machine.
    let limited = r#"ulimit -v 4194304 && exec "$0" "$@""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", limited]).arg(program.get_program()).args(words).current_dir(folder).stdin(Stdio::null());
    let out = shell.output().unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let last = stderr.lines().last().unwrap_or_default();
    let is_one_line = errors == 1 && last.starts_with("error: ") && last.len() < 300;
    match out.status.code() {
        Some(1) if is_one_line => Ok(everywhere_the_same(last)),
        code => Err(format!("exit code {code:?}: {stderr}")),
    }
}

/// The line without what depends on the machine: its memory, and which number overflows first.
fn everywhere_the_same(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, after) in [("GB of memory, and ", " GB are available"), (": output [", "; a lower --lr")] {
        if let Some(start) = line.find(before).map(|at| at + before.len())
            && let Some(len) = line[start..].find(after)
        {
            line.replace_range(start..start + len, "...");
        }
    }
    line
}

/// Everything in a folder, with what links point to.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            all.extend(contents(&path));
        }
        let held = match meta.file_type() {
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            kind if kind.is_file() => fs::read(&path).unwrap(),
            _ => Vec::new(),
        };
        all.insert(path, held);
    }
    all
}
