//! The reference's own preprocessing of 73 awkward rows (`data/golden/criteo_fixture`), met to
//! the last value.

use dlrm::Batch;
use dlrm::data::criteo::{BadRows, Dataset};
use dlrm::data::source::{BatchSource, Order, RowSource};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Expected {
    counts: Vec<usize>,
    day_sizes: Vec<usize>,
    split: Split,
    #[serde(rename = "X_int")]
    ints: Vec<[i32; 13]>,
    #[serde(rename = "X_cat")]
    ids: Vec<[u32; 26]>,
    #[serde(rename = "y")]
    labels: Vec<u8>,
    #[serde(rename = "dictionary_C1")]
    hashes_of_c1: Vec<u32>,
}

#[derive(Deserialize)]
struct Split {
    train: usize,
    test: usize,
    val: usize,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/golden/criteo_fixture").join(name)
}

fn expected() -> Expected {
    serde_json::from_str(&fs::read_to_string(fixture("expected.json")).unwrap()).unwrap()
}

#[test]
fn arrays_are_the_references() {
    let expected = expected();
    let dataset = Dataset::read(&[fixture("rows.tsv")], 1, BadRows::Stop).unwrap();
    assert_eq!(dataset.labels(), expected.labels);
    assert_eq!(dataset.ints(), expected.ints);
    assert_eq!(dataset.ids(), expected.ids);
    assert_eq!(dataset.num_embeddings().to_vec(), expected.counts);
    assert_eq!(dataset.vocabulary().hashes(0), expected.hashes_of_c1);
    assert_eq!(dataset.skipped(), 0);

    let split = dataset.split();
    assert_eq!(split.days(), expected.day_sizes);
    assert_eq!(split.train().len(), expected.split.train);
    assert_eq!(split.test(false).len(), expected.split.test);
    assert_eq!(split.test(true).len(), expected.split.test + expected.split.val);
}

#[test]
fn batches_hold_the_logs_of_the_arrays() {
    let expected = expected();
    let dataset = Dataset::read(&[fixture("rows.tsv")], 1, BadRows::Stop).unwrap();
    let mut source = RowSource::new(&dataset, 63..73, 4, Order::InOrder);
    let mut batch = Batch::default();
    let mut row = 63;
    while source.next_batch(&mut batch).unwrap() {
        batch.check(13, dataset.num_embeddings().into_iter()).unwrap();
        for b in 0..batch.len() {
            assert_eq!(batch.labels[b], f32::from(expected.labels[row]));
            for (dense, x) in batch.dense[13 * b..][..13].iter().zip(expected.ints[row]) {
                // f32's ln is good to one unit in the last place, which for values up to
                // ln(65536) = 11.1 is under 1e-6.
                assert!((f64::from(*dense) - f64::from(x).ln_1p()).abs() < 1e-6, "ln(1 + {x}) is {dense}");
            }
            for (bags, id) in batch.sparse.iter().zip(expected.ids[row]) {
                assert_eq!(bags.bag(b), [id]);
            }
            row += 1;
        }
    }
    assert_eq!(row, 73);
}
