//! The formats of others: what is read is what was written, to the bit; the bytes that NumPy would write; and one
//! clear line for each mistake in a file.

mod mistakes;
mod round_trips;

use dlrm::data::binary::{Header, Keys, RowFile, RowWriter, Source};
use dlrm::data::formats::{mlperf, npz, torchrec};
use dlrm::data::schema::{CategoricalColumn, Number, Schema, Transform};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Rows enough for more than two blocks.
const MANY: u64 = 20_000;

/// A number for column `c` of row `i`, below 2^31.
fn draw(i: u64, c: u64) -> u64 {
    (i * 40 + c + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33
}

fn label(i: u64) -> i32 {
    i32::from(i.is_multiple_of(3))
}

fn integer(i: u64, c: u64) -> i32 {
    (draw(i, c) % 5000) as i32
}

fn id(i: u64, c: u64) -> i32 {
    (draw(i, 13 + c) % (3 + c)) as i32
}

/// Words of Criteo's columns.
fn words(i: u64) -> Vec<u32> {
    let mut words = vec![(label(i) as f32).to_bits()];
    words.extend((0..13).map(|c| integer(i, c) as u32));
    words.extend((0..26).map(|c| id(i, c) as u32));
    words
}

fn header(rows: u64, schema: Schema) -> Header {
    Header {
        days: vec![rows],
        num_embeddings: (0..26).map(|c| 3 + c).collect(),
        shared_row: false,
        min_dense: 0.0,
        source: Source::default(),
        schema,
    }
}

/// A dataset of rows of 40 words.
fn dataset(dir: &Path, header: &Header, rows: impl Iterator<Item = Vec<u32>>) -> RowFile {
    let path = dir.join("rows.dlrm");
    let mut writer = RowWriter::create(&path, 40).unwrap();
    rows.for_each(|row| writer.write(1, &row).unwrap());
    writer.finish(header, (0..26).map(|_| Ok(Keys::None))).unwrap();
    RowFile::open(path).unwrap()
}

fn criteo(dir: &Path, rows: u64) -> RowFile {
    dataset(dir, &header(rows, Schema::criteo(Transform::Log)), (0..rows).map(words))
}

/// A `.npy`, its header written as by NumPy.
fn npy(descr: &str, fortran: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let mut bytes = format!("{text:117}\n").into_bytes();
    bytes.splice(0..0, *b"\x93NUMPY\x01\x00\x76\x00");
    bytes.extend_from_slice(numbers);
    bytes
}

/// Numbers as bytes of a dtype.
fn encode(descr: &str, numbers: impl Iterator<Item = i32>) -> Vec<u8> {
    numbers
        .flat_map(|x| match descr {
            "<i4" => x.to_le_bytes().to_vec(),
            "<i8" => i64::from(x).to_le_bytes().to_vec(),
            "<f4" => (x as f32).to_le_bytes().to_vec(),
            "<f8" => f64::from(x).to_le_bytes().to_vec(),
            _ => unreachable!(),
        })
        .collect()
}

/// Names, and `.npy` files.
type Arrays = Vec<(&'static str, Vec<u8>)>;

fn archive(path: &Path, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// The arrays of the rows above: rows together, or columns.
fn arrays(rows: u64, descr: &str, by_columns: bool) -> Arrays {
    let matrix = |columns: u64, number: fn(u64, u64) -> i32| {
        let numbers = if by_columns {
            encode(descr, (0..columns).flat_map(|c| (0..rows).map(move |i| number(i, c))))
        } else {
            encode(descr, (0..rows).flat_map(|i| (0..columns).map(move |c| number(i, c))))
        };
        npy(descr, if by_columns { "True" } else { "False" }, &format!("({rows}, {columns})"), &numbers)
    };
    let counts = encode("<i8", 3..29);
    vec![
        ("X_cat", matrix(26, id)),
        ("X_int", matrix(13, integer)),
        ("y", npy(descr, "False", &format!("({rows},)"), &encode(descr, (0..rows).map(label)))),
        ("counts", npy("<i8", "False", "(26,)", &counts)),
    ]
}

/// Good arrays but for one.
fn with(name: &'static str, bytes: Vec<u8>) -> Arrays {
    let mut arrays = arrays(2, "<i4", false);
    arrays.iter_mut().find(|(array, _)| *array == name).unwrap().1 = bytes;
    arrays
}

fn assert_rows(path: &Path, rows: u64) -> RowFile {
    let file = RowFile::open(path).unwrap();
    file.verify().unwrap();
    assert_eq!(file.rows(), rows);
    (0..rows).for_each(|i| assert_eq!(file.row(i), words(i), "row {i}"));
    file
}

/// Names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
