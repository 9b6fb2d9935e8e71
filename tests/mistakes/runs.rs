//! Runs that are kept, that go on, and that are watched.

use super::common::stdout_in;
use std::fs;
use std::path::Path;

pub const COMMANDS: &[&str] = &[
    "criteo_kaggle --keep 2",
    "criteo_kaggle --checkpoint-dir kept --save-every 0",
    "criteo_kaggle --data rows.tsv --checkpoint-dir kept --top-mlp 4-1 --bottom-mlp 13-16",
    "criteo_kaggle --data rows.tsv --checkpoint-dir kept --top-mlp 4-1 --bottom-mlp 13-16 --resume --lr 0.2",
    "criteo_kaggle --data rows.tsv --checkpoint-dir kept --top-mlp 4-1 --bottom-mlp 13-16 --resume --seed 1",
    "criteo_kaggle --data rows.tsv --checkpoint-dir kept --top-mlp 8-1 --bottom-mlp 13-16 --resume",
    "criteo_kaggle --data rows.tsv --checkpoint-dir kept --top-mlp 4-1 --bottom-mlp 13-16 --resume --optimizer adam",
    "criteo_kaggle --data rows.tsv --checkpoint-dir kept --top-mlp 4-1 --bottom-mlp 13-16 --resume --full-test",
    "criteo_kaggle --data other.tsv --no-cache --checkpoint-dir kept --top-mlp 4-1 --bottom-mlp 13-16 --resume",
    "criteo_kaggle --data none.tsv --checkpoint-dir new",
    "criteo_kaggle --data rows.tsv --checkpoint-dir torn --top-mlp 4-1 --bottom-mlp 13-16 --resume",
    "criteo_kaggle --data rows.tsv --tensorboard rows.tsv/events",
    "criteo_kaggle --data rows.tsv --report rows.tsv",
    "criteo_kaggle --data rows.tsv --report folder",
    "criteo_kaggle --data rows.tsv --report none/report.html",
    "save_pause --config tiny --saves 0",
    "save_pause --config tiny --directory rows.tsv",
];

/// Checkpoints that are whole, a directory with one that is cut short, and other rows.
pub fn write(folder: &Path) -> Vec<(String, &'static str)> {
    let small = ["--data", "rows.tsv", "--top-mlp", "4-1", "--bottom-mlp", "13-16"];
    stdout_in(folder, "criteo_kaggle", &[&small[..], &["--checkpoint-dir", "kept"]].concat());
    fs::create_dir(folder.join("torn")).unwrap();
    let name = "step-0000000001.safetensors";
    let bytes = fs::read(folder.join("kept").join(name)).unwrap();
    fs::write(folder.join("torn/.lock"), []).unwrap();
    fs::write(folder.join("torn").join(name), &bytes[..bytes.len() / 2]).unwrap();
    let rows = fs::read_to_string(folder.join("rows.tsv")).unwrap();
    fs::write(folder.join("other.tsv"), rows.lines().rev().map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    let described = [
        ("kept", "the checkpoints of a run"),
        ("torn", "the first half of a checkpoint"),
        ("other.tsv", "the rows from the last to the first"),
    ];
    described.map(|(name, what)| (name.to_owned(), what)).into()
}
