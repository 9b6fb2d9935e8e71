//! The reader of Criteo rows: each mistake and its message, and what holds for any bytes.

use dlrm::data::criteo::{BadRows, Labels, Row, RowReader, write_row};
use dlrm::{Error, Result};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::{BufReader, Write};

type Ints = [Option<i32>; 13];
type Ids = [Option<u32>; 26];

/// A good line without its end, with `fields` (from 1) replaced.
fn line_with(fields: &[(usize, &str)]) -> String {
    let ids: Vec<String> = (0..26).map(|i| format!("{:08x}", 0xfb93_6100u32 + i)).collect();
    let ints: Vec<String> = (0..13).map(|i| (i * i - 2).to_string()).collect();
    let mut all: Vec<String> = [vec!["1".to_owned()], ints, ids].concat();
    for &(column, text) in fields {
        all[column - 1] = text.to_owned();
    }
    all.join("\t")
}

fn read(bytes: &[u8], labels: Labels, bad_rows: BadRows) -> (Vec<Row>, Option<Error>, u64) {
    read_by(bytes, 4096, labels, bad_rows)
}

/// All rows, the error that ended them if any, and the bad rows skipped, from a buffer of a
/// certain size.
fn read_by(bytes: &[u8], buffer: usize, labels: Labels, bad_rows: BadRows) -> (Vec<Row>, Option<Error>, u64) {
    let mut reader = RowReader::new(BufReader::with_capacity(buffer, bytes), "rows.tsv", labels, bad_rows);
    let mut rows = Vec::new();
    let error = reader.by_ref().find_map(|row: Result<Row>| row.map(|row| rows.push(row)).err());
    (rows, error, reader.skipped())
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Case {
    name: &'static str,
    line: Vec<u8>,
    /// Column and message.
    error: (usize, &'static str),
}

fn bad_field(name: &'static str, column: usize, text: &str, message: &'static str) -> Case {
    Case { name, line: line_with(&[(column, text)]).into_bytes(), error: (column, message) }
}

fn bad_line(name: &'static str, line: impl Into<Vec<u8>>, column: usize, message: &'static str) -> Case {
    Case { name, line: line.into(), error: (column, message) }
}

fn bad_fields() -> Vec<Case> {
    vec![
        bad_field("label 2", 1, "2", r#"label "2", expected 0 or 1"#),
        bad_field("no label", 1, "", r#"label "", expected 0 or 1"#),
        bad_field("label 01", 1, "01", r#"label "01", expected 0 or 1"#),
        bad_field("label -1", 1, "-1", r#"label "-1", expected 0 or 1"#),
        bad_field("label 1.0", 1, "1.0", r#"label "1.0", expected 0 or 1"#),
        bad_field("byte order mark", 1, "\u{feff}1", r#"label "\xef\xbb\xbf1", expected 0 or 1"#),
        bad_field("fraction", 2, "1.5", r#"I1 is "1.5", expected an integer of 32 bits or nothing"#),
        bad_field("minus alone", 3, "-", r#"I2 is "-", expected an integer of 32 bits or nothing"#),
        bad_field("two minuses", 3, "--1", r#"I2 is "--1", expected an integer of 32 bits or nothing"#),
        bad_field("plus", 4, "+7", r#"I3 is "+7", expected an integer of 32 bits or nothing"#),
        bad_field("word", 5, "NULL", r#"I4 is "NULL", expected an integer of 32 bits or nothing"#),
        bad_field("NaN", 6, "nan", r#"I5 is "nan", expected an integer of 32 bits or nothing"#),
        bad_field("space", 7, " 3", r#"I6 is " 3", expected an integer of 32 bits or nothing"#),
        bad_field("exponent", 8, "1e3", r#"I7 is "1e3", expected an integer of 32 bits or nothing"#),
        bad_field("too large", 9, "2147483648", r#"I8 is "2147483648", expected an integer of 32 bits or nothing"#),
        bad_field("too small", 10, "-2147483649", r#"I9 is "-2147483649", expected an integer of 32 bits or nothing"#),
        bad_field(
            "far too large",
            14,
            "99999999999999999999999999999999",
            r#"I13 is "999999999999999999999999"... (32 bytes), expected an integer of 32 bits or nothing"#,
        ),
        bad_field(
            "not hexadecimal",
            15,
            "68fd1e6g",
            r#"C1 is "68fd1e6g", expected up to 8 hexadecimal digits or nothing"#,
        ),
        bad_field(
            "nine digits",
            16,
            "068fd1e64",
            r#"C2 is "068fd1e64", expected up to 8 hexadecimal digits or nothing"#,
        ),
        bad_field("0x", 17, "0x68fd1e", r#"C3 is "0x68fd1e", expected up to 8 hexadecimal digits or nothing"#),
        bad_field("minus in an id", 18, "-1", r#"C4 is "-1", expected up to 8 hexadecimal digits or nothing"#),
        bad_field("NUL", 19, "68\0", r#"C5 is "68\x00", expected up to 8 hexadecimal digits or nothing"#),
        bad_field("letters", 20, "é", r#"C6 is "\xc3\xa9", expected up to 8 hexadecimal digits or nothing"#),
        bad_field("last field", 40, "zz", r#"C26 is "zz", expected up to 8 hexadecimal digits or nothing"#),
        bad_field("quotes", 39, "\"1\"", r#"C25 is "\"1\"", expected up to 8 hexadecimal digits or nothing"#),
        bad_field("carriage return inside", 5, "1\r2", r#"I4 is "1\r2", expected an integer of 32 bits or nothing"#),
    ]
}

fn bad_lines() -> Vec<Case> {
    const WANTED: &str = "expected 40 separated by tabs (label, 13 integers, 26 ids)";
    let good = line_with(&[]);
    let message = |found: &str| -> &'static str { format!("{found}, {WANTED}").leak() };
    vec![
        bad_line("empty", "", 1, message("empty line")),
        bad_line("one field", "1", 1, message(r#"one field, "1""#)),
        bad_line(
            "commas",
            good.replace('\t', ","),
            1,
            message(r#"one field, "1,-2,-1,2,7,14,23,34,47,"... (274 bytes)"#),
        ),
        bad_line("no label", &good[2..], 39, message("39 fields")),
        bad_line("one field too many", format!("{good}\t"), 41, message("41 fields")),
        bad_line("many too many", format!("{good}\t{good}"), 41, message("80 fields")),
        bad_line("tabs alone", "\t\t", 3, message("3 fields")),
        bad_line("cut short", &good[..60], 17, message("17 fields")),
        bad_line(
            "carriage return",
            format!("{good}\r"),
            40,
            r#""fb936119\r" ends in a carriage return, expected lines to end in \n alone"#,
        ),
        bad_line(
            "carriage return after nothing",
            format!("{}\r", line_with(&[(40, "")])),
            40,
            r#""\r" ends in a carriage return, expected lines to end in \n alone"#,
        ),
        bad_line(
            "no UTF-8",
            [b"\xff\xfe".as_slice(), &good.as_bytes()[1..]].concat(),
            1,
            r#"label "\xff\xfe", expected 0 or 1"#,
        ),
        bad_line(
            "overlong",
            format!("1\t{}", "1".repeat(1 << 20)),
            2,
            "line of more than 65536 bytes, expected a row of a few hundred",
        ),
    ]
}

#[test]
fn each_mistake_has_its_message() {
    let good = line_with(&[]);
    for case in bad_fields().into_iter().chain(bad_lines()) {
        let text = [good.as_bytes(), b"\n", &case.line, b"\n", good.as_bytes()].concat();
        let (rows, error, _) = read(&text, Labels::Present, BadRows::Stop);
        assert_eq!(rows.len(), 1, "{}", case.name);
        let (column, message) = case.error;
        let expected = format!("rows.tsv:2:{column}: {message}");
        assert_eq!(error.map(|e| e.to_string()), Some(expected), "{}", case.name);

        let (rows, error, skipped) = read(&text, Labels::Present, BadRows::Skip);
        assert!(error.is_none(), "{}: {error:?}", case.name);
        assert_eq!((rows.len(), skipped), (2, 1), "{}", case.name);
    }
}

#[test]
fn unusual_but_good_fields() {
    let cases = [
        ("-0", "FB936136", 0, 0xfb93_6136),
        ("", "", 0, 0),
        ("2147483647", "ffffffff", i32::MAX, u32::MAX),
        ("-2147483648", "0", i32::MIN, 0),
        ("00000000000000000017", "abc", 17, 0xabc),
    ];
    for (int, id, expected_int, expected_id) in cases {
        let line = line_with(&[(2, int), (14, int), (15, id), (40, id)]);
        let row = Row::parse(line.as_bytes(), Labels::Present).unwrap();
        assert_eq!((row.ints[0], row.ints[12]), (expected_int, expected_int));
        assert_eq!((row.ids[0], row.ids[25]), (expected_id, expected_id));
        let unlabelled = Row::parse(&line.as_bytes()[2..], Labels::Absent).unwrap();
        assert_eq!(unlabelled, Row { label: None, ..row });
    }
}

#[test]
fn rows_without_labels_count_their_own_columns() {
    let line = &line_with(&[(3, "x")])[2..];
    let (_, error, _) = read(line.as_bytes(), Labels::Absent, BadRows::Stop);
    let message = error.unwrap().to_string();
    assert_eq!(message, r#"rows.tsv:1:2: I2 is "x", expected an integer of 32 bits or nothing"#);
    let (_, error, _) = read(line_with(&[]).as_bytes(), Labels::Absent, BadRows::Stop);
    let message = error.unwrap().to_string();
    assert_eq!(message, "rows.tsv:1:40: 40 fields, expected 39 separated by tabs (13 integers, 26 ids)");
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn a_gz_or_a_zst_is_read_like_the_text_in_it_whatever_its_name() {
    let text: String = (0..100).map(|i| line_with(&[(2, &i.to_string())]) + "\n").collect();
    let (half, rest) = text.split_at(text.len() / 2);
    let (expected, ..) = read(text.as_bytes(), Labels::Present, BadRows::Stop);
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("plain.gz", text.clone().into_bytes()),
        ("one_member", gz(text.as_bytes())),
        ("two_members", [gz(half.as_bytes()), gz(rest.as_bytes())].concat()),
        ("a_member_of_nothing", [gz(text.as_bytes()), gz(b"")].concat()),
        ("one_frame", zst(text.as_bytes())),
        ("two_frames", [zst(half.as_bytes()), zst(rest.as_bytes())].concat()),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let reader = RowReader::open(&path, Labels::Present, BadRows::Stop).unwrap();
        assert_eq!(reader.collect::<Result<Vec<Row>>>().unwrap(), expected, "{name}");
    }
}

#[test]
fn a_broken_gz_or_zst_is_an_error_even_when_bad_rows_are_skipped() {
    let text: String = (0..100).map(|i| line_with(&[(2, &i.to_string())]) + "\n").collect();
    let whole = gz(text.as_bytes());
    let frame = zst(text.as_bytes());
    let mut wrong_sum = whole.clone();
    let sum = wrong_sum.len() - 6;
    wrong_sum[sum] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("in the header", whole[..5].to_vec()),
        ("in the data", whole[..whole.len() / 2].to_vec()),
        ("in the trailer", whole[..whole.len() - 1].to_vec()),
        ("wrong sum", wrong_sum),
        ("text behind", [whole, text.clone().into_bytes()].concat()),
        ("in a frame's header", frame[..5].to_vec()),
        ("in a frame", frame[..frame.len() / 2].to_vec()),
        ("text behind a frame", [frame, text.into_bytes()].concat()),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for bad_rows in [BadRows::Stop, BadRows::Skip] {
            let reader = RowReader::open(&path, Labels::Present, bad_rows).unwrap();
            let mut results: Vec<Result<Row>> = reader.collect();
            let error = results.pop().unwrap().expect_err(name);
            let Error::Row { line, message, .. } = &error else { panic!("{name}: {error}") };
            assert_eq!(*line, results.len() as u64 + 1, "{name}");
            assert!(message.starts_with("the compressed data are cut short or corrupt here ("), "{name}: {message}");
        }
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("nothing"), folder.path().to_owned()] {
        let error = RowReader::open(&path, Labels::Present, BadRows::Skip).err().unwrap();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

prop_compose! {
    fn any_row()(
        label in 0u8..2,
        ints in any::<[Option<i32>; 13]>(),
        ids in any::<[Option<u32>; 26]>(),
    ) -> (u8, Ints, Ids) {
        (label, ints, ids)
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(rows in prop::collection::vec(any_row(), 0..20), labelled: bool) {
        let labels = if labelled { Labels::Present } else { Labels::Absent };
        let mut text = Vec::new();
        for (label, ints, ids) in &rows {
            write_row(&mut text, labelled.then_some(*label), ints, ids);
        }
        let (found, error, _) = read(&text, labels, BadRows::Stop);
        prop_assert!(error.is_none(), "{:?}", error);
        let expected: Vec<Row> = rows.iter().map(|(label, ints, ids)| Row {
            label: labelled.then_some(*label),
            ints: ints.map(Option::unwrap_or_default),
            ids: ids.map(Option::unwrap_or_default),
        }).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_give_rows_or_one_error_with_its_line(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (rows, error, _) = read(&bytes, Labels::Present, BadRows::Stop);
        match error {
            None => prop_assert!(bytes.is_empty(), "{} rows of {:?}", rows.len(), bytes),
            Some(Error::Row { line, column, .. }) => {
                prop_assert_eq!(line, rows.len() as u64 + 1);
                prop_assert!((1..=41).contains(&column));
            }
            Some(other) => prop_assert!(false, "{}", other),
        }
    }

    /// A good file with a few bytes changed, so that most of it still looks like rows: the reader
    /// agrees with plain parsing, line by line, whatever the size of its buffer.
    #[test]
    fn buffers_do_not_matter(
        rows in prop::collection::vec(any_row(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\n\t\r-0f \xff".to_vec())), 0..4),
        buffer in 1usize..600,
    ) {
        let mut text = Vec::new();
        for (label, ints, ids) in &rows {
            write_row(&mut text, Some(*label), ints, ids);
        }
        for (index, byte) in changes {
            let place = index.index(text.len());
            text[place] = byte;
        }
        let lines = text.strip_suffix(b"\n").unwrap_or(&text).split(|&b| b == b'\n');
        let parsed: Vec<_> = lines.map(|line| Row::parse(line, Labels::Present)).collect();
        let expected: Vec<Row> = parsed.iter().filter_map(|row| row.as_ref().ok().copied()).collect();
        let (found, error, skipped) = read_by(&text, buffer, Labels::Present, BadRows::Skip);
        prop_assert!(error.is_none());
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(skipped as usize, parsed.len() - expected.len());

        let (before, error, _) = read_by(&text, buffer, Labels::Present, BadRows::Stop);
        let first_bad = parsed.iter().position(Result::is_err);
        prop_assert_eq!(before.len(), first_bad.unwrap_or(parsed.len()));
        prop_assert_eq!(error.is_some(), first_bad.is_some());
    }

    /// The fast reader takes a field if and only if the standard library's parsers do.
    #[test]
    fn fields_are_what_the_standard_library_takes(int in "-?[0-9]{0,11}", id in "[0-9a-fA-Fg]{0,9}") {
        let row = Row::parse(line_with(&[(2, &int), (40, &id)]).as_bytes(), Labels::Present);
        let expected_int = if int.is_empty() { Some(0) } else { int.parse::<i32>().ok() };
        let expected_id = match id.len() {
            0 => Some(0),
            9 => None,
            _ => u32::from_str_radix(&id, 16).ok(),
        };
        prop_assert_eq!(row.ok().map(|row| (row.ints[0], row.ids[25])), expected_int.zip(expected_id));
    }
}
