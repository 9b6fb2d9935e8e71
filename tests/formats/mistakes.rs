//! One clear line for each mistake, nothing left behind, and no panic whatever the bytes.

use super::*;
use dlrm::Error;

/// Asserts that reading fails with one line that ends so, and leaves nothing behind.
fn assert_fails(dir: &Path, read: impl FnOnce(&Path) -> dlrm::Result<()>, expected: &str) {
    let before = names(dir);
    let error = read(&dir.join("rows.dlrm")).unwrap_err();
    assert!(matches!(error, Error::File { .. } | Error::Io { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.ends_with(expected) && message.lines().count() == 1, "{message}\nexpected {expected}");
    assert_eq!(names(dir), before, "{message}");
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
