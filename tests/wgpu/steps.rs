//! Whole runs beside those of the CPU's backend.

use crate::support::{close, cpu, gpu, half, sound};
use crate::training::{Batches, Log, bits, config, numbers, random_batches, run, trainer};
use dlrm::backend::{Backend, Wgpu};
use dlrm::checkpoint::{Checkpoint, CheckpointDir};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::UpdateRule;
use dlrm::train::{Checkpoints, OnNan, Schedule, TrainOptions};
use dlrm::{Error, Predictor};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// The mean loss to the digits that the reference prints.
fn printed(losses: &[f32]) -> String {
    format!("{:.6}", losses.iter().map(|&x| f64::from(x)).sum::<f64>() / losses.len() as f64)
}

#[test]
fn ten_steps_of_the_golden_model() {
    let Some(gpu) = gpu() else { return };
    let batches = random_batches(&config(), 32, 10, 4, false);
    let rules = [
        (UpdateRule::Sgd, 0.3, Some("0.730083")),
        (UpdateRule::ADAGRAD, 0.05, Some("0.746694")),
        (UpdateRule::ROW_WISE_ADAGRAD, 0.05, Some("0.748037")),
        (UpdateRule::ADAM, 0.01, None),
    ];
    for (rule, lr, reference) in rules {
        let ten = |backend: Arc<dyn Backend>, at_once: bool| {
            let mut trainer = trainer(backend, &config(), (rule, lr), TrainOptions::default());
            let losses = match at_once {
                true => batches.batches.iter().map(|batch| trainer.step(batch).unwrap()).collect(),
                false => run(&mut trainer, &batches, None, Log::default()).losses,
            };
            (losses, bits(trainer.params()))
        };
        let (expected, _) = ten(Arc::new(cpu()), false);
        let (losses, parameters) = ten(gpu.clone(), false);
        sound(&gpu);
        assert_eq!(losses.len(), 10);
        close(&format!("{rule:?}"), &losses, &expected, 1e-5);
        reference.iter().for_each(|mean| assert_eq!(printed(&losses), *mean, "{rule:?}"));
        assert!(ten(gpu.clone(), true) == (losses, parameters), "{rule:?}: with a look at each step");
    }
}

#[test]
fn the_reference_s_losses_of_kaggle_s_mlps() {
    let Some(gpu) = gpu() else { return };
    let config = DlrmConfig {
        dense_features: 13,
        embedding_dim: 16,
        bottom_mlp: vec![512, 256, 64, 16],
        top_mlp: vec![512, 256, 1],
        ..DlrmConfig::criteo_kaggle(vec![1000; 4])
    };
    let batches = random_batches(&config, 128, 2, 1, true);
    let mut trainer = trainer(gpu, &config, (UpdateRule::Sgd, 0.1), TrainOptions::default());
    let log = run(&mut trainer, &batches, None, Log::default());
    let each: Vec<String> = log.losses.iter().map(|loss| format!("{loss:.6}")).collect();
    assert_eq!(each, ["0.688952", "0.693999"]);
}

#[test]
fn options_do_what_they_do_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let batches = random_batches(&config(), 32, 20, 4, false);
    let none = TrainOptions::default();
    let all = TrainOptions {
        accumulate: 3,
        clip_norm: Some(0.2),
        l2_embeddings: 0.01,
        dropout: 0.3,
        sparse_lr: Some(0.1),
        loss_threshold: 0.3,
        ..none
    };
    for options in [
        TrainOptions { accumulate: 3, ..none },
        TrainOptions { clip_norm: Some(0.2), ..none },
        TrainOptions { l2_embeddings: 0.01, ..none },
        TrainOptions { dropout: 0.3, ..none },
        TrainOptions { loss_threshold: 0.3, ..none },
        all,
    ] {
        let ends = [gpu.clone() as Arc<dyn Backend>, Arc::new(cpu())].map(|backend| {
            let mut trainer = trainer(backend, &config(), (UpdateRule::ADAGRAD, 0.05), options);
            let log = run(&mut trainer, &batches, Some(4), Log::default());
            let auc: Vec<f32> = log.records.iter().map(|record| record.evaluation.auc.unwrap() as f32).collect();
            (log.losses, auc, numbers(trainer.params()), trainer.steps())
        });
        let what = format!("{options:?}");
        close(&what, &ends[0].0, &ends[1].0, 1e-4);
        close(&what, &ends[0].1, &ends[1].1, 1e-3);
        close(&what, &ends[0].2, &ends[1].2, 1e-3);
        assert_eq!(ends[0].3, ends[1].3, "{what}");
    }
}

/// The run in `folder`, from its newest checkpoint on if there is one.
fn run_from(folder: &Path, backend: Arc<dyn Backend>, batches: &Batches, log: &mut Log) -> Vec<u32> {
    let dir = CheckpointDir::open(folder, NonZeroUsize::new(3).unwrap()).unwrap();
    let mut newest = dir.newest(|e| panic!("{e}")).unwrap();
    let rule = (UpdateRule::ADAM, 0.01);
    let options = TrainOptions { accumulate: 2, dropout: 0.2, ..TrainOptions::default() };
    let mut trainer = trainer(backend.clone(), &config(), rule, options);
    if let Some(file) = &mut newest {
        let (_, params) = file.read(backend, |params, stream| Dlrm::new(&config(), params, stream)).unwrap();
        trainer.replace_params(params);
        trainer.resume(file).unwrap();
    }
    let mut checkpoints = Checkpoints::new(dir, &config(), None, Vec::new()).every(7);
    let (mut train, mut test) = (batches.clone(), Batches::new(batches.batches[..2].to_vec()));
    let schedule = Schedule { epochs: 2, test_freq: Some(11) };
    match trainer.train_with_checkpoints(&mut train, &mut test, schedule, log, &mut checkpoints) {
        Ok(records) => log.records = records,
        Err(error) => log.error = Some(error),
    }
    bits(trainer.params())
}

#[test]
fn a_run_that_goes_on_ends_with_the_bits_of_one_that_never_stopped() {
    [gpu(), half(None)].into_iter().flatten().for_each(goes_on);
}

fn goes_on(gpu: Arc<Wgpu>) {
    let batches = random_batches(&config(), 32, 40, 4, false);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut whole, mut stopped, mut resumed) = (Log::default(), Log::default(), Log::default());
    let expected = run_from(folders[0].path(), gpu.clone(), &batches, &mut whole);
    stopped.stop_after = Some(25);
    run_from(folders[1].path(), gpu.clone(), &batches, &mut stopped);
    assert!(matches!(stopped.error, Some(Error::Interrupted { .. })), "{:?}", stopped.error);
    assert!(run_from(folders[1].path(), gpu, &batches, &mut resumed) == expected);
    assert_eq!([&stopped.losses[..], &resumed.losses].concat(), whole.losses);
    assert_eq!(resumed.records.last().unwrap().evaluation, whole.records.last().unwrap().evaluation);
    // What it has saved can be used without the device.
    let dir = CheckpointDir::open(folders[0].path(), NonZeroUsize::new(3).unwrap()).unwrap();
    let file: Checkpoint = dir.newest(|e| panic!("{e}")).unwrap().unwrap();
    let predictor = Predictor::open(file.path(), Arc::new(cpu())).unwrap();
    assert!(bits(predictor.params()) == expected);
}

#[test]
fn a_step_that_is_not_finite_is_named_and_changes_nothing() {
    let Some(gpu) = gpu() else { return };
    let mut batches = random_batches(&config(), 32, 16, 4, false);
    let good = Batches::new(batches.batches[..4].to_vec());
    batches.batches[4].dense[9] = f32::NAN;
    // Or the first step makes parameters huge. Which number of a layer overflows first depends on the order of its sums.
    let (exploding, untouched) = ((UpdateRule::Sgd, 1e37), random_batches(&config(), 32, 16, 4, false));
    for (rule, batches, parts) in [((UpdateRule::ADAM, 0.01), &batches, 9), (exploding, &untouched, 2)] {
        let make = |backend: Arc<dyn Backend>| trainer(backend, &config(), rule, TrainOptions::default());
        let (mut here, mut there) = (make(Arc::new(cpu())), make(gpu.clone()));
        let expected = run(&mut here, batches, None, Log::default());
        let log = run(&mut there, batches, None, Log::default());
        let said =
            |error: Option<Error>| error.unwrap().to_string().split(": ").take(parts).collect::<Vec<_>>().join(": ");
        assert_eq!(said(log.error), said(expected.error));
        assert_eq!((log.losses.len(), there.steps()), (expected.losses.len(), here.steps()));
        if rule.0 == UpdateRule::ADAM {
            assert_eq!(there.steps(), 4);
            let mut before = make(gpu.clone());
            run(&mut before, &good, None, Log::default());
            assert!(bits(there.params()) == bits(before.params()), "parameters are those before the step");
        }
    }
    sound(&gpu);
}

#[test]
fn a_step_is_left_out_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let mut batches = random_batches(&config(), 32, 24, 4, false);
    for at in [5, 6, 11, 23] {
        batches.batches[at].dense[9] = f32::NAN;
    }
    for accumulate in [1, 2] {
        let options = TrainOptions { on_nan: OnNan::Skip, accumulate, ..TrainOptions::default() };
        let ends = [gpu.clone() as Arc<dyn Backend>, Arc::new(cpu())].map(|backend| {
            let mut trainer = trainer(backend, &config(), (UpdateRule::ADAGRAD, 0.05), options);
            let log = run(&mut trainer, &batches, None, Log::default());
            (log.losses, log.skipped, trainer.steps(), trainer.skips())
        });
        let [(losses, skipped, steps, skips), expected] = ends;
        close("losses", &losses, &expected.0, 1e-5);
        assert_eq!((skipped.len(), skips.total), (4, 4));
        assert_eq!((skipped, steps, skips), (expected.1, expected.2, expected.3));
    }
}
