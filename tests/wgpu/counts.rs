//! What a steady step gives the device to do: counted, since the speed of a software adapter says nothing.

use crate::support::{open, sound};
use crate::training::{Log, random_batches, run, trainer};
use dlrm::backend::{Counts, WgpuOptions};
use dlrm::nn::DlrmConfig;
use dlrm::optim::UpdateRule;
use dlrm::roofline::{Cost, Gpu};
use dlrm::train::TrainOptions;
use std::sync::{Arc, Mutex};

const BATCH: usize = 128;

/// Steps whose losses are looked at together.
const WINDOW: u64 = 16;

/// The layers and the 26 tables of the Kaggle model; layers are narrower and tables shorter, which changes no count.
fn kaggle_in_small() -> DlrmConfig {
    DlrmConfig {
        bottom_mlp: vec![64, 32, 24, 16],
        top_mlp: vec![64, 32, 1],
        ..DlrmConfig::criteo_kaggle(vec![100; 26])
    }
}

/// What the third and the fourth window of a run add to the counts.
fn of_windows(rule: UpdateRule, options: TrainOptions) -> Option<[Counts; 2]> {
    let gpu = open(&WgpuOptions::default())?;
    let config = kaggle_in_small();
    let batches = random_batches(&config, BATCH, 4 * WINDOW as usize + 1, 1, true);
    let mut trainer = trainer(gpu.clone(), &config, (rule, 0.01), options);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (device, counts) = (gpu.clone(), seen.clone());
    let before_step = move |step| {
        if step > 2 * WINDOW && step % WINDOW == 1 {
            counts.lock().unwrap().push(device.counts());
        }
    };
    let log = run(&mut trainer, &batches, None, Log { before_step: Some(Box::new(before_step)), ..Log::default() });
    assert_eq!(log.losses.len(), batches.batches.len(), "{:?}", log.error);
    sound(&gpu);
    let [first, second, third] = seen.lock().unwrap()[..] else { panic!("five windows") };
    Some([since(second, first), since(third, second)])
}

fn since(now: Counts, then: Counts) -> Counts {
    Counts {
        submissions: now.submissions - then.submissions,
        dispatches: now.dispatches - then.dispatches,
        bytes_up: now.bytes_up - then.bytes_up,
        bytes_down: now.bytes_down - then.bytes_down,
        bind_groups: now.bind_groups - then.bind_groups,
        buffers: now.buffers - then.buffers,
        fallbacks: now.fallbacks - then.fallbacks,
        buffer_bytes: now.buffer_bytes - then.buffer_bytes,
    }
}

#[test]
fn a_steady_step() {
    let rules = [UpdateRule::Sgd, UpdateRule::ADAGRAD, UpdateRule::ROW_WISE_ADAGRAD, UpdateRule::ADAM];
    let mut counted = Vec::new();
    for rule in rules {
        let Some([window, next]) = of_windows(rule, TrainOptions::default()) else { return };
        assert_eq!(window, next, "{rule:?}: each window is as the one before");
        println!("{rule:?}: {window:?} in {WINDOW} steps");
        // A submission a step; the look goes with the last. A loss comes down of each step, and whether it was finite.
        assert_eq!((window.submissions, window.bytes_down), (WINDOW, 8 * WINDOW), "{rule:?}");
        assert_eq!((window.bind_groups, window.buffers, window.fallbacks), (0, 0, 0), "{rule:?}");
        // Dense features, labels, ids, the lengths of bags, and the 1 that the backward pass begins with; the parameters
        // of each dispatch, 256 bytes; and once a window that nothing was found yet.
        let batch = 4 * (13 * BATCH + BATCH + 26 * BATCH + (26 * BATCH + 1) + 1) as u64;
        assert_eq!(window.bytes_up, WINDOW * batch + 256 * window.dispatches + 4, "{rule:?}");
        counted.push(window.dispatches as f64 / WINDOW as f64);
    }
    assert_eq!(counted, [65.0; 4], "dispatches a step");
}

/// On a GPU whose bus, memory and arithmetic are the ordinary ones, what goes up hides behind the step before.
#[test]
fn uploads_of_the_kaggle_model_take_less_time_than_its_steps() {
    let config = DlrmConfig::criteo_kaggle(dlrm::nn::KAGGLE_NUM_EMBEDDINGS.to_vec());
    let gpu = Gpu::ORDINARY;
    for batch in [128, 2048] {
        let bytes = 4 * batch * (13 + 1 + 2 * 26) + 256 * 150;
        let upload = bytes as f64 / gpu.bus_gbs / 1e6;
        let step = gpu.roofline().step_ms(&Cost::of_step(&config, batch, 1));
        println!("batch {batch}: {upload:.4} ms up, {step:.4} ms at least for the step");
        assert!(upload < step, "batch {batch}");
    }
}
