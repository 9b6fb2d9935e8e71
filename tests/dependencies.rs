//! What comes with the crates that this project uses: their licences, where they are from, and which are there twice.
//!
//! `deny.toml` says the same to `cargo deny`, which knows more, and known vulnerabilities too where it has a network; this
//! always runs.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Licences that ask for no more than to be kept with what is under them.
const LICENCES: [&str; 7] = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0"];

/// Crates in more than one version, and who wants another than the newest.
const TWICE: [(&str, &str); 7] = [
    ("equator", "gemm and its helpers, in the benches of rivals"),
    ("equator-macro", "as equator"),
    ("hashbrown", "gpu-allocator, under wgpu, and safetensors, in tests"),
    ("rustc-hash", "naga, under wgpu"),
    ("shlex", "bindgen, under mpi"),
    ("syn", "derive macros of three generations"),
    ("winnow", "the two halves of toml"),
];

/// All packages that are built on this machine, for a GPU and for ranks too.
fn packages() -> Vec<Value> {
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline", "--features", "mpi,wgpu"]);
    cargo.args(["--filter-platform", host]);
    let out = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether a licence expression (SPDX, or the older `A/B`) can be met with [`LICENCES`].
fn is_met(expression: &str) -> bool {
    let text = expression.replace('/', " OR ").replace(" or ", " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut words = &words[..];
    let met = any(&mut words);
    assert!(words.is_empty(), "{expression}: {words:?} is left");
    met
}

fn any(words: &mut &[&str]) -> bool {
    let mut met = all(words);
    while words.split_off_first_if(|&word| word == "OR") {
        met |= all(words);
    }
    met
}

fn all(words: &mut &[&str]) -> bool {
    let mut met = one(words);
    while words.split_off_first_if(|&word| word == "AND") {
        met &= one(words);
    }
    met
}

fn one(words: &mut &[&str]) -> bool {
    let first = *words.split_off_first().expect("a licence");
    if first == "(" {
        let met = any(words);
        assert_eq!(words.split_off_first(), Some(&")"));
        return met;
    }
    // An exception gives more than the licence does.
    if words.split_off_first_if(|&word| word == "WITH") {
        words.split_off_first();
    }
    LICENCES.contains(&first)
}

trait SplitOffIf<T> {
    /// Takes the first one away if it is so, and says whether it was.
    fn split_off_first_if(&mut self, is_so: impl Fn(&T) -> bool) -> bool;
}

impl<T> SplitOffIf<T> for &[T] {
    fn split_off_first_if(&mut self, is_so: impl Fn(&T) -> bool) -> bool {
        let so = self.first().is_some_and(is_so);
        if so {
            self.split_off_first();
        }
        so
    }
}

#[test]
fn licences_are_read_as_they_are_written() {
    for met in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Zlib", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_met(met), "{met}");
    }
    for unmet in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "GPL-2.0 WITH Classpath-exception-2.0"] {
        assert!(!is_met(unmet), "{unmet}");
    }
}

#[test]
fn every_crate_has_a_licence_that_can_be_met_and_comes_from_the_registry() {
    let packages = packages();
    assert!(packages.len() > 100, "{} packages", packages.len());
    for package in packages {
        let name = &package["name"];
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(is_met(licence), "{name} is under {licence}, expected one of {LICENCES:?}");
        let source = package["source"].as_str();
        let is_known = source.is_none_or(|source| source == "registry+https://github.com/rust-lang/crates.io-index");
        assert!(is_known, "{name} comes from {source:?}, expected crates.io");
    }
}

#[test]
fn no_crate_is_there_twice_but_the_ones_that_are_known() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap().to_owned());
        versions.entry(name).or_default().push(version);
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    let names: Vec<&str> = twice.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, TWICE.map(|(name, _)| name), "{twice:?}");
}
