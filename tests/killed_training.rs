//! Training killed at random moments, or interrupted, and gone on with: the same bytes as never stopped.

mod common;

use common::example;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Kills of an ordinary test; `DLRM_KILLS=100` is for a patient one.
const KILLS: u32 = 8;

/// A run of some 100 steps that has a state of every kind.
const FLAGS: &str = "--data rows.tsv --optimizer adagrad --epochs 2 --test-freq 12 --batch-size 64 --grad-accum-iter 2 \
                     --dropout 0.2 --patience 100 --lr-warmup-steps 30 --embedding-dim 8 --bottom-mlp 13-16-8 \
                     --top-mlp 16-1";

/// A folder with rows, and what a run over them ends with that nobody stops.
fn folder(flags: &str) -> (TempDir, End, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let text: Vec<u8> = Teacher::new(3, TeacherConfig::small()).blocks(7000, |b| b.text).flatten().collect();
    fs::write(folder.path().join("rows.tsv"), text).unwrap();
    let start = Instant::now();
    assert!(command(folder.path(), flags, "whole", "").status().unwrap().success());
    let whole = end(folder.path(), "whole");
    (folder, whole, start.elapsed())
}

/// A run that leaves its model and figures under this name.
fn command(folder: &Path, flags: &str, name: &str, more: &str) -> Command {
    let mut command = example("criteo_kaggle");
    command.current_dir(folder).args(flags.split_whitespace()).args(more.split_whitespace());
    command.args(["--save-model", &format!("{name}.safetensors"), "--json", &format!("{name}.jsonl")]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The bytes of the model, and the figures but for the seconds.
#[derive(PartialEq)]
struct End(Vec<u8>, Vec<Value>);

fn end(folder: &Path, name: &str) -> End {
    let json = fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    let timeless = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        for name in ["rows_per_s", "train_seconds", "waited_seconds", "test_seconds"] {
            assert!(record.as_object_mut().unwrap().remove(name).is_some(), "{name}");
        }
        record
    };
    End(fs::read(folder.join(format!("{name}.safetensors"))).unwrap(), json.lines().map(timeless).collect())
}

#[test]
fn killed_at_random_moments_it_ends_with_the_same_bytes() {
    let (folder, whole, time) = folder(FLAGS);
    let folder = folder.path();
    let wanted = std::env::var("DLRM_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut moments = dlrm::Stream::native(5);
    let (mut kills, mut finished, mut gone_on) = (0, 0, 0);
    while kills < wanted || finished == 0 {
        let threads = 1 + kills % 3;
        let more = format!("--checkpoint-dir run --save-every 3 --resume --threads {threads}");
        let mut child = command(folder, FLAGS, "killed", &more).spawn().unwrap();
        if kills < wanted {
            std::thread::sleep(time.mul_f64(moments.uniform()));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
        }
        if child.wait().unwrap().success() {
            assert!(end(folder, "killed") == whole, "after {kills} kills");
            fs::remove_dir_all(folder.join("run")).unwrap();
            fs::remove_file(folder.join("killed.jsonl")).unwrap();
            finished += 1;
        } else if fs::read_dir(folder.join("run")).is_ok_and(|dir| dir.count() > 2) {
            gone_on += 1;
        }
    }
    assert!(gone_on > 0, "no run was killed after a save");
    println!("{kills} kills, {gone_on} of runs that had saved, {finished} runs that came to an end");
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Reads what a run says until then; the rest comes when it ends.
fn until_it_says(what: &str, child: &mut Child) -> BufReader<impl Read + use<>> {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(what) {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it has ended");
    }
    said
}

#[test]
fn interrupted_it_saves_and_says_how_to_go_on() {
    let flags = FLAGS.replace("--epochs 2", "--epochs 6");
    let (folder, whole, _) = folder(&flags);
    let folder = folder.path();
    for (signal_name, name) in [("-INT", "interrupted run"), ("-TERM", "terminated")] {
        let mut command = command(folder, &flags, name, "");
        command.args(["--checkpoint-dir", &format!("dir of {name}")]).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = until_it_says("epoch 1, step", &mut child);
        signal(&child, signal_name);
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        let lines: Vec<&str> = rest.lines().collect();
        let [.., saved, how, go_on] = lines[..] else { panic!("{rest}") };
        let step = saved.strip_prefix("saved step ").and_then(|rest| rest.split(':').next()).expect(&rest);
        assert_eq!(
            how,
            format!("interrupted after step {step}; checkpoints are in dir of {name}; to go on:"),
            "{rest}"
        );
        assert!(!folder.join(format!("{name}.safetensors")).exists());
        let mut shell = Command::new("sh");
        shell.current_dir(folder).args(["-c", go_on]).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(shell.status().unwrap().success(), "{go_on}");
        assert!(end(folder, name) == whole, "{go_on}");
    }
}

#[test]
fn without_a_directory_nothing_is_kept_and_twice_quits_at_once() {
    let (folder, ..) = folder(FLAGS);
    let start = |flags: &str| {
        let mut command = command(folder.path(), flags, "none", "");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = until_it_says(" MB; ", &mut child);
        signal(&child, "-INT");
        (child, said)
    };
    let end = |(mut child, mut said): (Child, BufReader<_>)| {
        let mut rest = String::new();
        Read::read_to_string(&mut said, &mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        rest
    };
    let rest = end(start(&FLAGS.replace("--epochs 2", "--epochs 100")));
    let expected = "; nothing was kept: --checkpoint-dir DIR keeps checkpoints to go on from";
    assert!(
        rest.lines().last().unwrap().starts_with("interrupted after step ") && rest.trim().ends_with(expected),
        "{rest}"
    );

    // Batches of one row, and as many a step as there are rows: it would take its time.
    let slow =
        FLAGS.replace("--batch-size 64", "--batch-size 1").replace("--grad-accum-iter 2", "--grad-accum-iter 9000");
    let slow = start(&slow.replace("16-1", "1024-1024-1024-1"));
    std::thread::sleep(Duration::from_millis(200));
    signal(&slow.0, "-INT");
    let rest = end(slow);
    assert!(!rest.contains("interrupted"), "{rest}");
}
