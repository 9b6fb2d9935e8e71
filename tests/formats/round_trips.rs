//! What is read is what was written, and what is written is what others write.

use super::*;

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
