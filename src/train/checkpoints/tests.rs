//! Ranks that save a run together, while they do something else.

use super::*;
use crate::backend::Cpu;
use crate::comm::{Communicator, threads};
use crate::data::source::Position;
use crate::train::Skips;
use crate::train::state::PassState;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

#[derive(Debug, Default, PartialEq)]
struct Told {
    saved: Vec<(u64, u64)>,
    failures: Vec<String>,
}

impl Observer for Told {
    fn on_save(&mut self, saved: &Saved) {
        self.saved.push((saved.step, saved.bytes));
    }

    fn on_save_failure(&mut self, error: &Error) {
        self.failures.push(error.to_string());
    }
}

fn state(steps: u64) -> RunState {
    let zero = Duration::ZERO;
    RunState {
        settings: [const { Vec::new() }; 3],
        steps,
        position: Position::default(),
        pass: PassState { epoch: 1, rows: 1, left_out: 0, loss_sum: 0.0, before: zero, trained: zero },
        waited: zero,
        records: Vec::new(),
        best: None,
        since_best: 0,
        skips: Skips::default(),
    }
}

/// Saves steps 10, 20, 30 and 40; between them there are steps without anything to save. `before` is called before each,
/// by rank 0, when no save is under way.
fn run(path: &Path, comm: Option<Arc<Communicator>>, before: impl Fn(u64)) -> Told {
    let keep = NonZeroUsize::new(2).unwrap();
    let rank = comm.as_ref().map_or(0, |comm| comm.rank());
    let dir = match comm.clone() {
        None => CheckpointDir::open(path, keep),
        Some(comm) => CheckpointDir::open_on_ranks(path, keep, comm),
    };
    let mut checkpoints = Checkpoints::new(dir.unwrap(), &(), None, Vec::new()).every(10);
    let (mut told, backend) = (Told::default(), Cpu::new(1));
    for step in 1..=43u64 {
        let values = [step as f32, 1.0, 2.0];
        if checkpoints.due(step) {
            checkpoints.finish(&mut told);
            if rank == 0 {
                before(step);
            }
            let tensors = [NamedTensor::whole("numbers", vec![3], &values[..])];
            checkpoints.save(&backend, &state(step), &tensors, &mut told).unwrap();
        } else {
            checkpoints.poll(&mut told);
        }
    }
    checkpoints.finish(&mut told);
    told
}

fn run_on(ranks: usize, path: &Path, before: impl Fn(u64) + Sync) -> Vec<Told> {
    std::thread::scope(|scope| {
        let before = &before;
        let of_rank = |transport| scope.spawn(move || run(path, Some(Arc::new(Communicator::new(transport))), before));
        let all: Vec<_> = threads(ranks).into_iter().map(of_rank).collect();
        all.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn files(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn ranks_save_what_one_saves_and_all_are_told() {
    let [one, many] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let expected = run(one.path(), None, |_| ());
    assert_eq!(expected.saved.iter().map(|&(step, _)| step).collect::<Vec<_>>(), [10, 20, 30, 40]);
    assert!(expected.failures.is_empty());
    for ranks in 1..=4 {
        for told in run_on(ranks, many.path(), |_| ()) {
            assert_eq!(told, expected, "{ranks}");
        }
        assert_eq!(files(many.path()), files(one.path()));
        for name in files(one.path()) {
            assert!(fs::read(many.path().join(&name)).unwrap() == fs::read(one.path().join(&name)).unwrap(), "{name}");
        }
    }
}

#[test]
fn a_save_that_fails_is_told_to_all_and_the_next_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let spoil = |step| match step {
        20 => fs::remove_dir_all(&path).unwrap(),
        30 => fs::create_dir(&path).unwrap(),
        _ => (),
    };
    let all = run_on(3, &path, spoil);
    assert!(all.iter().all(|told| *told == all[0]), "{all:?}");
    assert_eq!(all[0].saved.iter().map(|&(step, _)| step).collect::<Vec<_>>(), [10, 30, 40]);
    assert_eq!(all[0].failures.len(), 1);
    assert!(all[0].failures[0].starts_with("rank 0: "), "{:?}", all[0].failures);
    assert_eq!(files(&path), ["step-0000000030.safetensors", "step-0000000040.safetensors"]);
}
