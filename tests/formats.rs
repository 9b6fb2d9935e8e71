//! The formats of others: what is read is what was written, to the bit; the bytes that NumPy would write; and one
//! clear line for each mistake in a file.

use dlrm::Error;
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

#[test]
fn npz_gives_back_what_it_was_given() {
    let dir = TempDir::new().unwrap();
    let rows = criteo(dir.path(), MANY);
    let (path, again) = (dir.path().join("day.npz"), dir.path().join("again.dlrm"));
    npz::write(&rows, &path).unwrap();
    npz::read(&[&path], &again).unwrap();
    let read = assert_rows(&again, MANY);
    let source = Source {
        files: vec![path.display().to_string()],
        bytes: vec![path.metadata().unwrap().len()],
        ..Source::default()
    };
    assert_eq!(read.header(), &Header { source, ..rows.header().clone() });
    assert_eq!(names(dir.path()), ["again.dlrm", "day.npz", "rows.dlrm"]);
}

#[test]
fn npz_is_read_in_every_dtype_and_order() {
    let dir = TempDir::new().unwrap();
    let (path, output) = (dir.path().join("day.npz"), dir.path().join("rows.dlrm"));
    for (descr, by_columns, method) in [
        ("<i4", true, CompressionMethod::Stored),
        ("<i8", false, CompressionMethod::Deflated),
        ("<f4", false, CompressionMethod::Stored),
        ("<f8", true, CompressionMethod::Deflated),
    ] {
        archive(&path, method, &arrays(MANY, descr, by_columns));
        npz::read(&[&path], &output).unwrap();
        let rows = assert_rows(&output, MANY);
        assert_eq!(rows.header().num_embeddings, (3..29).collect::<Vec<_>>(), "{descr}");
    }
    assert_eq!(names(dir.path()), ["day.npz", "rows.dlrm"]);
}

#[test]
fn headers_of_version_2_and_of_python_2_are_read() {
    let dir = TempDir::new().unwrap();
    let (path, output) = (dir.path().join("day.npz"), dir.path().join("rows.dlrm"));
    let mut y = b"\x93NUMPY\x02\x00\x3c\x00\x00\x00".to_vec();
    y.extend(format!("{:59}\n", r#"{"shape":(2L,), "fortran_order":False, "descr":"<i4"}"#).bytes());
    y.extend(encode("<i4", (0..2).map(label)));
    archive(&path, CompressionMethod::Stored, &with("y", y));
    npz::read(&[&path], &output).unwrap();
    assert_rows(&output, 2);
}

#[test]
fn files_are_days_and_tables_hold_their_largest_ids() {
    let dir = TempDir::new().unwrap();
    let (one, two, output) = (dir.path().join("0.npz"), dir.path().join("1.npz"), dir.path().join("rows.dlrm"));
    let mut without_counts = arrays(3, "<i4", false);
    without_counts.pop();
    archive(&one, CompressionMethod::Stored, &without_counts);
    archive(&two, CompressionMethod::Stored, &arrays(2, "<f8", true)[..3]);
    npz::read(&[&one, &two], &output).unwrap();
    let rows = RowFile::open(&output).unwrap();
    assert_eq!(rows.header().days, [3, 2]);
    let largest = |c| (0..3).map(|i| id(i, c)).max().unwrap() as u64;
    assert_eq!(rows.header().num_embeddings, (0..26).map(|c| largest(c) + 1).collect::<Vec<_>>());
    let expected = [0, 1, 2, 0, 1].map(words);
    (0..5).zip(expected).for_each(|(i, row)| assert_eq!(rows.row(i), row));
}

/// What `numpy.lib.format` writes before the numbers of a matrix, for a shape of up to 36 characters.
fn golden_header(descr: &str, shape: &str) -> Vec<u8> {
    npy(descr, "False", shape, &[])
}

#[test]
fn arrays_have_the_bytes_numpy_writes() {
    let text = b"\x93NUMPY\x01\x00v\x00{'descr': '<i4', 'fortran_order': False, 'shape': (3, 13), }";
    let golden = [&text[..], &[b' '; 57], b"\n"].concat();
    assert_eq!(golden_header("<i4", "(3, 13)"), golden);

    let dir = TempDir::new().unwrap();
    let rows = criteo(dir.path(), 3);
    let path = dir.path().join("day.npz");
    npz::write(&rows, &path).unwrap();
    let mut zip = ZipArchive::new(File::open(&path).unwrap()).unwrap();
    for (name, mut bytes) in arrays(3, "<i4", false) {
        if name == "counts" {
            bytes = npy("<i4", "False", "(26,)", &encode("<i4", 3..29));
        }
        let mut found = Vec::new();
        zip.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut found).unwrap();
        assert_eq!(found, bytes, "{name}");
    }
}

#[test]
fn negative_integers_are_written_as_0() {
    let dir = TempDir::new().unwrap();
    let mut row = words(0);
    row[1] = -3i32 as u32;
    let rows = dataset(dir.path(), &header(1, Schema::criteo(Transform::Log)), std::iter::once(row));
    let (npz_path, bin, again) = (dir.path().join("a.npz"), dir.path().join("a.bin"), dir.path().join("again.dlrm"));
    npz::write(&rows, &npz_path).unwrap();
    mlperf::write(&rows, &bin).unwrap();
    npz::read(&[&npz_path], &again).unwrap();
    assert_eq!(RowFile::open(&again).unwrap().row(0)[1], 0);
    assert_eq!(&fs::read(&bin).unwrap()[4..8], &[0; 4]);
}

#[test]
fn mlperf_rows_are_40_little_endian_integers() {
    let dir = TempDir::new().unwrap();
    let rows = criteo(dir.path(), 100);
    let (path, again) = (dir.path().join("train_data.bin"), dir.path().join("again.dlrm"));
    mlperf::write(&rows, &path).unwrap();
    let row = |i| {
        let numbers = std::iter::once(label(i)).chain((0..13).map(move |c| integer(i, c)));
        numbers.chain((0..26).map(move |c| id(i, c)))
    };
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes, (0..100).flat_map(row).flat_map(i32::to_le_bytes).collect::<Vec<_>>());
    mlperf::read(&[&path, &path], &again).unwrap();
    let read = RowFile::open(&again).unwrap();
    assert_eq!(read.header().days, [100, 100]);
    assert_eq!(read.header().schema, Schema::criteo(Transform::Log));
    (0..200).for_each(|i| assert_eq!(read.row(i), words(i % 100)));
}

#[test]
fn torchrec_gives_back_what_it_was_given() {
    let dir = TempDir::new().unwrap();
    let mut schema = Schema::criteo(Transform::Identity);
    schema.dense.iter_mut().for_each(|column| column.number = Number::Real);
    let real = |i| {
        let mut row = words(i);
        row[1..14].iter_mut().for_each(|word| *word = (*word as f32).sqrt().to_bits());
        row[5] = (-0.0f32).to_bits();
        row
    };
    let rows = dataset(dir.path(), &header(MANY, schema), (0..MANY).map(real));
    let (prefix, again) = (dir.path().join("day_0"), dir.path().join("again.dlrm"));
    torchrec::write(&rows, &prefix).unwrap();
    torchrec::read(&[&prefix], &again).unwrap();
    let read = RowFile::open(&again).unwrap();
    assert_eq!(read.header().schema, rows.header().schema);
    assert_eq!(read.header().days, [MANY]);
    (0..MANY).for_each(|i| assert_eq!(read.row(i), rows.row(i), "row {i}"));
    assert_eq!(
        names(dir.path()),
        ["again.dlrm", "day_0_dense.npy", "day_0_labels.npy", "day_0_sparse.npy", "rows.dlrm"]
    );
}

#[test]
fn torchrec_takes_the_logarithm_of_integers() {
    let dir = TempDir::new().unwrap();
    let mut header = header(2, Schema::criteo(Transform::Log));
    header.min_dense = -2.0;
    let mut rows = [words(0), words(1)];
    rows[1][1] = -2i32 as u32;
    let file = dataset(dir.path(), &header, rows.clone().into_iter());
    let prefix = dir.path().join("day_0");
    torchrec::write(&file, &prefix).unwrap();
    let read = |what: &str| fs::read(dir.path().join(format!("day_0_{what}.npy"))).unwrap();
    let dense = rows.iter().flat_map(|row| &row[1..14]).flat_map(|&x| ((x as i32 as f32) + 4.0).ln().to_le_bytes());
    let mut expected = golden_header("<f4", "(2, 13)");
    expected.extend(dense);
    assert_eq!(read("dense"), expected);
    let ids: Vec<u8> = (0..2).flat_map(|i| (0..26).flat_map(move |c| id(i, c).to_le_bytes())).collect();
    assert_eq!(read("sparse"), npy("<i4", "False", "(2, 26)", &ids));
    assert_eq!(read("labels"), npy("<i4", "False", "(2, 1)", &[1, 0, 0, 0, 0, 0, 0, 0]));
}

/// Asserts that reading fails with one line that ends so, and leaves nothing behind.
fn assert_fails(dir: &Path, read: impl FnOnce(&Path) -> dlrm::Result<()>, expected: &str) {
    let before = names(dir);
    let error = read(&dir.join("rows.dlrm")).unwrap_err();
    assert!(matches!(error, Error::File { .. } | Error::Io { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.ends_with(expected) && message.lines().count() == 1, "{message}\nexpected {expected}");
    assert_eq!(names(dir), before, "{message}");
}

/// Good arrays but for one.
fn with(name: &'static str, bytes: Vec<u8>) -> Arrays {
    let mut arrays = arrays(2, "<i4", false);
    arrays.iter_mut().find(|(array, _)| *array == name).unwrap().1 = bytes;
    arrays
}

/// A matrix of 2 rows of zeros but for one number.
fn matrix(descr: &str, columns: usize, at: usize, number: &[u8]) -> Vec<u8> {
    let mut numbers = vec![0; 2 * columns * number.len()];
    numbers[at * number.len()..][..number.len()].copy_from_slice(number);
    npy(descr, "False", &format!("(2, {columns})"), &numbers)
}

#[test]
fn each_mistake_in_an_npz_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("day.npz");
    let le = |x: i32| x.to_le_bytes();
    let cases: Vec<(Arrays, &str)> = vec![
        (
            with("X_cat", matrix("<i4", 26, 31, &le(8))),
            "day.npz: X_cat[1, 5] is 8, expected an id below 8, the size of its table",
        ),
        (
            with("X_cat", matrix("<i4", 26, 31, &le(-1))),
            "day.npz: X_cat[1, 5] is -1, expected an id: a whole number from 0 to 2147483647",
        ),
        (
            with("X_cat", matrix("<f8", 26, 0, &f64::NAN.to_le_bytes())),
            "day.npz: X_cat[0, 0] is NaN, expected an id: a whole number from 0 to 2147483647",
        ),
        (
            with("X_int", matrix("<f8", 13, 14, &2.5f64.to_le_bytes())),
            "day.npz: X_int[1, 1] is 2.5, expected a whole number of 32 bits",
        ),
        (
            with("X_int", matrix("<i8", 13, 14, &(1i64 << 40).to_le_bytes())),
            "day.npz: X_int[1, 1] is 1099511627776, expected a whole number of 32 bits",
        ),
        (with("y", npy("<i4", "False", "(2,)", &[0, 0, 0, 0, 2, 0, 0, 0])), "day.npz: y[1] is 2, expected 0 or 1"),
        (with("y", npy("|b1", "False", "(2,)", &[0, 1])), "day.npz: y has dtype |b1, expected <i4, <i8, <f4, <f8"),
        (with("X_int", matrix("<i4", 12, 0, &le(0))), "day.npz: X_int has shape (2, 12), expected (N, 13)"),
        (with("y", npy("<i4", "False", "()", &[0; 4])), "day.npz: y has shape (), expected (N,) or (N, 1)"),
        (
            with("y", npy("<i4", "False", "(3,)", &[0; 12])),
            "day.npz: 3 labels, 2 rows of dense numbers and 2 of ids, expected as many",
        ),
        (with("y", npy("<i4", "False", "(2,)", &[0; 9])), "day.npz: y has 9 bytes of numbers, expected 8: (2,) of <i4"),
        (
            with("y", npy("<i8", "False", "(18446744073709551615,)", &[0; 16])),
            "day.npz: y has 16 bytes of numbers, expected more than there can be: (18446744073709551615,) of <i8",
        ),
        (with("counts", npy("<i4", "False", "(25,)", &[1; 100])), "day.npz: counts has 25 numbers, expected 26"),
        (
            with("counts", npy("<i4", "False", "(26,)", &[0; 104])),
            "day.npz: counts[0] is 0, expected a whole number from 1 to 2147483648",
        ),
        (with("y", b"\x93NUMPX\x01\x00".to_vec()), "day.npz: y is no .npy file, expected it to begin with \\x93NUMPY"),
        (with("y", b"\x93NUMPY\x03\x00".to_vec()), "day.npz: y is a .npy of version 3, expected 1 or 2"),
        (
            with("y", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()),
            "day.npz: y has a header of 4294967295 bytes, expected at most 10000",
        ),
        (
            with("y", b"\x93NUMPY\x01\x00\x76\x00{".to_vec()),
            "day.npz: y is cut short, expected as many bytes as its shape says",
        ),
        (
            with("y", npy("<i4", "Maybe", "(2,)", &[0; 8])),
            "day.npz: y has a header that is none, expected one dtype, fortran_order and shape",
        ),
        (arrays(2, "<i4", false).split_off(1), "day.npz: X_cat is missing, expected the arrays X_int, X_cat and y"),
        (arrays(0, "<i4", false), "day.npz: no row, expected at least one"),
    ];
    for (arrays, expected) in cases {
        archive(&path, CompressionMethod::Deflated, &arrays);
        assert_fails(dir.path(), |output| npz::read(&[&path], output), expected);
    }
    fs::write(&path, "no archive").unwrap();
    assert_fails(dir.path(), |output| npz::read(&[&path], output), "expected a zip archive of arrays");
    let missing = dir.path().join("missing.npz");
    assert_fails(
        dir.path(),
        |output| npz::read(&[&missing], output),
        "missing.npz: No such file or directory (os error 2)",
    );
}

#[test]
fn each_mistake_in_mlperf_rows_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.bin");
    let row = |at: usize, number: i32| {
        let mut row = [0i32; 80];
        row[at] = number;
        row.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()
    };
    for (bytes, expected) in [
        (vec![0; 161], "a.bin: 161 bytes, expected a multiple of 160: rows of 40 int32"),
        (vec![], "a.bin: no row, expected at least one"),
        (row(40, -1), "a.bin: rows[1, 0] is -1, expected 0 or 1"),
        (row(79, -1), "a.bin: rows[1, 39] is -1, expected an id: a whole number from 0 to 2147483647"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_fails(dir.path(), |output| mlperf::read(&[&path], output), expected);
    }
    fs::write(&path, row(41, -1)).unwrap();
    mlperf::read(&[&path], &dir.path().join("rows.dlrm")).unwrap(); // an integer may be negative
}

#[test]
fn each_mistake_in_torchrecs_files_is_named() {
    let dir = TempDir::new().unwrap();
    let prefix = dir.path().join("day_0");
    let good = |what: &str| match what {
        "dense" => matrix("<f4", 13, 0, &[0; 4]),
        "sparse" => matrix("<i4", 26, 0, &[0; 4]),
        _ => matrix("<i4", 1, 0, &[0; 4]),
    };
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("dense", matrix("<f8", 13, 0, &[0; 8]), "day_0_dense.npy: dense has dtype <f8, expected <f4"),
        (
            "dense",
            matrix("<f4", 13, 1, &f32::INFINITY.to_le_bytes()),
            "day_0_dense.npy: dense[0, 1] is inf, expected a finite number",
        ),
        ("sparse", matrix("<i8", 26, 0, &[0; 8]), "day_0_sparse.npy: sparse has dtype <i8, expected <i4"),
        (
            "sparse",
            matrix("<i4", 26, 27, &(-7i32).to_le_bytes()),
            "day_0_sparse.npy: sparse[1, 1] is -7, expected an id: a whole number from 0 to 2147483647",
        ),
        ("labels", matrix("<i4", 1, 1, &[3, 0, 0, 0]), "day_0_labels.npy: labels[1] is 3, expected 0 or 1"),
        (
            "labels",
            good("labels")[..132].to_vec(),
            "day_0_labels.npy: labels has 4 bytes of numbers, expected 8: (2, 1) of <i4",
        ),
        ("labels", vec![], "day_0_labels.npy: labels is cut short, expected as many bytes as its shape says"),
    ];
    for (what, bytes, expected) in cases {
        for good_one in ["dense", "sparse", "labels"] {
            fs::write(dir.path().join(format!("day_0_{good_one}.npy")), good(good_one)).unwrap();
        }
        fs::write(dir.path().join(format!("day_0_{what}.npy")), bytes).unwrap();
        assert_fails(dir.path(), |output| torchrec::read(&[&prefix], output), expected);
    }
}

#[test]
fn rows_that_a_format_cannot_hold_are_named() {
    let dir = TempDir::new().unwrap();
    let schema = Schema::criteo(Transform::Log);
    let mut real = schema.clone();
    real.dense[2].number = Number::Real;
    let mut more = schema.clone();
    more.dense.pop();
    more.categorical.push(CategoricalColumn { name: "C27".into(), multi_hot: false });
    let row = |at: usize, word: u32| {
        let mut row = words(0);
        row[at] = word;
        row
    };
    let cases = [
        (header(1, real), words(0), "rows.dlrm: column I3 has real numbers, expected integers"),
        (
            Header { num_embeddings: vec![9; 27], ..header(1, more) },
            words(0),
            "rows.dlrm: 12 dense and 27 categorical columns, expected 13 and 26 with one id each",
        ),
        (header(1, schema.clone()), row(0, 0.5f32.to_bits()), "rows.dlrm: label[0] is 0.5, expected 0 or 1"),
        (
            header(1, schema),
            row(15, 4),
            "rows.dlrm: categorical[0, 1] is 4, expected an id below 4, the size of its table",
        ),
    ];
    for (header, row, expected) in cases {
        let path = dir.path().join("rows.dlrm");
        let mut writer = RowWriter::create(&path, 40).unwrap();
        writer.write(1, &row).unwrap();
        let columns = header.schema.categorical.len();
        writer.finish(&header, (0..columns).map(|_| Ok(Keys::None))).unwrap();
        let rows = RowFile::open(path).unwrap();
        for write in [npz::write, mlperf::write] {
            let error = write(&rows, &dir.path().join("output")).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        assert_eq!(names(dir.path()), ["rows.dlrm"]);
    }
}

#[test]
fn outputs_that_cannot_be_are_named() {
    let dir = TempDir::new().unwrap();
    let rows = criteo(dir.path(), 1);
    let error = |path: PathBuf| npz::write(&rows, &path).unwrap_err().to_string();
    assert!(error(dir.path().to_owned()).ends_with("not the name of a file, expected one to write"));
    assert!(error(dir.path().join("no/a.npz")).ends_with("no/a.npz: No such file or directory (os error 2)"));
}

#[test]
fn no_damage_makes_a_reader_panic() {
    let dir = TempDir::new().unwrap();
    let (path, output) = (dir.path().join("day.npz"), dir.path().join("rows.dlrm"));
    for (by_columns, method) in [(false, CompressionMethod::Deflated), (true, CompressionMethod::Stored)] {
        archive(&path, method, &arrays(2, "<i4", by_columns));
        let good = fs::read(&path).unwrap();
        npz::read(&[&path], &output).unwrap();
        for len in (0..good.len()).step_by(7) {
            fs::write(&path, &good[..len]).unwrap();
            assert!(npz::read(&[&path], &output).is_err(), "{len} bytes");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, &bad).unwrap();
            // A name or a date may change, a number not.
            if npz::read(&[&path], &output).is_ok() {
                assert_rows(&output, 2);
            }
        }
    }
}
