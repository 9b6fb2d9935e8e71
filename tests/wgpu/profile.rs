//! Times by the device's clock.

use crate::support::{cpu, open, random, sound};
use dlrm::backend::{Backend, Beta, LossKind, WgpuOptions};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::profile::{Entry, Event, Profiled, Trace};
use dlrm::train::Trainer;
use dlrm::{Batch, JaggedTensor, Parameters, Stream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The entries and the trace of the second of two steps.
fn step(backend: Arc<dyn Backend>) -> (Vec<Entry>, Trace) {
    let config = DlrmConfig { bottom_mlp: vec![8, 16], top_mlp: vec![5, 1], ..DlrmConfig::criteo_kaggle(vec![10, 5]) };
    let batch = Batch {
        dense: (0..4 * 13).map(|i| (i as f32 * 0.37).sin()).collect(),
        dense_features: 13,
        // Each row once: of rows that are looked up twice a device does not tell that they are fewer than the lookups.
        sparse: vec![JaggedTensor::one_per_bag(vec![7, 3, 1, 9]), JaggedTensor::one_per_bag(vec![0, 1, 4, 2])],
        labels: vec![1.0, 0.0, 0.0, 1.0],
    };
    let profiled = Arc::new(Profiled::with_trace(backend));
    let mut params = Parameters::new(profiled.clone());
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(5)).unwrap();
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.1), LossKind::BCE);
    trainer.step(&batch).unwrap();
    profiled.submit();
    profiled.take();
    profiled.take_trace();
    trainer.step(&batch).unwrap();
    profiled.submit();
    (profiled.take(), profiled.take_trace())
}

/// A device of its own: whoever else computes on one that is timed is timed too.
#[test]
fn a_profile_is_that_of_the_processor_with_times_of_the_device() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    let (entries, trace) = step(gpu.clone());
    let (expected, _) = step(Arc::new(cpu()));
    assert_eq!(entries.len(), expected.len(), "{entries:?}");
    for (entry, mut expected) in entries.iter().zip(expected) {
        if entry.operator == "update_dense" {
            // The processor changes two packed copies of each weight as well.
            expected.cost.streamed -= 2 * 4 * (8 * 13 + 16 * 8 + 5 * 19 + 5);
        }
        let work = |e: &Entry| (e.operator, e.layer, e.calls, e.cost);
        assert_eq!(work(entry), work(&expected));
    }
    for entry in &entries {
        assert!(entry.time > Duration::ZERO, "{entry:?}");
        let calls: Vec<&Event> = trace.events.iter().filter(|e| !e.is_phase && e.name == entry.operator).collect();
        let same = entries.iter().filter(|e| e.operator == entry.operator).map(|e| e.time).sum::<Duration>();
        assert_eq!(calls.iter().map(|e| e.time).sum::<Duration>(), same, "{entry:?}");
    }
    let device = trace.threads.iter().position(|name| *name == gpu.describe()).expect("the device's row");
    let (phases, calls): (Vec<&Event>, Vec<&Event>) = trace.events.iter().partition(|e| e.is_phase);
    assert!(calls.iter().any(|e| e.thread == device));
    assert_eq!(phases.iter().map(|e| e.name).collect::<Vec<_>>(), ["forward", "backward", "update"]);
    for events in [&phases, &calls] {
        assert!(events.windows(2).all(|pair| pair[0].start + pair[0].time <= pair[1].start), "{events:?}");
    }
    sound(&gpu);
}

#[test]
fn marked_calls_are_timed_and_no_others() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    let (x, mut y) = (random(&[64, 64], 1), random(&[64, 64], 2));
    let mut add = |call| {
        gpu.mark(call);
        gpu.add_to(&x, &mut y, Beta::One);
    };
    add(Some(1)); // before anyone asked for times
    assert!(gpu.begin_timing().unwrap());
    let start = Instant::now();
    for call in [Some(7), None, Some(9), Some(9), Some(8), None] {
        add(call);
    }
    let spans = gpu.take_spans();
    let calls: Vec<u64> = spans.iter().map(|span| span.call).collect();
    assert_eq!(calls, [7, 9, 8]);
    let all = spans.iter().map(|span| span.time).sum::<Duration>();
    assert!(spans.iter().all(|span| span.time > Duration::ZERO) && all < start.elapsed(), "{spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].start + pair[0].time <= pair[1].start), "{spans:?}");
    assert_eq!(gpu.take_spans(), []);
    sound(&gpu);
}

/// Dispatches beyond those of one submission, and copies in between.
#[test]
fn calls_of_several_submissions_are_all_timed() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    gpu.begin_timing().unwrap();
    let (x, mut y) = (random(&[1, 1], 1), random(&[1, 1], 2));
    for call in 0..3000 {
        gpu.mark(Some(call));
        gpu.add_to(&x, &mut y, Beta::One);
        if call == 100 {
            y.as_slice();
        }
    }
    let calls: Vec<u64> = gpu.take_spans().iter().map(|span| span.call).collect();
    assert_eq!(calls, (0..3000).collect::<Vec<_>>());
    sound(&gpu);
}
