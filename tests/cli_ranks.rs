//! The examples on several ranks.

mod common;

use common::{run_in, stdout_in};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use std::fs;
use std::path::Path;

const TINY: [&str; 8] = ["--config", "tiny", "--batch-size", "30", "--threads", "2", "--iters", "3"];

fn train_step(flags: &[&str]) -> String {
    stdout_in(Path::new("."), "train_step", &[&TINY, flags].concat())
}

#[test]
fn train_step_tells_what_ranks_exchange() {
    for (ranks, name) in [(1, "1"), (2, "2"), (3, "3")] {
        let json: serde_json::Value = serde_json::from_str(&train_step(&["--ranks", name, "--json"])).unwrap();
        assert_eq!((&json["ranks"], &json["threads"]), (&ranks.into(), &[2, 1, 1][ranks - 1].into()));
        assert!(json["ms"]["median"].as_f64().unwrap() > 0.0 && json["samples_a_second"].as_f64().unwrap() > 0.0);
        let exchanges = json["exchanges"].as_array().unwrap();
        let kinds: Vec<&str> = exchanges.iter().map(|e| e["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ids", "vectors", "gradients", "all-reduce"]);
        let figure = |e: usize, name: &str| exchanges[e][name].as_f64().unwrap();
        for e in 0..4 {
            assert_eq!(figure(e, "exchanges"), 1.0);
            assert_eq!(figure(e, "bytes") > 0.0, ranks > 1, "{json}");
            assert!(figure(e, "ms") > 0.0 && figure(e, "bound_ms") > 0.0, "{json}");
            assert!((0.0..=100.0).contains(&figure(e, "hidden_percent")), "{json}");
        }
    }
}

/// 26 tables of 16 numbers, of which a rank has 13: vectors of its own tables for 15 samples of the other rank, and
/// gradients of the other's tables for its own. Of the MLPs, the other's half, and then the sums of its own.
#[test]
fn two_ranks_send_what_the_paper_says() {
    let json: serde_json::Value = serde_json::from_str(&train_step(&["--ranks", "2", "--json"])).unwrap();
    let bytes: Vec<f64> = json["exchanges"].as_array().unwrap().iter().map(|e| e["bytes"].as_f64().unwrap()).collect();
    let mlps = (13 * 64 + 64) + (64 * 16 + 16) + (367 * 64 + 64) + (64 + 1);
    let vectors = 4.0 * 16.0 * 13.0 * 15.0;
    assert_eq!(bytes[1..], [vectors, vectors, 4.0 * f64::from(mlps)]);
}

#[test]
fn train_step_prints_a_line_for_each_exchange() {
    let text = train_step(&["--ranks", "2"]);
    let header = text.lines().find(|line| line.starts_with("exchange")).unwrap();
    assert!(header.ends_with("bound/ms  hidden"), "{text}");
    for kind in ["ids", "vectors", "gradients", "all-reduce", "all"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{kind} "))), "{text}");
    }
    assert!(text.starts_with("2 ranks, which are threads, 1 thread each; 30 samples a step"), "{text}");
}

/// What a run of `criteo_kaggle` prints, without the seconds, and what it says.
fn kaggle(folder: &Path, flags: &str) -> (String, String) {
    const FLAGS: &str = "--data rows.tsv --optimizer adagrad --test-freq 5 --batch-size 64 --threads 2";
    const SHAPE: &str = "--embedding-dim 8 --bottom-mlp 13-16-8 --top-mlp 16-1";
    // A model that was kept has its shape.
    let shape = if flags.contains("--load-model") { "" } else { SHAPE };
    let args: Vec<&str> = [FLAGS, shape, flags].into_iter().flat_map(str::split_whitespace).collect();
    let out = run_in(folder, "criteo_kaggle", &args);
    let [printed, said] = [out.stdout, out.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(out.status.success(), "{flags}: {said}");
    (printed, said)
}

#[test]
fn a_run_of_ranks_is_kept_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let teacher = Teacher::new(1, TeacherConfig::small());
    let lines: Vec<u8> = teacher.blocks(1500, |b| b.text).flatten().collect();
    fs::write(folder.join("rows.tsv"), lines).unwrap();
    let bytes = |name: &str| fs::read(folder.join(name)).unwrap();
    let (_, said) = kaggle(folder, "--ranks 2 --epochs 2 --save-model whole");
    assert_eq!(said.matches("the model is in whole").count(), 1, "{said}");
    let (_, said) = kaggle(folder, "--ranks 2 --epochs 1 --checkpoint-dir run --resume --save-every 4");
    assert_eq!(said.matches("no checkpoint in run yet").count(), 1, "{said}");
    assert_eq!(said.matches("checkpoints in run").count(), 1, "{said}");
    for (name, flags) in [("again", "--ranks 2"), ("three", "--ranks 3"), ("one", "")] {
        let run = folder.join(name).with_extension("run");
        fs::create_dir(&run).unwrap();
        for entry in fs::read_dir(folder.join("run")).unwrap() {
            let file = entry.unwrap().path();
            fs::copy(&file, run.join(file.file_name().unwrap())).unwrap();
        }
        let (_, said) =
            kaggle(folder, &format!("{flags} --epochs 2 --checkpoint-dir {name}.run --resume --save-model {name}"));
        assert_eq!(said.matches("going on from step ").count(), 1, "{said}");
    }
    assert!(bytes("again") == bytes("whole"));
    assert_eq!([bytes("three").len(), bytes("one").len()], [bytes("whole").len(); 2]);
    // The figures of one model, by one process and by ranks.
    let figures = |flags: &str| {
        let (printed, _) = kaggle(folder, &format!("{flags} --load-model three --inference-only --json figures"));
        let json: serde_json::Value = serde_json::from_slice(&bytes("figures")).unwrap();
        (json["auc"].clone(), printed)
    };
    let ((one, printed), (ranks, _)) = (figures(""), figures("--ranks 3"));
    assert!(one.is_number() && one == ranks, "{one} {ranks} {printed}");
}
