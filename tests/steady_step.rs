//! A training step in the steady state asks nobody for memory: not the allocator, not the kernel.

use dlrm::backend::{Backend, Cpu, Interaction, LossKind};
use dlrm::buffer::maps_made;
use dlrm::nn::{Compression, CrossConfig, Dcn, DcnConfig, Dlrm, DlrmConfig, Model, QrOperation};
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

/// Makes a model.
type Make<'a> = &'a dyn Fn(&mut Parameters, &mut Stream) -> Box<dyn Model>;

fn assert_steady(threads: usize, rule: UpdateRule, options: TrainOptions, make: Make) {
    let mut stream = Stream::native(5);
    let backend = Arc::new(Cpu::new(threads));
    let mut params = Parameters::new(backend.clone());
    let model = make(&mut params, &mut stream);
    let batches = batches(512, &config(Interaction::Dot), &mut stream);
    let mut trainer = Trainer::new(model, params, rule, LrPolicy::constant(0.01), LossKind::BCE);
    trainer = trainer.with_options(options).unwrap();
    backend.scope(&mut || {
        // Each batch once or more: the largest number of rows has been seen then.
        (0..12).for_each(|i| assert!(trainer.step(&batches[i % 4]).is_ok()));
        let (region, maps) = (Region::new(ALLOCATOR), maps_made());
        (0..40).for_each(|i| assert!(trainer.step(&batches[i % 4]).is_ok()));
        let change = region.change();
        let made = (change.allocations, change.reallocations, maps_made() - maps);
        assert_eq!(made, (0, 0, 0), "allocations, reallocations, maps: {rule:?}, {options:?}, {threads} threads");
    });
}

fn config(interaction: Interaction) -> DlrmConfig {
    DlrmConfig { interaction, ..DlrmConfig::criteo_kaggle(vec![50_000, 1000, 20, 3]) }
}

/// One test, since the counters count for the whole process.
#[test]
fn no_allocation_after_the_first_steps() {
    let cross = Some(CrossConfig { layers: 2, rank: 16 });
    let dcn_v2 = DlrmConfig { cross, ..config(Interaction::Cat) };
    let compressed = |compression| DlrmConfig { compression: Some(compression), ..config(Interaction::Dot) };
    let operation = QrOperation::Concat;
    let quotients = compressed(Compression::QuotientRemainder { threshold: 200, collisions: 4, operation });
    let mixed = compressed(Compression::MixedDimension { threshold: 200, temperature: 0.1, round_dims: false });
    let dcn = DcnConfig::criteo_kaggle(dcn_v2.num_embeddings.clone());
    for threads in [1, 2] {
        let plain = TrainOptions::default();
        let everything = TrainOptions {
            accumulate: 2,
            clip_norm: Some(0.1),
            l2_embeddings: 1e-3,
            dropout: 0.3,
            loss_threshold: 0.01,
            ..plain
        };
        for (rule, config, options) in [
            (UpdateRule::Sgd, &config(Interaction::Dot), plain),
            (UpdateRule::ROW_WISE_ADAGRAD, &config(Interaction::DotItself), plain),
            (UpdateRule::ADAM, &config(Interaction::Cat), plain),
            (UpdateRule::ADAGRAD, &dcn_v2, plain),
            (UpdateRule::Sgd, &quotients, plain),
            (UpdateRule::ADAGRAD, &mixed, plain),
            (UpdateRule::ADAGRAD, &config(Interaction::Dot), everything),
        ] {
            let make: Make = &|params, stream| Box::new(Dlrm::new(config, params, stream).unwrap());
            assert_steady(threads, rule, options, make);
        }
        let make: Make = &|params, stream| Box::new(Dcn::new(&dcn, params, stream).unwrap());
        assert_steady(threads, UpdateRule::Sgd, everything, make);
    }
}
