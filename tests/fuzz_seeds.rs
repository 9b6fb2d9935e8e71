//! The seeds of the fuzz targets, as ordinary tests. (To fuzz: see `tests/fuzz/Cargo.toml`.)

// What targets do not use of the examples' flags.
#[allow(dead_code)]
#[path = "fuzz/src/lib.rs"]
mod fuzz;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs a target, and sees that it asks for no more memory, all its requests summed, than some buffers of its own and
/// so many times what it was given.
fn bounded(target: fn(&[u8]), bytes: &[u8]) {
    const BUFFERS: usize = 32 << 20;
    const TIMES: usize = 1000;
    let region = Region::new(ALLOCATOR);
    target(bytes);
    let asked = region.change().bytes_allocated;
    assert!(asked <= BUFFERS + TIMES * bytes.len(), "{asked} bytes for {}", bytes.len());
}

/// The counters count for the whole process: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a target on its seeds, on each cut and with a byte changed, at so many places at most.
fn around(name: &str, target: fn(&[u8]), most: usize) {
    let _one = alone();
    target(&[]); // what is set up once
    for seed in seeds(name) {
        bounded(target, &seed);
        for at in (0..seed.len()).step_by(seed.len().div_ceil(most)) {
            bounded(target, &seed[..at]);
            for change in [0x01, 0x41, 0xff] {
                let mut changed = seed.clone();
                changed[at] ^= change;
                bounded(target, &changed);
            }
        }
    }
}

#[test]
fn checkpoint() {
    around("checkpoint", fuzz::checkpoint, 400);
}

#[test]
fn config() {
    around("config", fuzz::config, 200);
}

#[test]
fn events() {
    around("events", fuzz::events, 200);
}

#[test]
fn flags() {
    around("flags", fuzz::flags, 60);
}

#[test]
fn npz() {
    around("npz", fuzz::npz, 60);
}

#[test]
fn npy() {
    around("npy", fuzz::npy, 60);
}

#[test]
fn mlperf() {
    around("mlperf", fuzz::mlperf, 30);
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seeds of {target}");
    seeds
}

#[test]
fn rows() {
    let _one = alone();
    seeds("rows").iter().for_each(|bytes| fuzz::rows(bytes));
}

#[test]
fn header() {
    let _one = alone();
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
    let _one = alone();
    seeds("schema").iter().for_each(|bytes| fuzz::schema(bytes));
}
