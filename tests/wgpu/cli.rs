//! The examples on a GPU, as a user meets them.

use crate::common::{example, stdout_in};
use crate::support::gpu;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// An example with the feature: one without says what it is.
fn with_feature(name: &str) -> Command {
    let out = example(name).arg("--list-adapters").output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        !said.contains("this build has no GPU backend"),
        "run `cargo build --features wgpu --examples` before: {said}"
    );
    example(name)
}

/// The one line that a command fails with.
#[track_caller]
fn error(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
    stderr.trim_end().to_owned()
}

/// As many lines as adapters, each with its number.
fn listed() -> Vec<String> {
    let out = with_feature("train_step").arg("--list-adapters").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn adapters_are_listed_and_chosen_by_number_or_name() {
    if gpu().is_none() {
        return;
    }
    let lines = listed();
    for (index, line) in lines.iter().enumerate() {
        let name = line.strip_prefix(&format!("{index}: ")).unwrap_or_else(|| panic!("{line}")).to_owned();
        for adapter in [&index.to_string(), &name.to_uppercase()] {
            let step = ["--backend", "wgpu", "--config", "tiny", "--batch-size", "4", "--iters", "1", "--warmup", "1"];
            let args = [&step[..], &["--adapter", adapter]].concat();
            let stdout = stdout_in(Path::new("."), "train_step", &args);
            assert_eq!(stdout.lines().next(), Some(&name[..]), "{adapter}");
        }
    }
    let all = lines.join(", ");
    let beyond = lines.len().to_string();
    for (adapter, said) in [("radeon 9000", "adapter `radeon 9000`"), (&beyond, &format!("adapter {beyond}"))] {
        for name in ["criteo_kaggle", "train_step", "custom_dataset"] {
            let said = format!("error: --adapter: there is no {said}, expected one of {all}");
            assert_eq!(error(with_feature(name).args(["--backend", "wgpu", "--adapter", adapter])), said, "{name}");
        }
    }
}

/// As on a machine without a driver of its own, wherever this runs: what a loader of Vulkan reads is nowhere.
#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_there_is_one_line_that_says_what_to_install() {
    for args in [&["--list-adapters"][..], &["--backend", "wgpu"], &["--backend", "wgpu", "--adapter", "0"]] {
        let mut command = with_feature("criteo_kaggle");
        let nowhere = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].map(|name| (name, "/nonexistent"));
        let line = error(command.args(args).envs(nowhere));
        assert!(line.contains("no GPU adapter found: expected a GPU with a Vulkan,"), "{line}");
        assert!(line.contains("mesa-vulkan-drivers and libvulkan1"), "{line}");
    }
}

#[test]
fn flags_that_do_not_go_with_the_backend_are_refused() {
    if gpu().is_none() {
        return;
    }
    for (flags, said) in [
        (&["--adapter", "0"][..], "--adapter: expected --backend wgpu beside it"),
        (&["--f16"], "--f16: expected --backend wgpu beside it"),
        (&["--backend", "wgpu", "--phases"], "--phases: expected --backend cpu beside it"),
        (&["--backend", "wgpu", "--roofline"], "--roofline: expected --backend cpu beside it"),
    ] {
        let line = error(with_feature("train_step").args(["--config", "tiny"]).args(flags));
        assert!(line.starts_with(&format!("error: {said}")), "{line}");
    }
}

#[test]
fn a_step_is_timed_and_counted() {
    if gpu().is_none() {
        return;
    }
    let flags = ["--config", "tiny", "--batch-size", "32", "--iters", "7", "--backend", "wgpu", "--json"];
    let out = with_feature("train_step").args(flags).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let outcome: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(outcome["system"].as_str().unwrap().ends_with("-wgpu"), "{outcome}");
    let [min, median, max] = ["min", "median", "max"].map(|name| outcome["ms"][name].as_f64().unwrap());
    assert!(0.0 < min && min <= median && median <= max, "{outcome}");
    for name in ["submissions", "dispatches", "bytes_up", "bytes_down", "bind_groups", "buffers"] {
        assert!(outcome["counts"][name].is_number(), "{name}: {outcome}");
    }
}

/// A model learns on a GPU, is kept, and predicts the same there as on the processor.
#[test]
fn a_model_is_trained_kept_and_predicts() {
    if gpu().is_none() {
        return;
    }
    with_feature("criteo_kaggle");
    with_feature("predict");
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv");
    std::fs::copy(sample, folder.path().join("rows.tsv")).unwrap();
    let run = |name: &str, flags: &str| {
        let args: Vec<&str> = flags.split_whitespace().collect();
        stdout_in(folder.path(), name, &args)
    };
    let small = "--data rows.tsv --top-mlp 8-1 --bottom-mlp 13-16 --optimizer adagrad --backend wgpu";
    let report = run("criteo_kaggle", &format!("{small} --save-model model"));
    assert!(report.contains("AUC"), "{report}");
    let predict = "--load-model model --data rows.tsv --vocabulary rows.tsv.rows";
    let [gpu, cpu] = ["wgpu", "cpu"].map(|backend| {
        let lines = run("predict", &format!("{predict} --backend {backend}"));
        lines.lines().map(|line| line.parse::<f32>().unwrap()).collect::<Vec<_>>()
    });
    assert!(!cpu.is_empty());
    crate::support::close("probabilities", &gpu, &cpu, 1e-5);
}
