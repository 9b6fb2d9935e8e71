//! The page `dlrm::guide::reference_flags` has every flag of the reference, and what it names is there: flags in the
//! examples' help, tests in their files. What it says is nowhere is not.

mod common;
#[path = "common/page.rs"]
mod page;

use common::example;
use page::{Helps, cells, check_test, code, example_and_rest, has_flag};

const PAGE: &str = include_str!("../src/guide/reference_flags.md");

/// The flags of `dlrm_s_pytorch.py` with their defaults, in its order; `off` for those that take no value.
#[rustfmt::skip]
const FLAGS: [(&str, &str); 76] = [
    ("--arch-sparse-feature-size", "2"),
    ("--arch-embedding-size", "4-3-2"),
    ("--arch-mlp-bot", "4-3-2"),
    ("--arch-mlp-top", "4-2-1"),
    ("--arch-interaction-op", "dot"),
    ("--arch-interaction-itself", "off"),
    ("--weighted-pooling", "none"),
    ("--md-flag", "off"),
    ("--md-threshold", "200"),
    ("--md-temperature", "0.3"),
    ("--md-round-dims", "off"),
    ("--qr-flag", "off"),
    ("--qr-threshold", "200"),
    ("--qr-operation", "mult"),
    ("--qr-collisions", "4"),
    ("--activation-function", "relu"),
    ("--loss-function", "mse"),
    ("--loss-weights", "1.0-1.0"),
    ("--loss-threshold", "0.0"),
    ("--round-targets", "False"),
    ("--data-size", "1"),
    ("--num-batches", "0"),
    ("--data-generation", "random"),
    ("--rand-data-dist", "uniform"),
    ("--rand-data-min", "0"),
    ("--rand-data-max", "1"),
    ("--rand-data-mu", "-1"),
    ("--rand-data-sigma", "1"),
    ("--data-trace-file", "./input/dist_emb_j.log"),
    ("--data-set", "kaggle"),
    ("--raw-data-file", "empty"),
    ("--processed-data-file", "empty"),
    ("--data-randomize", "total"),
    ("--data-trace-enable-padding", "False"),
    ("--max-ind-range", "-1"),
    ("--data-sub-sample-rate", "0.0"),
    ("--num-indices-per-lookup", "10"),
    ("--num-indices-per-lookup-fixed", "False"),
    ("--num-workers", "0"),
    ("--memory-map", "off"),
    ("--mini-batch-size", "1"),
    ("--nepochs", "1"),
    ("--learning-rate", "0.01"),
    ("--print-precision", "5"),
    ("--numpy-rand-seed", "123"),
    ("--sync-dense-params", "True"),
    ("--optimizer", "sgd"),
    ("--dataset-multiprocessing", "off"),
    ("--inference-only", "off"),
    ("--quantize-mlp-with-bit", "32"),
    ("--quantize-emb-with-bit", "32"),
    ("--save-onnx", "off"),
    ("--use-gpu", "off"),
    ("--local_rank", "-1"),
    ("--dist-backend", "empty"),
    ("--print-freq", "1"),
    ("--test-freq", "-1"),
    ("--test-mini-batch-size", "-1"),
    ("--test-num-workers", "-1"),
    ("--print-time", "off"),
    ("--print-wall-time", "off"),
    ("--debug-mode", "off"),
    ("--enable-profiling", "off"),
    ("--plot-compute-graph", "off"),
    ("--tensor-board-filename", "run_kaggle_pt"),
    ("--save-model", "empty"),
    ("--load-model", "empty"),
    ("--mlperf-logging", "off"),
    ("--mlperf-acc-threshold", "0.0"),
    ("--mlperf-auc-threshold", "0.0"),
    ("--mlperf-bin-loader", "off"),
    ("--mlperf-bin-shuffle", "off"),
    ("--mlperf-grad-accum-iter", "1"),
    ("--lr-num-warmup-steps", "0"),
    ("--lr-decay-start-step", "0"),
    ("--lr-num-decay-steps", "0"),
];

struct Row {
    flag: &'static str,
    default: &'static str,
    here: &'static str,
    shown_by: &'static str,
}

impl Row {
    fn is_nowhere(&self) -> bool {
        self.here.starts_with("Not here") || self.here.starts_with("Nowhere: ")
    }
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| match cells(line)[..] {
        [flag, default, here, shown_by] => Row { flag: flag.trim_matches('`'), default, here, shown_by },
        _ => panic!("{line}: expected four cells"),
    };
    PAGE.lines().filter(|line| line.starts_with("| `--")).map(row).collect()
}

#[test]
fn every_flag_has_its_row() {
    let rows: Vec<(&str, &str)> = rows().iter().map(|row| (row.flag, row.default)).collect();
    assert_eq!(rows, FLAGS);
}

#[test]
fn every_flag_is_known_to_random() {
    let dir = tempfile::tempdir().unwrap();
    for (flag, default) in FLAGS {
        let arg = match default {
            "off" => flag.to_owned(),
            "empty" => format!("{flag}="),
            value => format!("{flag}={value}"),
        };
        let out = example("random").arg(&arg).current_dir(dir.path()).output().unwrap();
        let error = String::from_utf8(out.stderr).unwrap();
        let refused = error.starts_with(&format!("error: {flag}: "));
        assert!(out.status.success() || refused, "{arg}: {error}");
    }
}

#[test]
fn the_examples_have_the_flags_that_are_named() {
    let mut helps = Helps::default();
    for row in rows() {
        let named: Vec<_> = code(row.here).filter(|code| example_and_rest(code).is_some()).collect();
        assert!(row.is_nowhere() || named.iter().any(|code| code.contains(" --")), "{}: {}", row.flag, row.here);
        named.into_iter().for_each(|code| helps.check(code));
    }
}

/// When this fails, the flag has come: its row can say where it is and which test shows it.
#[test]
fn what_is_nowhere_is_not_there() {
    let mut helps = Helps::default();
    let nowhere: Vec<Row> = rows().into_iter().filter(Row::is_nowhere).collect();
    assert!(!nowhere.is_empty());
    for row in nowhere {
        for name in ["random", "criteo_kaggle", "criteo_terabyte"] {
            assert!(!has_flag(helps.of(name), row.flag), "{name} has {}: {}", row.flag, row.here);
        }
    }
}

#[test]
fn the_tests_that_are_named_exist() {
    for row in rows() {
        assert!(code(row.shown_by).next().is_some(), "{}: shown by nothing", row.flag);
        code(row.shown_by).for_each(check_test);
    }
}
