//! Parquet: any schema comes back to the bit, other writers' types are read, and each mistake is one line.
#![cfg(feature = "parquet")]

use dlrm::data::binary::{Header, Keys, RowFile, RowWriter, Source};
use dlrm::data::formats::parquet as format;
use dlrm::data::schema::{CategoricalColumn, DenseColumn, Number, Schema, Transform};
use parquet::data_type::{BoolType, DataType, DoubleType, Int64Type};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A label, an integer, a real number, an id and a list of ids.
fn schema() -> Schema {
    let dense = |name: &str, number| DenseColumn { name: name.into(), number, transform: Transform::Log };
    let categorical = |name: &str, multi_hot| CategoricalColumn { name: name.into(), multi_hot };
    Schema {
        label: "click".into(),
        dense: vec![dense("age", Number::Integer), dense("price", Number::Real)],
        categorical: vec![categorical("user", false), categorical("seen", true)],
    }
}

/// Rows with lists of 0 to 4 ids.
fn words(i: u32) -> Vec<u32> {
    let seen = (0..i % 5).map(|k| (i * 7 + k) % 11);
    let mut row = vec![6 + i % 5, ((i % 2) as f32).to_bits(), (i as i32 - 3) as u32, (i as f32 * 0.1).to_bits()];
    row.extend([i % 1000, i % 5]);
    row.extend(seen);
    row
}

fn dataset(dir: &Path, rows: u32) -> RowFile {
    let path = dir.join("rows.dlrm");
    let mut writer = RowWriter::create(&path, 0).unwrap();
    (0..rows).for_each(|i| writer.write(1, &words(i)).unwrap());
    let header = Header {
        days: vec![u64::from(rows)],
        num_embeddings: vec![1000, 11],
        shared_row: false,
        min_dense: -3.0,
        source: Source::default(),
        schema: schema(),
    };
    writer.finish(&header, [Ok(Keys::None), Ok(Keys::None)].into_iter()).unwrap();
    RowFile::open(path).unwrap()
}

#[test]
fn any_schema_comes_back_to_the_bit() {
    let dir = TempDir::new().unwrap();
    let n = 70_000; // more than a group
    let rows = dataset(dir.path(), n);
    let (path, again) = (dir.path().join("rows.parquet"), dir.path().join("again.dlrm"));
    format::write(&rows, &path).unwrap();
    format::read(&[&path], &schema(), &again).unwrap();
    let read = RowFile::open(&again).unwrap();
    read.verify().unwrap();
    assert_eq!(read.rows(), u64::from(n));
    (0..n).for_each(|i| assert_eq!(read.row(u64::from(i)), words(i), "row {i}"));
    let bytes = vec![path.metadata().unwrap().len()];
    let source = Source { files: vec![path.display().to_string()], bytes, ..Source::default() };
    assert_eq!(read.header(), &Header { source, ..rows.header().clone() });
}

/// Columns in another order and of other types; lists with nulls where they may be.
const OTHERS: &str = "message m {
    OPTIONAL group seen (LIST) { REPEATED group list { OPTIONAL INT64 item; } }
    REQUIRED DOUBLE price; OPTIONAL INT64 user; REQUIRED BOOLEAN click; REQUIRED DOUBLE age; REQUIRED INT64 more;
}";

/// Levels and values of the four columns that a mistake can be in.
struct Others {
    seen: (Vec<i64>, Vec<i16>, Vec<i16>),
    user: (Vec<i64>, Vec<i16>),
    price: Vec<f64>,
    age: Vec<f64>,
}

/// Rows [1, 2], null and [] of `seen`.
fn good() -> Others {
    Others {
        seen: (vec![1, 2], vec![3, 3, 0, 1], vec![0, 1, 0, 0]),
        user: (vec![4, 5, 6], vec![1; 3]),
        price: vec![0.5, 1.5, -2.5],
        age: vec![1.0, 2.0, 3.0],
    }
}

fn append<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, values: &[T::T], levels: [Option<&[i16]>; 2]) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, levels[0], levels[1]).unwrap();
    column.close().unwrap();
}

fn write_others(path: &Path, columns: &Others) {
    let message = Arc::new(parse_message_type(OTHERS).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), message, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let (seen, defs, reps) = &columns.seen;
    append::<Int64Type>(&mut group, seen, [Some(defs), Some(reps)]);
    append::<DoubleType>(&mut group, &columns.price, [None; 2]);
    append::<Int64Type>(&mut group, &columns.user.0, [Some(&columns.user.1), None]);
    append::<BoolType>(&mut group, &[true, false, true], [None; 2]);
    append::<DoubleType>(&mut group, &columns.age, [None; 2]);
    append::<Int64Type>(&mut group, &[7, 8, 9], [None; 2]);
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn other_types_and_orders_are_read() {
    let dir = TempDir::new().unwrap();
    let (path, output) = (dir.path().join("a.parquet"), dir.path().join("rows.dlrm"));
    write_others(&path, &good());
    format::read(&[&path, &path], &schema(), &output).unwrap();
    let rows = RowFile::open(&output).unwrap();
    let real = f32::to_bits;
    assert_eq!(rows.row(0), [8, real(1.0), 1, real(0.5), 4, 2, 1, 2]);
    assert_eq!(rows.row(1), [6, real(0.0), 2, real(1.5), 5, 0]);
    assert_eq!(rows.row(5), [6, real(1.0), 3, real(-2.5), 6, 0]);
    assert_eq!(rows.header().days, [3, 3]);
    assert_eq!(rows.header().num_embeddings, [7, 3]);
    assert_eq!(rows.header().min_dense, -2.5);
}

#[test]
fn each_mistake_is_named() {
    let dir = TempDir::new().unwrap();
    let (path, output) = (dir.path().join("a.parquet"), dir.path().join("rows.dlrm"));
    let fails = |schema: &Schema, expected: &str| {
        let message = format::read(&[&path], schema, &output).unwrap_err().to_string();
        assert!(message.ends_with(expected) && message.lines().count() == 1, "{message}\nexpected {expected}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{message}");
    };
    let columns: [(Others, &str); 5] = [
        (Others { age: vec![1.0, 2.5, 3.0], ..good() }, "a.parquet: age[1] is 2.5, expected a whole number of 32 bits"),
        (Others { price: vec![1.0, 2.5, f64::NAN], ..good() }, "a.parquet: price[2] is NaN, expected a finite number"),
        (
            Others { user: (vec![4, 5, -6], vec![1; 3]), ..good() },
            "a.parquet: user[2] is -6, expected an id: a whole number from 0 to 2147483647",
        ),
        (
            Others { user: (vec![4, 6], vec![1, 0, 1]), ..good() },
            "a.parquet: user has rows without a number, expected one in each",
        ),
        (
            Others { seen: (vec![1], vec![3, 2, 0, 1], vec![0, 1, 0, 0]), ..good() },
            "a.parquet: seen has rows without a number, expected one in each",
        ),
    ];
    for (columns, expected) in columns {
        write_others(&path, &columns);
        fails(&schema(), expected);
    }
    write_others(&path, &good());
    let mut other = schema();
    other.categorical[0].name = "item".into();
    fails(&other, "a.parquet: no column item, expected a number in each row");
    other.categorical[0].name = "seen".into();
    fails(&other, "a.parquet: column seen has another structure, expected a number in each row");
    fs::write(&path, "no Parquet at all").unwrap();
    fails(&schema(), "expected whole columns, plain or Snappy-compressed");
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let dir = TempDir::new().unwrap();
    let (path, output) = (dir.path().join("a.parquet"), dir.path().join("rows.dlrm"));
    write_others(&path, &good());
    let good = fs::read(&path).unwrap();
    for (at, flip) in (0..good.len()).flat_map(|at| [(at, 1), (at, 0xFF)]) {
        let mut bad = good.clone();
        bad[at] ^= flip;
        fs::write(&path, &bad).unwrap();
        let _ = format::read(&[&path], &schema(), &output);
        fs::write(&path, &good[..at]).unwrap();
        assert!(format::read(&[&path], &schema(), &output).is_err(), "{at} bytes");
    }
}
