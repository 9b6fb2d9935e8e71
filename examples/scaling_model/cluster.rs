//! Steps on many ranks, predicted.

use super::Args;
use super::support::columns::print_columns;
use dlrm::nn::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS, Placement, TableLoad};
use dlrm::roofline::ranks::{Network, RanksStep, StepParts, Worker};
use dlrm::roofline::{Roofline, RowRate};
use serde::Serialize;

/// Ranks that are predicted for.
pub const RANKS: [usize; 4] = [1, 8, 64, 1024];

/// Samples of all ranks at strong scaling, and of each at weak scaling.
const STRONG_BATCH: usize = 16_384;
const WEAK_BATCH: usize = 2048;

/// Rows of the Criteo Terabyte set's tables with ids below 40 million, as MLPerf training counts them (the reference's
/// README, `--num_embeddings_per_feature`).
const TERABYTE_NUM_EMBEDDINGS: [usize; 26] = [
    40_000_000, 39_060, 17_295, 7424, 20_265, 3, 7122, 1543, 63, 40_000_000, 3_067_956, 405_282, 10, 2209, 11_938, 155,
    4, 976, 14, 40_000_000, 40_000_000, 40_000_000, 590_152, 12_973, 108, 36,
];

/// A step of a model on so many ranks.
#[derive(Serialize)]
pub struct Prediction {
    pub rank: &'static str,
    pub model: &'static str,
    pub scaling: &'static str,
    pub ranks: usize,
    /// Samples of all ranks.
    batch: usize,
    parts: StepParts,
    hidden: f64,
    /// How often as many samples a second as one rank with the batch of one rank.
    pub speedup: f64,
}

/// Names of what a rank is.
pub const HERE: &str = "this machine";
pub const SOCKET: &str = "a socket";

/// The names of the models.
pub const MODELS: [&str; 3] = ["Kaggle", "Terabyte", "MLPerf"];

fn model(name: &str) -> DlrmConfig {
    let config = |dim: usize, bottom: &[usize], top: &[usize], most: usize| DlrmConfig {
        embedding_dim: dim,
        bottom_mlp: bottom.to_vec(),
        top_mlp: top.to_vec(),
        ..DlrmConfig::criteo_kaggle(TERABYTE_NUM_EMBEDDINGS.map(|rows| rows.min(most)).to_vec())
    };
    match name {
        "Kaggle" => DlrmConfig::criteo_kaggle(KAGGLE_NUM_EMBEDDINGS.to_vec()),
        "Terabyte" => config(64, &[512, 256, 64], &[512, 512, 256, 1], 10_000_000),
        _ => config(128, &[512, 256, 128], &[1024, 1024, 512, 256, 1], 40_000_000),
    }
}

/// That of the flags.
pub fn network(args: &Args) -> Network {
    let Network { latency_us, gbs, by_cores } = Network::GIGABIT_100;
    let (latency_us, gbs) = (args.latency_us.unwrap_or(latency_us), args.network_gbs.unwrap_or(gbs));
    Network { latency_us, gbs, by_cores }
}

/// A socket of 28 cores with AVX-512 and six channels of memory, in round figures: of the kind that clusters of 2020 are
/// made of. An assumption, not a machine; its steps reach of its peaks what those of this machine do.
fn socket(here: &Worker) -> Worker {
    let row = |bytes, read_gbs| RowRate { bytes, read_gbs, update_gbs: read_gbs / 2.0 };
    let roofline = Roofline {
        isa: "avx512",
        threads: 28,
        f32_gflops: 3500.0,
        bf16_gflops: None,
        read_gbs: 100.0,
        write_gbs: 80.0,
        rows: [row(64, 50.0), row(128, 70.0), row(256, 80.0), row(512, 80.0)],
        cache_bytes: 38 << 20,
    };
    Worker { roofline, ..here.clone() }
}

/// Of each model, on ranks like this machine and on sockets.
pub fn predictions(here: &Worker, network: &Network) -> Vec<Prediction> {
    let mut all = Vec::new();
    for (rank, worker) in [(HERE, here), (SOCKET, &socket(here))] {
        for name in MODELS {
            let config = model(name);
            for (scaling, weak) in [("strong", false), ("weak", true)] {
                let step = |ranks: usize| {
                    predict(&config, if weak { WEAK_BATCH * ranks } else { STRONG_BATCH }, ranks, worker, network)
                };
                let (batch_of_one, one) = step(1);
                for ranks in RANKS {
                    let (batch, parts) = step(ranks);
                    let speedup = batch as f64 / batch_of_one as f64 * one.step / parts.step;
                    all.push(Prediction {
                        rank,
                        model: name,
                        scaling,
                        ranks,
                        batch,
                        hidden: parts.hidden(),
                        parts,
                        speedup,
                    });
                }
            }
        }
    }
    all
}

/// The batch, and its step.
fn predict(config: &DlrmConfig, batch: usize, ranks: usize, worker: &Worker, network: &Network) -> (usize, StepParts) {
    let load = |&num_embeddings: &usize| TableLoad { num_embeddings, lookups: 1.0 };
    let loads: Vec<_> = config.num_embeddings.iter().map(load).collect();
    let placement = &Placement::plan(&loads, config.embedding_dim, ranks);
    let parts = RanksStep { config, lookups: 1, batch, ranks, placement }.predict(worker, network);
    // One rank by itself packs nothing.
    let alone = StepParts { step: parts.step - parts.packing, packing: 0.0, ..parts };
    (batch, if ranks == 1 { alone } else { parts })
}

/// A table for each kind of rank.
pub fn print(network: &Network, predictions: &[Prediction]) {
    for rank in [HERE, SOCKET] {
        println!();
        println!("predicted: a rank is {rank}, with {} GB/s and {} µs to each other", network.gbs, network.latency_us);
        let header = [
            "model",
            "scaling",
            "ranks",
            "batch",
            "ms a step",
            "speed-up",
            "efficiency",
            "exchanges, ms",
            "hidden",
            "imbalance",
        ];
        let line = |p: &Prediction| {
            let exchanges = p.parts.ids + p.parts.vectors + p.parts.gradients + p.parts.all_reduce;
            vec![
                p.model.into(),
                p.scaling.into(),
                p.ranks.to_string(),
                p.batch.to_string(),
                format!("{:.2}", p.parts.step),
                format!("{:.1}", p.speedup),
                format!("{:.0} %", 100.0 * p.speedup / p.ranks as f64),
                format!("{exchanges:.2}"),
                format!("{:.0} %", 100.0 * p.hidden),
                format!("{:.1}", p.parts.imbalance),
            ]
        };
        let lines: Vec<_> = predictions.iter().filter(|p| p.rank == rank).map(line).collect();
        print_columns(&header, &lines);
    }
    println!();
    PUBLISHED.iter().for_each(|line| println!("{line}"));
}

/// What is published, and where.
const PUBLISHED: [&str; 3] = [
    "published: \"high scaling efficiency up to 64 sockets\" (Kalamkar et al. 2020, arXiv 2005.04680, abstract);",
    "MLPerf's model trained on 64 sockets in a third of the time on 16 (Intel, \"A Novel Scale-Out Training Solution for",
    "Deep Learning Recommender Systems\": v1.0 beside v0.7, with other batches and another optimizer)",
];
