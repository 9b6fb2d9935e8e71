//! How long a prediction takes.

use super::columns::print_columns;
use super::model_flags::ModelConfig;
use super::models::random_batches;
use dlrm::nn::{DlrmConfig, Model};
use dlrm::{Predictor, Stream};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Batches that are used in turn, so that no row is found in a cache for having been looked up just before.
const DISTINCT: u32 = 64;

/// How long to measure, after a fifth of it as warm-up.
const SECONDS: f64 = 2.0;

/// What was measured, of batches of one size.
#[derive(Serialize)]
pub struct Latency {
    pub system: &'static str,
    pub batch: usize,
    pub p50_us: f64,
    pub p99_us: f64,
    pub rows_per_s: f64,
}

/// Predicts batches of `b` random rows, one lookup a table, over and over.
pub fn measure(predictor: &mut Predictor<Box<dyn Model>>, config: &ModelConfig, b: usize) -> Latency {
    let rows = config.num_embeddings().to_vec();
    let shape = DlrmConfig { dense_features: config.dense_features(), ..DlrmConfig::criteo_kaggle(rows) };
    let batches = random_batches(DISTINCT, b, &shape, 1, &mut Stream::native(b as u64));
    let mut times = Vec::new();
    let (start, mut all) = (Instant::now(), Duration::ZERO);
    for batch in batches.iter().cycle() {
        let before = Instant::now();
        predictor.probabilities(batch).expect("made for this model");
        let time = before.elapsed();
        match start.elapsed().as_secs_f64() / SECONDS {
            ..0.2 => continue,
            ..1.2 => {}
            _ => break,
        }
        times.push(time);
        all += time;
    }
    times.sort_unstable();
    let quantile = |q: f64| 1e6 * times[((times.len() - 1) as f64 * q) as usize].as_secs_f64();
    Latency {
        system: "dlrm",
        batch: b,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        rows_per_s: (b * times.len()) as f64 / all.as_secs_f64(),
    }
}

pub fn print(measured: &[Latency]) {
    let line = |l: &Latency| {
        let (p50, p99) = (format!("{:.1}", l.p50_us), format!("{:.1}", l.p99_us));
        vec![l.batch.to_string(), p50, p99, format!("{:.0}", l.rows_per_s)]
    };
    let lines: Vec<_> = measured.iter().map(line).collect();
    print_columns(&["batch", "p50 (µs)", "p99 (µs)", "rows/s"], &lines);
}
