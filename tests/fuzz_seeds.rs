//! The seeds of the fuzz targets, as ordinary tests. (To fuzz: see `tests/fuzz/Cargo.toml`.)

#[path = "fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::Path;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seeds of {target}");
    seeds
}

#[test]
fn rows() {
    seeds("rows").iter().for_each(|bytes| fuzz::rows(bytes));
}

#[test]
fn header() {
    for seed in seeds("header") {
        fuzz::header(&seed);
        // Cut anywhere, and with any byte changed.
        for at in 0..seed.len() {
            fuzz::header(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 0x41;
            fuzz::header(&changed);
        }
    }
}

#[test]
fn schema() {
    seeds("schema").iter().for_each(|bytes| fuzz::schema(bytes));
}
