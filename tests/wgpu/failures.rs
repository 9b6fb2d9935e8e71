//! A device that is lost, or too small.

use crate::support::open;
use crate::training::{Batches, Log, config, random_batches, run, trainer};
use dlrm::backend::{Backend, Beta, WgpuOptions};
use dlrm::checkpoint::{self, CheckpointDir};
use dlrm::optim::UpdateRule;
use dlrm::train::{Checkpoints, Schedule, TrainOptions};
use dlrm::{Error, Parameters, Predictor, Tensor};
use std::num::NonZeroUsize;
use std::process::Command;

#[track_caller]
fn lost<T>(result: dlrm::Result<T>) {
    match result {
        Err(Error::Device(line)) => assert!(line.contains("closed") && line.lines().count() == 1, "{line}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it went well"),
    }
}

#[test]
fn a_lost_device_ends_a_run_and_leaves_what_was_saved() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    let batches = random_batches(&config(), 32, 40, 4, false);
    let mut trainer = trainer(gpu.clone(), &config(), (UpdateRule::ADAGRAD, 0.05), TrainOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let dir = CheckpointDir::open(folder.path(), NonZeroUsize::new(9).unwrap()).unwrap();
    let mut checkpoints = Checkpoints::new(dir, &config(), None, Vec::new()).every(6);
    let device = gpu.clone();
    let before_step = move |step| {
        if step == 15 {
            device.close()
        }
    };
    let mut log = Log { before_step: Some(Box::new(before_step)), ..Log::default() };
    let (mut train, mut test) = (batches.clone(), Batches::new(batches.batches[..1].to_vec()));
    let schedule = Schedule { epochs: 1, test_freq: None };
    lost(trainer.train_with_checkpoints(&mut train, &mut test, schedule, &mut log, &mut checkpoints));
    drop(checkpoints);
    // Steps of which the losses came down before.
    assert_eq!(log.losses.len(), 12);
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter(|name| !name.starts_with('.')).collect();
    files.sort();
    assert_eq!(files, ["step-0000000006.safetensors", "step-0000000012.safetensors"]);
    let dir = CheckpointDir::open(folder.path(), NonZeroUsize::new(9).unwrap()).unwrap();
    assert_eq!(dir.newest(|e| panic!("{e}")).unwrap().unwrap().step().unwrap(), 12);

    lost(trainer.step(&batches.batches[0]));
    lost(trainer.evaluate(&mut test));
    lost(trainer.predict(&batches.batches[0]).map(drop));
    let log = run(&mut trainer, &batches, None, Log::default());
    lost(Err::<(), _>(log.error.unwrap()));
    let path = folder.path().join("model.safetensors");
    lost(checkpoint::save(&path, trainer.params(), &config(), None));
    assert!(!path.exists());
    let newest = dir.newest(|e| panic!("{e}")).unwrap().unwrap();
    let mut predictor = Predictor::open(newest.path(), gpu).unwrap();
    lost(predictor.logits(&batches.batches[0]).map(drop));
    lost(predictor.probabilities(&batches.batches[0]).map(drop));
}

#[test]
fn a_tensor_that_no_shader_can_see_is_an_error_with_both_sizes() {
    let Some(gpu) = open(&WgpuOptions { max_binding: Some(1 << 12), ..WgpuOptions::default() }) else { return };
    let (x, mut y) = (Tensor::zeros(&[1025]), Tensor::zeros(&[1025]));
    gpu.add_to(&x, &mut y, Beta::Zero);
    assert_eq!(y.as_slice().len(), 1025);
    let Err(Error::Device(line)) = gpu.status() else { panic!("it went well") };
    assert!(line.contains("4100 bytes") && line.contains("at most 4096") && line.lines().count() == 1, "{line}");
}

/// Set in the process that is to run out of memory.
const SHORT: &str = "DLRM_TEST_SHORT_OF_MEMORY";

#[test]
fn a_table_that_the_device_has_no_memory_for_is_an_error_that_names_it() {
    if open(&WgpuOptions::default()).is_none() {
        return;
    }
    let test = ["--exact", "failures::a_process_short_of_memory", "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(test).env(SHORT, "1").output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("no memory on the device for table wide (536870912 bytes"));
    assert!(line.is_some(), "{text}");
}

/// What that process does; in the one that starts it, nothing.
#[test]
fn a_process_short_of_memory() {
    if std::env::var_os(SHORT).is_none() {
        return;
    }
    let gpu = open(&WgpuOptions::default()).unwrap();
    let (rows, dim) = (1 << 22, 32);
    let mut params = Parameters::new(gpu.clone());
    let table = params.add_table("wide", rows, dim);
    // The software adapter's memory is this process's: half of the table fits once more.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kilobytes: usize = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--as={}", 1024 * kilobytes + 2 * rows * dim);
    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    gpu.fill_uniform(&mut params.tables_mut()[0], 1, -1.0, 1.0);
    let Err(Error::Device(line)) = gpu.status() else { panic!("it went well") };
    println!("{line}");
    // Whatever is asked of it afterwards is no panic.
    let mut sum = Tensor::zeros(&[1]);
    gpu.check_finite(1.0, &Tensor::zeros(&[100]), &mut sum);
    assert_eq!(sum.as_slice().len(), 1);
    assert_eq!(params.table(table).num_embeddings(), rows);
}
