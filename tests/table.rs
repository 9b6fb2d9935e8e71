//! Any table of text to a binary dataset and back: what a schema means, what is said of mistakes in it and in the data,
//! and new rows by the vocabulary that was kept.

use dlrm::Batch;
use dlrm::data::binary::{Keys, RowFile};
use dlrm::data::table::{Table, TableSchema, make_dataset};
use flate2::{Compression, write::GzEncoder};
use proptest::{collection::vec, prelude::*, sample::select};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder for files, which messages do not show.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn make(&self, schema: &str, data: &[PathBuf]) -> Result<RowFile, String> {
        let schema = TableSchema::parse(schema, "s.toml").map_err(|e| e.to_string())?;
        let made = make_dataset(&schema, data, &self.path("rows.dlrm"));
        made.map_err(|e| e.to_string().replace(&format!("{}/", self.0.path().display()), ""))
    }
}

/// Bytes that mean something to a reader of tables.
const GARBAGE: &[u8] = b"1a,,,\"\n\r\xff\xef\xbb\xbf\x1f\x8b-?";

proptest! {
    #[test]
    fn fields_come_back_as_they_were_written(table in vec(vec("[a-c\"'|,;\r\n\u{e9}]{0,6}", 2), 1..20)) {
        let folder = Folder::new();
        let field = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let row = |row: &Vec<String>| format!("1,{},{}\n", field(&row[0]), field(&row[1]));
        let data = folder.write("a.csv", format!("y,a,b\n{}", table.iter().map(row).collect::<String>()));
        let schema = "label.column = \"y\"\n[[categorical]]\ncolumn = \"a\"\n[[categorical]]\ncolumn = \"b\"\n";
        let file = folder.make(schema, &[data]).unwrap();
        let (batch, words) = (all(&file), words(&file));
        for (i, row) in table.iter().enumerate() {
            for (c, text) in row.iter().enumerate() {
                prop_assert_eq!(&words[c][batch.sparse[c].bag(i)[0] as usize], text.trim_ascii());
            }
        }
    }

    #[test]
    fn garbage_is_rows_or_one_line(bytes in vec(select(GARBAGE.to_vec()), 0..60), header: bool) {
        let folder = Folder::new();
        let head: &[u8] = if header { b"age,job,income\n" } else { b"" };
        let data = folder.write("a.csv", [head, &bytes].concat());
        let schema = SCHEMA.replace("positive = [\">50K\"], negative = [\"<=50K\"]", "positive = [\"a\"]");
        if let Err(message) = folder.make(&schema, &[data]) {
            prop_assert!(message.starts_with("a.csv:") && message.lines().count() == 1, "{}", message);
        }
    }

    #[test]
    fn a_schema_of_garbage_is_one_line(cut in 0..SCHEMA.len(), junk in "[a-z=\\[\\]\"0-9.{}\n\u{e9}]{0,8}") {
        let text = format!("{}{junk}{}", &SCHEMA[..cut], &SCHEMA[cut..]);
        if let Err(e) = TableSchema::parse(&text, "s.toml") {
            prop_assert!(e.to_string().starts_with("s.toml:") && e.to_string().lines().count() == 1, "{}", e);
        }
    }
}

/// The words of each categorical column.
fn words(file: &RowFile) -> Vec<Vec<String>> {
    let columns = 0..file.header().schema.categorical.len();
    columns.map(|c| if let Keys::Words(words) = file.keys(c).unwrap() { words } else { panic!("no words") }).collect()
}

fn all(file: &RowFile) -> Batch {
    let mut batch = Batch::default();
    file.fill(0..file.rows(), &mut batch).unwrap();
    batch
}

fn bags(batch: &Batch, column: usize) -> Vec<&[u32]> {
    (0..batch.len()).map(|row| batch.sparse[column].bag(row)).collect()
}

const SCHEMA: &str = r#"
missing = ["", "?"]
label = { column = "income", positive = [">50K"], negative = ["<=50K"] }
[[dense]]
column = "age"
missing = -1.0
[[categorical]]
column = "job"
"#;

#[test]
fn a_table_becomes_rows_in_order_and_words_by_first_occurrence() {
    let folder = Folder::new();
    let data = folder.write(
        "a.csv",
        "\u{feff}unread,job, age ,income\r\n1,\"clerk, \"\"first\"\"\", 30,>50K\r\n\r\n\
         2,?,?,<=50K\r\n3,nurse,-2.5e1,<=50K\n4,clerk,,>50K",
    );
    let file = folder.make(SCHEMA, &[data]).unwrap();
    file.verify().unwrap();
    let (batch, header) = (all(&file), file.header());
    assert_eq!(batch.labels, [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(batch.dense, [30.0, -1.0, -25.0, -1.0]);
    assert_eq!(batch.sparse[0].values(), [0, 1, 2, 3]);
    assert_eq!(words(&file), [["clerk, \"first\"", "", "nurse", "clerk"]]);
    assert_eq!((&header.days[..], &header.num_embeddings[..]), (&[4][..], &[4][..]));
    assert!(!header.shared_row);
    assert_eq!(header.min_dense, -25.0);
    assert_eq!(header.source.options, SCHEMA);
    assert_eq!(folder.names(), ["a.csv", "rows.dlrm"], "nothing is left beside the output");
}

#[test]
fn lists_are_bags_and_rows_differ_in_length() {
    let schema = r#"
        separator = "\t"
        header = false
        columns = ["rating", "genres", "kinds", "id"]
        quoted = false
        label = { column = "rating", threshold = 4.0 }
        [[categorical]]
        column = "genres"
        multi_hot = "|"
        [[categorical]]
        column = "kinds"
        multi_hot = "; "
        missing = "none"
        [[categorical]]
        column = "id"
    "#;
    let folder = Folder::new();
    let data = folder.write("a.tsv", "4\tWar| Drama||\tx; y\t7\n3.99\t\t\t\"8\n5\tDrama|War|Drama\tnone\t7\n");
    let batch = all(&folder.make(schema, &[data]).unwrap());
    assert_eq!(batch.labels, [1.0, 0.0, 1.0]);
    assert_eq!(bags(&batch, 0), [&[0, 1][..], &[], &[1, 0, 1]]);
    assert_eq!(bags(&batch, 1), [&[0, 1][..], &[2], &[2]]);
    assert_eq!(bags(&batch, 2), [[0], [1], [0]]);
    assert_eq!(batch.dense_features, 0);
}

#[test]
fn transforms_are_applied_when_rows_are_read() {
    let schema = r#"
        label.column = "y"
        [[dense]]
        column = "a"
        transform = "log"
        [[dense]]
        column = "b"
        transform = "log-shifted"
    "#;
    let folder = Folder::new();
    let data = folder.write("a.csv", "y,a,b\n0.25,-3,1\n1,9,-5\n");
    let batch = all(&folder.make(schema, &[data]).unwrap());
    assert_eq!(batch.labels, [0.25, 1.0]);
    assert_eq!(batch.dense, [0.0, 8f32.ln(), 10f32.ln(), 2f32.ln()]);
}

/// Rows `0..n`, the word of row `i` is `i`.
fn numbered(n: usize) -> String {
    (0..n).fold("y,x\n".to_owned(), |text, i| format!("{text}{},{i}\n", i % 2))
}

const NUMBERED: &str = "label.column = \"y\"\n[[dense]]\ncolumn = \"x\"\n";

#[test]
fn the_last_rows_test_or_drawn_ones_or_those_of_the_last_files() {
    let folder = Folder::new();
    let data = [folder.write("a.csv", numbered(100)), folder.write("b.csv", numbered(10))];
    let make = |split: &str| {
        let file = folder.make(&format!("{NUMBERED}[split]\n{split}\n"), &data).unwrap();
        (file.header().days.clone(), all(&file).dense)
    };
    let in_order: Vec<f32> = (0..100).chain(0..10).map(|i| i as f32).collect();
    assert_eq!(make("test = 0.25"), (vec![82, 28], in_order.clone()));
    assert_eq!(make("test_files = 1"), (vec![100, 10], in_order.clone()));
    let (days, drawn) = make("test = 0.25\nseed = 1");
    assert!((15..40).contains(&days[1]), "{days:?}");
    let (train, test) = drawn.split_at(days[0] as usize);
    assert!(test.windows(2).filter(|pair| pair[1] != pair[0] + 1.0).count() > 5, "test rows stand apart: {test:?}");
    let mut sorted = [train, test].concat();
    sorted.sort_by(f32::total_cmp);
    let mut expected = in_order;
    expected.sort_by(f32::total_cmp);
    assert_eq!(sorted, expected, "every row once");
    assert_eq!(make("test = 0.25\nseed = 1").1, drawn);
    assert_ne!(make("test = 0.25\nseed = 2").1, drawn);
}

#[test]
fn words_that_are_rare_in_training_rows_share_row_0() {
    let schema = r#"
        label.column = "y"
        split.test_files = 1
        [[categorical]]
        column = "a"
        min_count = 2
        [[categorical]]
        column = "b"
        multi_hot = "|"
    "#;
    let folder = Folder::new();
    let train = folder.write("a.csv", "y,a,b\n0,once,k|l\n0,twice,l\n0,more,\n0,twice,k\n0,more,k\n0,more,k\n");
    let test = folder.write("b.csv", "b,a,y\nk|m,once,1\nl,more,1\n");
    let file = folder.make(schema, &[train, test]).unwrap();
    let batch = all(&file);
    assert_eq!(words(&file), [["twice", "more"], ["k", "l"]]);
    assert_eq!(bags(&batch, 0), [[0], [1], [2], [1], [2], [2], [0], [2]]);
    assert_eq!(bags(&batch, 1), [&[1, 2][..], &[2], &[], &[1], &[1], &[1], &[1, 0], &[2]]);
    assert!(file.header().shared_row);
    assert_eq!(file.header().num_embeddings, [3, 3]);

    let table = Table::open(TableSchema::parse(schema, "s.toml").unwrap(), &file).unwrap();
    let new = folder.write("new.csv", "a,b\ntwice,l|new\nnew,\n");
    let (mut rows, mut batch) = (table.rows(new).unwrap(), Batch::default());
    assert_eq!(rows.fill(10, &mut batch).unwrap(), 2);
    assert_eq!(batch.labels, [0.0, 0.0], "a label that is not there");
    assert_eq!(bags(&batch, 0), [[1], [0]]);
    assert_eq!(bags(&batch, 1), [&[2, 0][..], &[]]);
}

#[test]
fn the_same_rows_map_to_the_same_batches_by_the_kept_vocabulary() {
    let folder = Folder::new();
    let schema = format!("{SCHEMA}multi_hot = \"/\"\n").replace("missing = -1.0", "transform = \"log-shifted\"");
    let text = "age,job,income\n30,a/b,>50K\n?,?,<=50K\n-4,b/c,<=50K\n";
    let data = folder.write("a.csv", text);
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let gz = folder.write("a.csv.gz", gz.finish().unwrap());
    let file = folder.make(&schema, &[data]).unwrap();
    let table = Table::open(TableSchema::parse(&schema, "s.toml").unwrap(), &file).unwrap();
    let (mut rows, mut batch, mut expected) = (table.rows(gz).unwrap(), Batch::default(), Batch::default());
    for (range, found) in [(0..2, 2), (2..3, 1), (3..3, 0)] {
        assert_eq!(rows.fill(2, &mut batch).unwrap(), found);
        file.fill(range, &mut expected).unwrap();
        assert_eq!(batch, expected);
    }
    let lower = folder.write("lower.csv", "age,job\n-1000,a\n");
    assert_eq!(table.rows(lower).unwrap().fill(1, &mut batch).unwrap(), 1);
    assert_eq!(batch.dense, [2f32.ln()], "a number below all of the dataset");

    let unknown = folder.write("unknown.csv", "age,job\n1,a/new\n");
    let message = table.rows(&unknown).unwrap().fill(1, &mut batch).unwrap_err().to_string();
    let expected = "unknown.csv:2:2: job is \"a/new\", expected words of the dataset, which \"new\" is not \
                    (nor has it a row for rare ones)";
    assert!(message.ends_with(expected), "{message}");
    let other = TableSchema::parse(&schema.replace("log-shifted", "log"), "other.toml").unwrap();
    let message = Table::open(other, &file).unwrap_err().to_string();
    assert!(message.ends_with("rows.dlrm: has other columns than other.toml, expected the same"), "{message}");
}

#[test]
fn a_mistake_in_a_schema_is_named_with_its_place() {
    let with = |line: &str| format!("{line}\nlabel.column = \"y\"\n[[dense]]\ncolumn = \"x\"\n");
    let label = |rule: &str| format!("[label]\ncolumn = \"y\"\n{rule}\n[[dense]]\ncolumn = \"x\"\n");
    let dense = |rule: &str| format!("{NUMBERED}{rule}\n");
    let word = |rule: &str| format!("{NUMBERED}[[categorical]]\ncolumn = \"w\"\n{rule}\n");
    let split = |rule: &str| format!("{NUMBERED}[split]\n{rule}\n");
    let cases = [
        (
            with("seperator = \",\""),
            "s.toml:1:1: unknown field `seperator`, expected one of `separator`, `quoted`, `header`, \
             `columns`, `missing`, `label`, `dense`, `categorical`, `split`",
        ),
        (with("separator = \"--\""), "s.toml:1:13: separator is \"--\", expected one byte such as \",\""),
        (with("separator = \"\\n\""), "s.toml:1:13: separator is \"\\n\", expected one byte such as \",\""),
        (with("header = 1"), "s.toml:1:10: invalid type: integer `1`, expected a boolean"),
        (
            with("columns = [\"x\", \"y\"]"),
            "s.toml:1:11: columns beside a header, expected header = false: the first line would name them",
        ),
        (
            with("header = false\ncolumns = [\"y\", \"z\"]"),
            "s.toml:5:10: column \"x\" is 0 times in columns, expected once",
        ),
        (
            with("header = false\ncolumns = [\"y\", \"x\", \"x\"]"),
            "s.toml:5:10: column \"x\" is 2 times in columns, expected once",
        ),
        (with("missing = [\"?\""), "s.toml:2:1: missing comma between array elements, expected `,`"),
        ("[[dense]]\ncolumn = \"x\"\n".into(), "s.toml:1:1: missing field `label`"),
        (
            "label.column = \"y\"\n".into(),
            "s.toml:1:1: no column beside the label, expected [[dense]] or [[categorical]]",
        ),
        (
            label("positiv = [\"1\"]"),
            "s.toml:3:1: unknown field `positiv`, expected one of `column`, `positive`, `negative`, `threshold`",
        ),
        (label("positive = []"), "s.toml:3:12: positive is empty, expected words"),
        (label("negative = [\"0\"]"), "s.toml:3:12: negative without positive, expected both, or positive alone"),
        (
            label("positive = [\"1\"]\nnegative = [\"0\", \"1\"]"),
            "s.toml:3:12: \"1\" is both positive and negative, expected one of them",
        ),
        (label("threshold = 1.0\npositive = [\"1\"]"), "s.toml:3:13: threshold beside words, expected one of them"),
        (label("threshold = nan"), "s.toml:3:13: threshold is NaN, expected a finite number"),
        (
            dense("transform = \"ln\""),
            "s.toml:4:13: unknown variant `ln`, expected one of `identity`, `log`, `log-shifted`",
        ),
        (dense("missing = inf"), "s.toml:4:11: missing is inf, expected a finite number"),
        (dense("[[dense]]\ncolumn = \"x\""), "s.toml:5:10: column \"x\" is in two [[dense]], expected one"),
        (dense("[[dense]]\ncolumn = \"y\""), "s.toml:5:10: column \"y\" is the label, expected another"),
        (word("[[categorical]]\ncolumn = \"w\""), "s.toml:7:10: column \"w\" is in two [[categorical]], expected one"),
        (word("min_count = 0"), "s.toml:6:13: min_count is 0, expected at least 1"),
        (word("min_count = -1"), "s.toml:6:13: invalid value: integer `-1`, expected u32"),
        (
            word("multi_hot = \"\""),
            "s.toml:6:13: multi_hot is empty, expected what stands between two words, such as \"|\"",
        ),
        (split(""), "s.toml:4:1: an empty [split], expected test or test_files"),
        (split("test = 1.0"), "s.toml:5:8: test is 1, expected a share between 0 and 1"),
        (split("test = nan"), "s.toml:5:8: test is NaN, expected a share between 0 and 1"),
        (split("seed = 1"), "s.toml:5:8: seed without test, expected a share that it draws"),
        (split("test_files = 0"), "s.toml:5:14: test_files is 0, expected at least 1"),
        (split("test = 0.5\ntest_files = 1"), "s.toml:6:14: test_files beside test, expected one of them"),
    ];
    for (schema, expected) in cases {
        assert_eq!(TableSchema::parse(&schema, "s.toml").unwrap_err().to_string(), expected, "{schema}");
    }
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_place() {
    let overlong = "x".repeat(65_537);
    let columns = (0..1_000_000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let too_long = format!("age,job,income\n1,{overlong},>50K\n");
    let cases: [(&[u8], &str); 21] = [
        (b"", "a.csv: empty, expected a first line that names the columns"),
        (b"age,income\n1,>50K\n", "a.csv:1:2: no column \"job\", expected it among the 2 of this line"),
        (b"age,job,age,income\n", "a.csv:1:3: a second column \"age\", expected one of this name"),
        (columns.as_bytes(), "a.csv:1:1000000: no column \"income\", expected it among the 1000000 of this line"),
        (b"age,job,income\n", "a.csv: no row, expected some"),
        (b"age,job,income\n1,a\n", "a.csv:2:2: 2 fields, expected 3"),
        (b"age,job,income\n1\n", "a.csv:2:1: one field, \"1\", expected 3"),
        (b"age,job,income\n1,a,>50K,\n", "a.csv:2:4: more than 3 fields, expected 3"),
        (b"age,job,income\n1,a,>50K\n\n\nold,a,>50K\n", "a.csv:5:1: age is \"old\", expected a finite number"),
        (b"age,job,income\r\n1,\"a\nb\",>50K\r\nold,a,>50K\r\n", "a.csv:4:1: age is \"old\", expected a finite number"),
        (b"age,job,income\nNaN,a,>50K\n", "a.csv:2:1: age is \"NaN\", expected a finite number"),
        (b"age,job,income\n-inf,a,>50K\n", "a.csv:2:1: age is \"-inf\", expected a finite number"),
        (b"age,job,income\n1e39,a,>50K\n", "a.csv:2:1: age is \"1e39\", expected a finite number"),
        (b"age,job,income\n1,\xff,>50K\n", "a.csv:2:2: job is \"\\xff\", expected UTF-8"),
        (b"age,job,income\n1,a,50K\n", "a.csv:2:3: income is \"50K\", expected a word that is positive or negative"),
        (b"age,job,income\n1,a,?\n", "a.csv:2:3: income is \"?\", expected a label"),
        (b"age,job,income\n1,\"a,>50K\n", "a.csv:2:2: 2 fields, expected 3"),
        (
            overlong.as_bytes(),
            "a.csv:1:1: a field of more than 65536 bytes, expected fewer \
             (a quote that is not closed takes up all that follows)",
        ),
        (
            too_long.as_bytes(),
            "a.csv:2:2: a field of more than 65536 bytes, expected fewer \
             (a quote that is not closed takes up all that follows)",
        ),
        (b"\x1f\x8b\x08\0\0", "a.csv:1:1: the compressed data are cut short or corrupt here (unexpected end of file)"),
        (b"\xff\xfe\0\n", "a.csv:1:1: no column \"income\", expected it among the 1 of this line"),
    ];
    for (bytes, expected) in cases {
        let folder = Folder::new();
        let data = folder.write("a.csv", bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!(folder.make(SCHEMA, &[data]).unwrap_err(), expected, "{shown}");
        assert_eq!(folder.names(), ["a.csv"], "nothing is left");
    }
}

#[test]
fn a_field_of_64_kib_is_read() {
    let folder = Folder::new();
    let word = "x".repeat(65_536);
    let data = folder.write("a.csv", format!("income,age,job\n>50K,1,{word}\n<=50K,1,{word}"));
    assert_eq!(words(&folder.make(SCHEMA, &[data]).unwrap()), [[word]]);
}

#[test]
fn labels_that_are_numbers_and_columns_without_a_word() {
    let folder = Folder::new();
    let data = folder.write("a.csv", "y,x\n2,1\n");
    let expected = "a.csv:2:1: y is \"2\", expected a number from 0 to 1 (or a threshold in the schema)";
    assert_eq!(folder.make(NUMBERED, &[data]).unwrap_err(), expected);
    let data = folder.write("a.csv", "y,x\nhigh,1\n");
    let schema = NUMBERED.replace("[[dense", "label.threshold = 1\n[[dense");
    assert_eq!(folder.make(&schema, &[data]).unwrap_err(), "a.csv:2:1: y is \"high\", expected a finite number");
    let data = folder.write("a.csv", "y,x\n1,\n0,\n");
    let schema = format!("{}multi_hot = \"|\"\n", NUMBERED.replace("dense", "categorical"));
    assert_eq!(folder.make(&schema, &[data]).unwrap_err(), "a.csv: no word in column \"x\", expected some");
}

#[test]
fn a_mistake_in_the_files_is_named_and_the_old_dataset_stays() {
    let folder = Folder::new();
    let good = folder.write("a.csv", numbered(4));
    let rows = folder.make(NUMBERED, std::slice::from_ref(&good)).unwrap().rows();
    let split = format!("{NUMBERED}[split]\ntest_files = 1\n");
    let too_few = "1 data files, expected more than test_files, 1";
    assert_eq!(folder.make(&split, std::slice::from_ref(&good)).unwrap_err(), too_few);
    assert!(folder.make(NUMBERED, &[]).unwrap_err().starts_with("no data file, "));
    let share = format!("{NUMBERED}[split]\ntest = 0.1\n");
    let too_small = "a.csv: 4 rows, 0 to test on, expected some to train on and some to test on";
    assert_eq!(folder.make(&share, std::slice::from_ref(&good)).unwrap_err(), too_small);
    let absent = [good.clone(), folder.path("absent.csv")];
    assert_eq!(folder.make(NUMBERED, &absent).unwrap_err(), "absent.csv: No such file or directory (os error 2)");
    assert!(folder.make(NUMBERED, &[folder.0.path().to_owned()]).unwrap_err().contains("Is a directory"));
    let same = folder.make(NUMBERED, &[folder.path("rows.dlrm")]).unwrap_err();
    assert_eq!(same, "rows.dlrm is both input and output, expected two files");
    let schema = TableSchema::parse(NUMBERED, "s.toml").unwrap();
    let message = make_dataset(&schema, &[good], folder.0.path()).unwrap_err().to_string();
    assert!(message.ends_with(": not the name of a file, expected one to write"), "{message}");
    assert_eq!(RowFile::open(folder.path("rows.dlrm")).unwrap().rows(), rows);
    assert_eq!(folder.names(), ["a.csv", "rows.dlrm"]);
}

#[test]
fn a_schema_that_is_no_text_is_named() {
    let folder = Folder::new();
    let cases: [(&[u8], &str); 2] = [
        (b"\xff", ": not UTF-8, expected a schema"),
        (&[b'#'; (1 << 20) + 1], ": more than 1048576 bytes, expected a schema"),
    ];
    for (bytes, expected) in cases {
        let message = TableSchema::open(folder.write("s.toml", bytes)).unwrap_err().to_string();
        assert!(message.ends_with(expected), "{message}");
    }
    let message = TableSchema::open(folder.path("absent.toml")).unwrap_err().to_string();
    assert!(message.contains("absent.toml: No such file"), "{message}");
}

#[test]
fn the_schemas_that_ship_are_valid() {
    for name in ["adult", "movielens"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("examples/schemas/{name}.toml"));
        TableSchema::open(path).unwrap();
    }
}
