//! The way of a row, on one thread: text to rows, on every instruction set and line by line; batches of 128 out of
//! a binary dataset, in order and shuffled. Elements are rows.
//!
//! Rows are generated ones, with vocabularies of Kaggle's sizes: 100,000 of them have 22 MB of text. What lies
//! between, text to a binary dataset, waits for the disk at its end; to time it, give the example `preprocess`
//! millions of rows.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dlrm::Batch;
use dlrm::data::binary::RowFile;
use dlrm::data::criteo::scan::Scanner;
use dlrm::data::criteo::{BadRows, Labels, Row, RowReader};
use dlrm::data::preprocess::{Options, preprocess};
use dlrm::data::source::{BatchSource, Order, RowSource};
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm_kernels::Isa;
use std::fs;
use std::hint::black_box;

const ROWS: u64 = 100_000;

fn text() -> Vec<u8> {
    Teacher::new(1, TeacherConfig::kaggle()).blocks(ROWS, |block| block.text).flatten().collect()
}

fn line_by_line(text: &[u8], mut each: impl FnMut(Row)) {
    let rows = RowReader::new(text, "generated rows", Labels::Present, BadRows::Stop);
    rows.for_each(|row| each(row.expect("a good row")));
}

fn scanned(isa: Isa, text: &[u8], mut each: impl FnMut(Row)) {
    let done = Scanner::new(isa).for_each(text, |line| line.parse().map(&mut each));
    done.expect("good rows");
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("data/parse");
    group.throughput(Throughput::Elements(ROWS));
    let text = text();
    let mut expected = Vec::new();
    line_by_line(&text, |row| expected.push(row));
    for isa in Isa::available() {
        group.bench_function(BenchmarkId::new(isa.name(), "criteo"), |bencher| {
            let mut found = Vec::new();
            scanned(isa, &text, |row| found.push(row));
            assert!(found == expected, "{}: other rows than line by line", isa.name());
            bencher.iter(|| {
                scanned(isa, &text, |row| {
                    black_box(row);
                })
            });
        });
    }
    group.bench_function(BenchmarkId::new("line-by-line", "criteo"), |bencher| {
        bencher.iter(|| {
            line_by_line(&text, |row| {
                black_box(row);
            })
        });
    });
    group.finish();
}

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("data/batches");
    let folder = tempfile::tempdir().expect("a folder");
    let [input, output] = ["rows.tsv", "rows.tsv.rows"].map(|name| folder.path().join(name));
    fs::write(&input, text()).expect("room for text");
    let options = Options::new(vec![input], output);
    preprocess(&options, &mut |_| ()).expect("good rows");
    let file = RowFile::open(&options.output).expect("a dataset");
    group.throughput(Throughput::Elements(ROWS));
    for (name, order) in [("in-order", Order::InOrder), ("shuffled", Order::Shuffled(1))] {
        group.bench_function(BenchmarkId::new(name, "128"), |bencher| {
            let mut source = RowSource::new(&file, 0..ROWS as usize, 128, order);
            let (mut batch, mut pass) = (Batch::default(), 0);
            bencher.iter(|| {
                let mut rows = 0;
                source.start_epoch(pass).expect("a pass");
                while source.next_batch(&mut batch).expect("a good row") {
                    rows += batch.len();
                }
                assert_eq!(rows as u64, ROWS);
                pass += 1;
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = parse, batches }
criterion_main!(benches);
