//! A prediction in the steady state asks nobody for memory.

use dlrm::backend::{Backend, Cpu, Interaction};
use dlrm::buffer::maps_made;
use dlrm::nn::{Dlrm, DlrmConfig, WeightedPooling};
use dlrm::{Batch, JaggedTensor, Parameters, Predictor, Stream};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn batch(b: usize, config: &DlrmConfig) -> Batch {
    let list = |rows: usize| JaggedTensor::one_per_bag((0..b).map(|i| (i * 7 % rows) as u32).collect());
    Batch {
        dense: vec![0.5; b * config.dense_features],
        dense_features: config.dense_features,
        sparse: config.num_embeddings.iter().map(|&rows| list(rows)).collect(),
        labels: vec![0.0; b],
    }
}

/// One test, since the counters count for the whole process.
#[test]
fn no_allocation_after_the_first_batches() {
    let base = DlrmConfig::criteo_kaggle(vec![50_000, 1000, 20, 3]);
    let weighted = DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..base.clone() };
    for config in [base.clone(), DlrmConfig { interaction: Interaction::Cat, ..base }, weighted] {
        for threads in [1, 2] {
            let backend = Arc::new(Cpu::new(threads));
            let mut params = Parameters::new(backend.clone());
            let model = Dlrm::new(&config, &mut params, &mut Stream::native(5)).unwrap();
            let mut predictor = Predictor::new(model, params);
            let batches = [1, 64, 2048, 0, 37].map(|b| batch(b, &config));
            backend.scope(&mut || {
                let mut all =
                    || batches.iter().for_each(|b| assert_eq!(predictor.probabilities(b).unwrap().len(), b.len()));
                (0..8).for_each(|_| all());
                let (region, maps) = (Region::new(ALLOCATOR), maps_made());
                (0..8).for_each(|_| all());
                let change = region.change();
                let made = (change.allocations, change.reallocations, maps_made() - maps);
                assert_eq!(made, (0, 0, 0), "allocations, reallocations, maps: {threads} threads");
            });
        }
    }
}
