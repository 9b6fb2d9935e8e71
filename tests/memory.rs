//! Memory: what a run says it will take is what it takes.

mod common;

use common::example;
use std::path::Path;
use std::process::Output;

fn run(name: &str, args: &[&str]) -> Output {
    example(name).args(args).output().unwrap()
}

/// The figures of `peak memory 812.0 MB, 790.0 MB expected`, in MB.
fn figures(out: &Output) -> [f64; 2] {
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{stderr}");
    let line = stderr.lines().find_map(|line| line.strip_prefix("peak memory ")).expect("a line about the peak");
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

/// The table before it: the sum, and then its parts.
fn table(out: &Output) -> Vec<f64> {
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    let lines = stderr.lines().skip_while(|line| !line.starts_with("  memory, at most")).skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines.map(|line| line.split_whitespace().last().unwrap().parse().unwrap()).collect()
}

/// Rows in Criteo's format.
fn rows(folder: &Path) -> String {
    let path = folder.join("rows.tsv").to_str().unwrap().to_owned();
    assert!(run("generate_rows", &["--rows", "24000", "--output", &path]).status.success());
    path
}

#[cfg(target_os = "linux")]
#[test]
fn the_peak_is_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(folder.path());
    let kaggle = |flags: &str| ("criteo_kaggle", format!("--data {rows} {flags}"));
    let step = |flags: &str| ("train_step", format!("--config tiny --iters 2 --warmup 2 {flags}"));
    for (name, flags) in [
        // Values and gradients of operations; the first is above 2 MiB an array, where pages are huge, and so is nothing
        // of the second.
        step("--batch-size 16384 --distinct 8 --threads 1"),
        step("--batch-size 256 --distinct 4096 --threads 2"),
        // Tables, what optimizers remember of them, the best model so far.
        kaggle("--embedding-dim 512 --bottom-mlp 13-64-512 --top-mlp 64-1 --optimizer adam --patience 3 --no-cache"),
        kaggle("--embedding-dim 512 --bottom-mlp 13-64-512 --top-mlp 64-1 --optimizer adagrad --threads 3"),
        // Packed copies, gradients and states of dense parameters.
        kaggle("--top-mlp 4096-2048-1 --optimizer adagrad --data-randomize day --batch-size 512"),
        kaggle("--model dcn-v2 --cross-rank 64 --optimizer rowwise-adagrad --batch-size 4096 --epochs 2"),
        kaggle("--model dcn --embedding-dim 64 --clip-norm 1 --batch-size 2048 --dropout 0.1"),
    ] {
        let args: Vec<&str> = flags.split_whitespace().collect();
        let out = run(name, &args);
        let [peak, expected] = figures(&out);
        let parts = table(&out);
        let sum: f64 = parts[1..].iter().sum();
        assert!((parts[0] - expected).abs() < 0.11 && (sum - expected).abs() < 1.0, "{name} {flags}: {parts:?}");
        assert!(expected > 100.0, "{name} {flags}: {expected} MB, of which 5 % are too little to say anything");
        assert!(
            (peak - expected).abs() <= 0.05 * expected,
            "{name} {flags}: {peak} MB, {expected} MB expected {parts:?}"
        );
    }
}

/// A limit of address space below what training takes and above what the program does.
#[cfg(target_os = "linux")]
#[test]
fn too_little_is_said_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(folder.path());
    let limited = r#"ulimit -v 400000 && exec "$0" "$@""#; // in KiB
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited]).arg(example("criteo_kaggle").get_program());
    command.args(["--data", &rows, "--no-cache", "--optimizer", "adam", "--threads", "1", "--embedding-dim", "4096"]);
    let out = command.args(["--bottom-mlp", "13-4096", "--top-mlp", "64-1"]).output().unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    let error = stderr.lines().last().unwrap();
    assert!(error.starts_with("error: training needs "), "{stderr}");
    assert!(error.contains("; optimizer's state ") && error.contains(" available: tables "), "{stderr}");
    assert!(!stderr.contains(" parameters, "), "the model was made: {stderr}");
}
