//! The standard models, and random batches for them.

use clap::ValueEnum;
use dlrm::backend::Interaction;
use dlrm::nn::{DlrmConfig, KAGGLE_NUM_EMBEDDINGS};
use dlrm::{Batch, JaggedTensor, Result, Stream};
use serde::Serialize;
use std::fmt::Display;

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// The reference's bench/dlrm_s_criteo_kaggle.sh: 26 tables of 33.8 million rows × 16.
    Kaggle,
    /// MLPerf training's DLRM, tables capped at a million rows × 128.
    Mlperf,
    /// MLPerf training's DLRM-DCNv2: cross layers of rank 512, tables capped at a million rows × 128, one
    /// lookup each.
    Dcnv2,
    /// The reference's bench/dlrm_s_benchmark.sh, the paper's section 5.2: 8 × 1 M × 64, 100 lookups.
    Bigbasin,
    /// Small enough for a quick look.
    Tiny,
}

impl Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().expect("no value is hidden").get_name())
    }
}

impl Config {
    /// The model and its lookups a table.
    pub fn model(self) -> (DlrmConfig, usize) {
        let capped = |cap: usize| KAGGLE_NUM_EMBEDDINGS.map(|rows| rows.min(cap)).to_vec();
        let config = |bottom: &[usize], top: &[usize], num_embeddings: Vec<usize>| DlrmConfig {
            dense_features: bottom[0],
            embedding_dim: bottom[bottom.len() - 1],
            bottom_mlp: bottom[1..].to_vec(),
            top_mlp: top.to_vec(),
            interaction: Interaction::Dot,
            ..DlrmConfig::criteo_kaggle(num_embeddings)
        };
        match self {
            Config::Kaggle => (DlrmConfig::criteo_kaggle(KAGGLE_NUM_EMBEDDINGS.to_vec()), 1),
            Config::Mlperf => (config(&[13, 512, 256, 128], &[1024, 1024, 512, 256, 1], capped(1_000_000)), 1),
            Config::Dcnv2 => (DlrmConfig::mlperf_dcn_v2(capped(1_000_000)), 1),
            Config::Bigbasin => (config(&[512, 512, 64], &[1024, 1024, 1024, 1], vec![1_000_000; 8]), 100),
            Config::Tiny => (config(&[13, 64, 16], &[64, 1], vec![1000; 26]), 1),
        }
    }
}

/// `count` batches of `b` samples: uniform dense features and ids, a click in four.
pub fn random_batches(count: u32, b: usize, config: &DlrmConfig, lookups: usize, stream: &mut Stream) -> Vec<Batch> {
    let list = |rows: usize, stream: &mut Stream| {
        let ids = (0..b * lookups).map(|_| (stream.uniform() * rows as f64) as u32).collect();
        let offsets = (0..=b).map(|i| (i * lookups) as u32).collect();
        JaggedTensor::new(ids, offsets, None)
    };
    let batch = |_| {
        Ok(Batch {
            dense: (0..b * config.dense_features).map(|_| stream.uniform() as f32).collect(),
            dense_features: config.dense_features,
            sparse: config.num_embeddings.iter().map(|&rows| list(rows, stream)).collect::<Result<_>>()?,
            labels: (0..b).map(|_| f32::from(stream.uniform() < 0.25)).collect(),
        })
    };
    (0..count).map(batch).collect::<Result<_>>().expect("the lists are well formed")
}
