//! The examples on several ranks.

mod common;

use common::stdout_in;
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
