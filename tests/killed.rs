//! Preprocessing killed at random moments, and started again: the same bytes.

mod common;

use common::example;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn killed_at_twenty_random_moments() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text: Vec<u8> = Teacher::new(3, TeacherConfig::small()).blocks(150_000, |b| b.text).flatten().collect();
    fs::write(path("rows.tsv"), text).unwrap();
    let command = |output: &Path| {
        let mut command = example("preprocess");
        command.arg("--input").arg(path("rows.tsv")).arg("--output").arg(output);
        command.args(["--min-count", "2", "--threads", "1", "--memory-limit", "40K"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let (whole, output) = (path("whole.rows"), path("out.rows"));
    assert!(command(&whole).status().unwrap().success());
    let expected = fs::read(&whole).unwrap();
    let mut moments = dlrm::Stream::native(5);
    let (mut kills, mut finished) = (0, 0);
    while kills < 20 {
        let mut child = command(&output).spawn().unwrap();
        std::thread::sleep(Duration::from_millis((moments.uniform() * 250.0) as u64));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        // It may have ended in between, or been killed behind its last step.
        if child.wait().unwrap().success() || output.exists() {
            assert!(fs::read(&output).unwrap() == expected, "after {kills} kills");
            fs::remove_file(&output).unwrap();
            finished += 1;
        }
    }
    assert!(command(&output).status().unwrap().success());
    assert!(fs::read(&output).unwrap() == expected, "{kills} kills, {finished} runs that came to an end");
}
