//! What is said when a run cannot go on from its checkpoints, before its first step.

mod common;

use common::run_in;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use std::fs;
use std::path::Path;

const FLAGS: &str = "--data rows.tsv --optimizer adagrad --test-freq 5 --batch-size 64 --embedding-dim 8 --bottom-mlp \
                     13-16-8 --top-mlp 16-1 --epochs 2 --checkpoint-dir run";

/// Whether a run succeeds, and all that it says on standard error.
fn run(folder: &Path, flags: &str) -> (bool, String) {
    let args: Vec<&str> = flags.split_whitespace().collect();
    let out = run_in(folder, "criteo_kaggle", &args);
    (out.status.success(), String::from_utf8(out.stderr).unwrap())
}

fn rows(seed: u64, rows: u64) -> Vec<u8> {
    Teacher::new(seed, TeacherConfig::small()).blocks(rows, |b| b.text).flatten().collect()
}

/// The checkpoints there are, oldest first.
fn files(folder: &Path) -> Vec<String> {
    let names =
        fs::read_dir(folder.join("run")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("step-")).collect();
    names.sort();
    names
}

#[test]
fn what_is_not_the_same_is_named_with_both_values() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.tsv"), rows(1, 2000)).unwrap();
    fs::write(folder.join("other.tsv"), rows(2, 2000)).unwrap();
    fs::write(folder.join("more.tsv"), rows(1, 2100)).unwrap();
    let (good, said) = run(folder, &format!("{FLAGS} --resume --save-every 3"));
    assert!(good && said.contains("no checkpoint in run yet: beginning anew"), "{said}");
    let before = files(folder);
    let last = before.last().unwrap();
    let (bad, said) = run(folder, FLAGS);
    let step: u64 = last["step-".len()..].trim_end_matches(".safetensors").parse().unwrap();
    let expected = format!(
        "error: run: has checkpoints of a run until step {step}: --resume goes on from there, another directory begins anew\n"
    );
    assert_eq!((bad, said), (false, expected));
    for (from, to, expected) in [
        ("--batch-size 64", "--batch-size 32", "--batch-size 64, and this run has 32"),
        ("--optimizer adagrad", "--optimizer adam", "--optimizer adagrad, and this run has adam"),
        ("--test-freq 5", "", "--test-freq 5, and this run has none"),
        ("--test-freq 5", "--test-freq 5 --lr 0.5", "--lr 0.02, and this run has 0.5"),
        ("--test-freq 5", "--test-freq 5 --seed 4", "--seed 123, and this run has 4"),
        ("--test-freq 5", "--test-freq 5 --dropout 0.1", "--dropout none, and this run has 0.1"),
        ("--test-freq 5", "--test-freq 5 --full-test", "--full-test false, and this run has true"),
        ("--test-freq 5", "--test-freq 5 --data-randomize day", "--data-randomize total, and this run has day"),
        ("--test-freq 5", "--test-freq 5 --patience 3", "--patience none, and this run has 3"),
        ("--test-freq 5", "--test-freq 5 --loss-function mse", "--loss-function bce, and this run has mse"),
        ("--test-freq 5", "--test-freq 5 --on-nan skip", "--on-nan stop, and this run has skip"),
        ("rows.tsv", "more.tsv", "the number of rows 2000, and this run has 2100"),
        ("rows.tsv", "other.tsv", "the checksum of some rows "),
        (
            "--embedding-dim 8 --bottom-mlp 13-16-8",
            "--embedding-dim 4",
            "a model with bottom_mlp [16,8], that of this run",
        ),
        ("16-1", "32-1", "a model with top_mlp [16,1], that of this run has [32,1]"),
        ("--epochs 2", "--epochs 1", "the run is in pass 3, and was to end after 1"),
    ] {
        let (good, said) = run(folder, &format!("{} --resume", FLAGS.replace(from, to)));
        let line = said.lines().last().unwrap();
        assert!(!good && line.starts_with("error: ") && line.contains(expected), "{to}: {said}");
        assert!(line.contains(last) || to == "--epochs 1", "{to}: {said}");
    }
    assert_eq!(files(folder), before);
    // With more passes it trains for longer, and ends as if there had been so many from the beginning.
    let longer = FLAGS.replace("--epochs 2", "--epochs 3");
    assert!(run(folder, &format!("{longer} --resume --save-model longer")).0);
    assert!(run(folder, &format!("{} --save-model whole", longer.replace("--checkpoint-dir run", ""))).0);
    assert!(fs::read(folder.join("longer")).unwrap() == fs::read(folder.join("whole")).unwrap());
}

#[test]
fn of_checkpoints_that_are_damaged_the_newest_good_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.tsv"), rows(1, 2000)).unwrap();
    assert!(run(folder, &format!("{FLAGS} --save-every 3 --keep 5 --save-model whole")).0);
    let names = files(folder);
    let path = |name: &str| folder.join("run").join(name);
    let [.., older, newer, newest] = &names[..] else { panic!("{names:?}") };
    let mut bytes = fs::read(path(newest)).unwrap();
    bytes.pop();
    fs::write(path(newest), &bytes).unwrap();
    let mut bytes = fs::read(path(newer)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path(newer), bytes).unwrap();
    fs::write(path(".step-0000000007.safetensors.part"), "left behind").unwrap();
    let (good, said) = run(folder, &format!("{FLAGS} --resume --save-model again"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(good && lines[0].starts_with(&format!("warning: passed over run/{newest}: cut short: ")), "{said}");
    assert!(lines[1].starts_with(&format!("warning: passed over run/{newer}: the numbers of tensor ")), "{said}");
    assert!(lines[1].ends_with("are not those of its checksum: it is damaged"), "{said}");
    assert!(said.contains(&format!(", run/{older}\n")) && said.contains("going on from step "), "{said}");
    assert!(!path(".step-0000000007.safetensors.part").exists());
    assert!(fs::read(folder.join("again")).unwrap() == fs::read(folder.join("whole")).unwrap());
    for name in files(folder) {
        fs::write(path(&name), "no checkpoint").unwrap();
    }
    let (good, said) = run(folder, &format!("{FLAGS} --resume"));
    let last = said.lines().last().unwrap();
    assert!(!good && last.starts_with("error: run: none of the ") && last.contains("checkpoints is good"), "{said}");
}

#[test]
fn a_checkpoint_of_a_run_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.tsv"), rows(1, 2000)).unwrap();
    assert!(run(folder, &format!("{FLAGS} --save-model model")).0);
    let newest = format!("run/{}", files(folder).last().unwrap());
    let predicted = |model: &str| {
        let args = ["--load-model", model, "--data", "rows.tsv", "--vocabulary", "rows.tsv.rows", "--output", "out"];
        let out = run_in(folder, "predict", &args);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        fs::read(folder.join("out")).unwrap()
    };
    assert!(predicted("model") == predicted(&newest));
    let test = format!("--data rows.tsv --load-model {newest} --inference-only");
    assert!(run(folder, &test).0);
}
