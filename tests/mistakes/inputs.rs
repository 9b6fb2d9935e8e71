//! The files that go in.

use super::common::stdout_in;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A row of Criteo's, without the end of its line.
const ROW: &str = "1\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\t13\ta\tb\tc\td\te\tf\t10\t11\t12\t13\t14\t15\t16\t17\t18\t19\t1a\t1b\t1c\t1d\t1e\t1f\t20\t21\t22\t23";

const SCHEMA: &str =
    "label.column = \"y\"\nsplit.test = 0.3\n[[dense]]\ncolumn = \"a\"\n[[categorical]]\ncolumn = \"b\"\n";

/// Writes all inputs into a folder, and says what is wrong with those that are not as they should be.
pub fn write(folder: &Path) -> Vec<(String, &'static str)> {
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let sample = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv")).unwrap();
    let rows: String = sample.lines().take(50).map(|line| format!("{line}\n")).collect();
    put("rows.tsv", rows.as_bytes());
    let small = ["--data", "rows.tsv", "--top-mlp", "4-1", "--bottom-mlp", "13-16"];
    stdout_in(folder, "criteo_kaggle", &[&small[..], &["--save-model", "model"]].concat());
    for other in ["set.npz", "set.bin", "day_dense.npy"] {
        stdout_in(folder, "convert", &["--input", "rows.tsv.rows", "--output", other]);
    }
    put("table.csv", b"a,b,y\n1,x,0\n2,y,1\n3,x,1\n4,z,0\n5,x,1\n6,x,0\n");
    put("schema.toml", SCHEMA.as_bytes());
    fs::create_dir(folder.join("folder")).unwrap();
    std::os::unix::fs::symlink("loop", folder.join("loop")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    let described = [texts(&rows), tables(), models(folder), formats(folder)].concat();
    let names = |(name, what, bytes): (&str, &'static str, Vec<u8>)| {
        put(name, &bytes);
        (name.to_owned(), what)
    };
    let mut all: Vec<_> = described.into_iter().map(names).collect();
    all.extend(
        [("folder", "a folder"), ("loop", "a link to itself"), ("pipe", "a pipe")]
            .map(|(name, what)| (name.to_owned(), what)),
    );
    all
}

type Described = Vec<(&'static str, &'static str, Vec<u8>)>;

/// Rows of Criteo's.
fn texts(rows: &str) -> Described {
    let line = |change: &dyn Fn(&mut Vec<String>)| {
        let mut fields: Vec<String> = ROW.split('\t').map(str::to_owned).collect();
        change(&mut fields);
        format!("{rows}{}\n", fields.join("\t")).into_bytes()
    };
    vec![
        ("empty", "an empty file", vec![]),
        ("short.tsv", "rows, of which the last has lost a field", line(&|f| drop(f.pop()))),
        ("long.tsv", "rows, of which the last has a field more", line(&|f| f.push("9".into()))),
        ("label.tsv", "rows, of which the last has the label 2", line(&|f| f[0] = "2".into())),
        ("word.tsv", "rows, of which the last has a word among its integers", line(&|f| f[3] = "many".into())),
        ("huge.tsv", "rows, of which the last has an integer of 12 digits", line(&|f| f[5] = "123456789012".into())),
        ("real.tsv", "rows, of which the last has a number with a point", line(&|f| f[5] = "1.5".into())),
        ("id.tsv", "rows, of which the last has an id that is not hexadecimal", line(&|f| f[20] = "xyz".into())),
        ("wide.tsv", "rows, of which the last has an id of 9 digits", line(&|f| f[20] = "123456789".into())),
        ("crlf.tsv", "rows with Windows' line ends", rows.replace('\n', "\r\n").into_bytes()),
        ("comma.csv", "rows with commas between", rows.replace('\t', ",").into_bytes()),
        ("few.tsv", "three rows", rows.lines().take(3).map(|line| format!("{line}\n")).collect::<String>().into()),
        (
            "unlabelled.tsv",
            "rows without labels",
            rows.lines().map(|line| format!("{}\n", &line[2..])).collect::<String>().into(),
        ),
        ("unknown.tsv", "a row with ids that the dataset does not have", format!("{ROW}\n").into_bytes()),
        ("cut.gz", "the first half of a .gz", gz(rows)[..1000].to_vec()),
        (
            "torn.rows",
            "the first 100 bytes of a binary dataset",
            b"DLRMROWS\x01\0\0\0".iter().copied().chain([7; 88]).collect(),
        ),
    ]
}

fn gz(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Tables and schemas.
fn tables() -> Described {
    let schema = |from: &str, to: &str| {
        assert!(SCHEMA.contains(from), "{from}");
        SCHEMA.replace(from, to).into_bytes()
    };
    let binary = [SCHEMA.as_bytes(), b"\xff\xfe"].concat();
    vec![
        ("no_label.toml", "a schema whose label is no column", schema("\"y\"", "\"clicked\"")),
        ("leak.toml", "a schema with the label among the features", schema("\"b\"", "\"y\"")),
        (
            "twice.toml",
            "a schema with a column twice",
            schema("[[categorical]]\ncolumn = \"b\"", "[[dense]]\ncolumn = \"a\""),
        ),
        ("typo.toml", "a schema with a misspelt name", schema("label", "lable")),
        ("syntax.toml", "a schema with a bracket too few", schema("[[dense]]", "[[dense]")),
        ("share.toml", "a schema that tests on more than all rows", schema("0.3", "1.5")),
        ("all.toml", "a schema that tests on next to nothing", schema("0.3", "0.001")),
        ("no_split.toml", "a schema without [split]", schema("split.test = 0.3\n", "")),
        ("nan.toml", "a schema with a threshold that is no number", schema("split", "label.threshold = nan\nsplit")),
        ("no_feature.toml", "a schema of a label alone", b"label.column = \"y\"\n".to_vec()),
        ("word.toml", "a schema with words as numbers", schema("\"a\"", "\"b\"")),
        ("zero.toml", "a schema with min_count = 0", [SCHEMA.as_bytes(), b"min_count = 0\n"].concat()),
        ("binary.toml", "a schema with bytes that are not UTF-8", binary),
        ("long.toml", "a schema of more than a mebibyte", vec![b'#'; (1 << 20) + 1]),
        ("no_row.csv", "a table of column names alone", b"a,b,y\n".to_vec()),
        ("header.csv", "a table with a name twice", b"a,a,b,y\n1,2,x,0\n".to_vec()),
        ("nan.csv", "a table with NaN", b"a,b,y\nNaN,x,1\n".to_vec()),
        ("inf.csv", "a table with a number beyond all that there are", b"a,b,y\n1e999,x,1\n".to_vec()),
        ("wide.csv", "a table with a field too many", b"a,b,y\n1,x,1,9\n".to_vec()),
        ("quote.csv", "a table with a quote that does not end", b"a,b,y\n1,\"x,0\n".to_vec()),
        ("latin.csv", "a table that is not UTF-8", b"a,b,y\n1,\xff,1\n".to_vec()),
        ("label.csv", "a table with the label 2", b"a,b,y\n1,x,2\n".to_vec()),
    ]
}

/// Checkpoints.
fn models(folder: &Path) -> Described {
    let good = fs::read(folder.join("model")).unwrap();
    let start = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&good[8..start]).unwrap();
    let data = &good[start..];
    let file = |header: &Value, data: &[u8]| {
        let text = header.to_string();
        [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat()
    };
    // Without the checksum of the header, as models of others are.
    let with = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        header["__metadata__"].as_object_mut().unwrap().remove("header").expect("a checksum of the header");
        change(&mut header);
        file(&header, data)
    };
    let config = |key: &str, value: Value| {
        with(&|header| {
            let mut config: Value = serde_json::from_str(header["__metadata__"]["config"].as_str().unwrap()).unwrap();
            config[key] = value.clone();
            header["__metadata__"]["config"] = config.to_string().into();
        })
    };
    let at = |byte: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[byte] ^= value;
        bytes
    };
    let first = "bot_l.0.weight";
    let number = |x: f32| [&good[..start], &x.to_le_bytes(), &data[4..]].concat();
    let long = [&99_999_999u64.to_le_bytes()[..], b"{}"].concat();
    let list = [&8u64.to_le_bytes()[..], b"[1,2,3] "].concat();
    vec![
        ("cut", "a model that was cut short", good[..good.len() - 100].to_vec()),
        ("more", "a model with bytes behind it", [&good[..], b"more"].concat()),
        ("flipped", "a model with a bit flipped", at(good.len() - 2, 1)),
        ("not_a_number", "a model with NaN", number(f32::NAN)),
        ("infinite", "a model with an infinite number", number(f32::INFINITY)),
        ("edited", "a model with a bit of its header flipped", at(8 + start / 2, 1)),
        ("long_header", "a header that is longer than its file", long),
        ("list", "a header that is a list", list),
        (
            "no_config",
            "a model without its shape",
            with(&|h| drop(h["__metadata__"].as_object_mut().unwrap().remove("config"))),
        ),
        ("half", "a model with a tensor of f16", with(&|h| h[first]["dtype"] = "F16".into())),
        (
            "vast",
            "a model with a tensor of 2^124 numbers",
            with(&|h| h[first]["shape"] = json!([1u64 << 62, 1u64 << 62])),
        ),
        ("gap", "a model with a hole between tensors", with(&|h| drop(h.as_object_mut().unwrap().remove(first)))),
        (
            "renamed",
            "a model with a tensor of another name",
            with(&|h| {
                let tensor = h.as_object_mut().unwrap().remove(first).unwrap();
                h["weight"] = tensor;
            }),
        ),
        (
            "other_rows",
            "a model of another vocabulary",
            with(&|h| h["__metadata__"]["vocabulary"] = "crc32:00000000".into()),
        ),
        ("deep", "a model with 100 million cross layers", config("cross", json!({ "layers": 100_000_000, "rank": 1 }))),
        ("large", "a model with tables of 2^32 rows", config("num_embeddings", json!(vec![1u64 << 32; 26]))),
        ("no_rows", "a model with a table of no row", config("num_embeddings", json!([0]))),
        ("wide", "a model with rows of 20 million numbers", config("embedding_dim", json!(20_000_000))),
        ("contradiction", "a model whose MLP does not end as long as its rows", config("bottom_mlp", json!([7]))),
        ("key", "a model with a part of its shape that there is not", config("attention", json!(true))),
    ]
}

/// What other programs make of rows.
fn formats(folder: &Path) -> Described {
    let npz = fs::read(folder.join("set.npz")).unwrap();
    let mlperf = fs::read(folder.join("set.bin")).unwrap();
    let [mut label, mut id] = [(); 2].map(|()| mlperf.clone());
    label[..4].copy_from_slice(&7i32.to_le_bytes());
    id[4 * 14..4 * 15].copy_from_slice(&(-1i32).to_le_bytes());
    for (good, bad) in [("dense", "torn"), ("sparse", "torn"), ("labels", "torn")] {
        fs::copy(folder.join(format!("day_{good}.npy")), folder.join(format!("{bad}_{good}.npy"))).unwrap();
    }
    let sparse = fs::read(folder.join("torn_sparse.npy")).unwrap();
    fs::write(folder.join("torn_sparse.npy"), &sparse[..500]).unwrap();
    vec![
        ("cut.npz", "the first half of a .npz", npz[..npz.len() / 2].to_vec()),
        ("text.npz", "a text", b"no archive".to_vec()),
        ("odd.bin", "MLPerf's rows with a byte too few", mlperf[..mlperf.len() - 1].to_vec()),
        ("empty.bin", "an empty file", vec![]),
        ("label.bin", "MLPerf's rows with the label 7", label),
        ("id.bin", "MLPerf's rows with an id below 0", id),
    ]
}
