//! A training step in the steady state asks nobody for memory: not the allocator, not the kernel.

use dlrm::backend::{Backend, Cpu, Interaction, LossKind};
use dlrm::buffer::maps_made;
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, JaggedTensor, Parameters, Stream};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Batches of `b` samples with up to three ids a bag.
fn batches(b: usize, config: &DlrmConfig, stream: &mut Stream) -> Vec<Batch> {
    let batch = |_| Batch {
        dense: (0..b * config.dense_features).map(|_| stream.uniform() as f32).collect(),
        dense_features: config.dense_features,
        sparse: config
            .num_embeddings
            .iter()
            .map(|&rows| {
                let mut list = JaggedTensor::default();
                for i in 0..b {
                    let ids = [0; 3].map(|_| (stream.uniform() * rows as f64) as u32);
                    list.push_bag(&ids[..i % 4]);
                }
                list
            })
            .collect(),
        labels: (0..b).map(|i| f32::from(u8::from(i % 3 == 0))).collect(),
    };
    (0..4).map(batch).collect()
}

/// One test, since the counters count for the whole process.
#[test]
fn no_allocation_after_the_first_steps() {
    for threads in [1, 2] {
        let plain = TrainOptions::default();
        let everything =
            TrainOptions { accumulate: 2, clip_norm: Some(0.1), l2_embeddings: 1e-3, dropout: 0.3, ..plain };
        for (rule, interaction, options) in [
            (UpdateRule::Sgd, Interaction::Dot, plain),
            (UpdateRule::ROW_WISE_ADAGRAD, Interaction::DotItself, plain),
            (UpdateRule::ADAM, Interaction::Cat, plain),
            (UpdateRule::ADAGRAD, Interaction::Dot, everything),
        ] {
            let config = DlrmConfig { interaction, ..DlrmConfig::criteo_kaggle(vec![50_000, 1000, 20, 3]) };
            let mut stream = Stream::native(5);
            let backend = Arc::new(Cpu::new(threads));
            let mut params = Parameters::new(backend.clone());
            let model = Dlrm::new(&config, &mut params, &mut stream).unwrap();
            let batches = batches(512, &config, &mut stream);
            let mut trainer = Trainer::new(model, params, rule, LrPolicy::constant(0.01), LossKind::BCE);
            trainer = trainer.with_options(options).unwrap();
            backend.scope(&mut || {
                // Each batch once or more: the largest number of rows has been seen then.
                (0..12).for_each(|i| assert!(trainer.step(&batches[i % 4]).is_ok()));
                let (region, maps) = (Region::new(ALLOCATOR), maps_made());
                (0..40).for_each(|i| assert!(trainer.step(&batches[i % 4]).is_ok()));
                let change = region.change();
                let made = (change.allocations, change.reallocations, maps_made() - maps);
                assert_eq!(
                    made,
                    (0, 0, 0),
                    "allocations, reallocations, maps: {rule:?}, {options:?}, {threads} threads"
                );
            });
        }
    }
}
