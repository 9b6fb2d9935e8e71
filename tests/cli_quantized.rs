//! The example `quantize`, and the flags that test a trained model with fewer bits, as a user meets them.

mod common;

use common::example;
use std::path::Path;

/// Trains on the sample with `flags` after the usual ones, and returns what is printed.
fn train(flags: &[&str]) -> Result<String, String> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv");
    let mut command = example("criteo_kaggle");
    command.args(["--no-cache", "--optimizer", "adagrad", "--full-test", "--top-mlp", "32-1", "--data"]).arg(sample);
    let output = command.args(["--bottom-mlp", "13-32-16"]).args(flags).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn a_trained_model_is_tested_again_with_fewer_bits() {
    let plain = train(&[]).unwrap();
    let both = train(&["--quantize-emb-with-bit", "4", "--quantize-mlp-with-bit", "8"]).unwrap();
    let (table, report) = both.split_at(both.find("  train loss").unwrap());
    // The rest of the report is of the model as it was trained.
    let loss = |report: &str| report.lines().find(|l| l.contains("test log loss")).unwrap().to_owned();
    assert_eq!(loss(report), loss(&plain));
    let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().rev().collect()).collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(table.contains("\n32 bits ") && table.contains("\ntables 4, MLP 8 bits "), "{table}");
    let number = |line: usize, column: usize| lines[line][column].parse::<f64>().unwrap();
    // Log loss, AUC, megabytes, from the right.
    assert!(loss(report).trim().ends_with(lines[1][0]), "{table}");
    assert!(number(2, 0) != number(1, 0) && (number(2, 0) - number(1, 0)).abs() < 0.05, "{table}");
    assert!(number(2, 2) < number(1, 2), "{table}");
}

#[test]
fn other_numbers_of_bits_are_refused_in_one_line() {
    for (flag, bits, possible) in
        [("--quantize-emb-with-bit", "5", "4, 8, 16, 32"), ("--quantize-mlp-with-bit", "4", "8, 16, 32")]
    {
        let line = train(&[flag, bits]).unwrap_err();
        let expected = format!("error: invalid value '{bits}' for '{flag} <BITS>' [possible values: {possible}]\n");
        assert_eq!(line, expected);
    }
}

#[test]
fn the_example_prints_every_kind_of_table_with_every_kind_of_mlp() {
    let output = example("quantize").args(["--rows", "7000", "--embedding-dim", "4"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|l| l.split_whitespace().collect()).collect();
    let names: Vec<String> = lines.iter().map(|l| format!("{} {}", l[0], l[1])).collect();
    let tables = ["f32", "f16", "bf16", "int8", "int4"];
    let expected = tables.iter().flat_map(|t| ["f32", "f16", "int8"].map(|w| format!("{t} {w}")));
    assert_eq!(names, expected.collect::<Vec<_>>(), "{text}");
    let number = |line: &[&str], column: usize| line[column].parse::<f64>().unwrap();
    for line in &lines {
        assert!(number(line, 4) > 0.0 && number(line, 5) > 0.0 && number(line, 7).abs() < 0.02, "{text}");
        assert!((number(&lines[0], 6) - number(line, 6) - number(line, 7)).abs() < 2e-5, "{text}");
    }
    assert!(number(&lines[12], 2) < number(&lines[0], 2) / 2.0, "{text}");
}
