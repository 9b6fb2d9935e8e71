//! The planted teacher and its rows.

use dlrm::Batch;
use dlrm::baseline::LogisticRegression;
use dlrm::data::source::{BatchSource, Order, RowSource};
use dlrm::data::teacher::{Block, GeneratedRow, Teacher, TeacherConfig};
use std::collections::HashSet;
use std::path::Path;

/// The probability that a row with a click gets a higher score than one without.
fn auc(scores: &[f32], labels: &[u8]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut without, mut pairs) = (0u64, 0u64);
    for &i in &order {
        if labels[i] == 1 { pairs += without } else { without += 1 }
    }
    let with = labels.len() as u64 - without;
    pairs as f64 / (with * without) as f64
}

#[test]
fn the_sample_is_what_the_generator_writes() {
    let sample = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.tsv")).unwrap();
    let blocks = Teacher::new(1, TeacherConfig::small()).blocks(200, |block| block.text).collect::<Vec<_>>();
    assert!(blocks.concat() == sample, "data/README.md says how the sample is made");
}

#[test]
fn rows_depend_on_seed_and_number_alone() {
    const ROWS: u64 = 20_000; // five blocks, more than a group of one thread
    let teacher = Teacher::new(5, TeacherConfig::small());
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| teacher.blocks(ROWS, |block| block).collect::<Vec<Block>>())
    };
    let blocks = with_threads(1);
    assert_eq!(blocks, with_threads(2));
    let probabilities: Vec<f32> = blocks.into_iter().flat_map(|block| block.probabilities).collect();
    assert_eq!(probabilities.len() as u64, ROWS);
    for k in [ROWS - 1, 4096, 0, 4095] {
        assert_eq!(teacher.row(k).probability, probabilities[k as usize]);
    }
    let again = Teacher::new(5, TeacherConfig::small());
    assert_eq!(again.row(123), teacher.row(123));
    assert_ne!(Teacher::new(6, TeacherConfig::small()).row(123), teacher.row(123));
}

#[test]
fn rows_have_the_shape_that_was_ordered() {
    const ROWS: u64 = 20_000;
    for config in [TeacherConfig::small(), TeacherConfig::kaggle()] {
        let teacher = Teacher::new(3, config.clone());
        let rows: Vec<GeneratedRow> = (0..ROWS).map(|k| teacher.row(k)).collect();
        let share = |count: usize| count as f64 / ROWS as f64;
        // Five standard errors of a share are at most 5 × 0.5 / √20000 = 0.018.
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.018;

        let clicks = share(rows.iter().filter(|row| row.label == 1).count());
        let expected_clicks = rows.iter().map(|row| f64::from(row.probability)).sum::<f64>() / ROWS as f64;
        assert!(near(clicks, config.base_rate) && near(clicks, expected_clicks), "{clicks} {expected_clicks}");
        for (j, column) in config.ints.iter().enumerate() {
            let missing = share(rows.iter().filter(|row| row.ints[j].is_none()).count());
            assert!(near(missing, column.missing), "I{}: {missing} missing", j + 1);
            let lowest = rows.iter().filter_map(|row| row.ints[j]).min();
            assert_eq!(lowest, Some(-column.shift), "I{}", j + 1);
        }
        for (c, column) in config.ids.iter().enumerate() {
            let missing = share(rows.iter().filter(|row| row.ids[c].is_none()).count());
            assert!(near(missing, column.missing), "C{}: {missing} missing", c + 1);
            let ids: HashSet<u32> = rows.iter().filter_map(|row| row.ids[c]).collect();
            assert!(!ids.contains(&0) && ids.len() <= column.vocabulary as usize);
            if column.vocabulary < 100 {
                assert_eq!(ids.len(), column.vocabulary as usize, "C{}: every id comes", c + 1);
            }
        }
    }
}

#[test]
fn a_linear_model_stays_well_below_the_ceiling() {
    let (dataset, probabilities) = Teacher::new(1, TeacherConfig::small()).dataset(100_000, 1).unwrap();
    let (train, test) = (dataset.split().train(), dataset.split().test(true));
    let labels = &dataset.labels()[test.clone()];
    let ceiling = auc(&probabilities[test.clone()], labels);

    let mut model = LogisticRegression::new(13, &dataset.num_embeddings(), 0.05);
    model.train(&mut RowSource::new(&dataset, train, 128, Order::Shuffled(1))).unwrap();
    let mut source = RowSource::new(&dataset, test, 1024, Order::InOrder);
    let (mut batch, mut predictions) = (Batch::default(), Vec::new());
    while source.next_batch(&mut batch).unwrap() {
        model.predict(&batch, &mut predictions).unwrap();
    }
    let linear = auc(&predictions, labels);
    // The standard error of either AUC over 14,000 rows is about 0.005; the gap is about 0.1.
    assert!(ceiling > 0.83 && ceiling < 0.88, "ceiling {ceiling}");
    assert!(linear > 0.68 && linear < ceiling - 0.06, "linear {linear}, ceiling {ceiling}");
}
