//! A directory under faults: each call of the file system fails once, or the machine stops there.

mod ranks;

use super::super::files::{Disk, FileSystem, Output};
use super::super::{NamedTensor, writer};
use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// It fails, and those after it do not: a full disk, for a while.
    Once,
    /// Half of what was to be written is, then it fails.
    Half,
    /// It and all after it fail, and of what was not brought to the disk half is gone: the machine has stopped.
    Stop,
}

/// The disk with a fault at the `at`-th call, from 1.
#[derive(Debug)]
struct Faulty {
    calls: AtomicU64,
    at: u64,
    fault: Fault,
    unsynced: Mutex<Vec<PathBuf>>,
}

impl Faulty {
    fn new(at: u64, fault: Fault) -> Arc<Faulty> {
        Arc::new(Faulty { calls: AtomicU64::new(0), at, fault, unsynced: Mutex::default() })
    }

    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call < self.at || (call > self.at && self.fault != Fault::Stop) {
            return Ok(());
        }
        if self.fault == Fault::Stop {
            for path in self.unsynced.lock().unwrap().drain(..) {
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[derive(Debug, Clone)]
struct Shared(Arc<Faulty>);

struct FaultyFile(Box<dyn Output>, Arc<Faulty>, PathBuf);

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(e) = self.1.call() {
            if self.1.fault == Fault::Half {
                self.0.write_all(&bytes[..bytes.len() / 2])?;
            }
            return Err(e);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for FaultyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Output for FaultyFile {
    fn sync(&self) -> io::Result<()> {
        self.1.call()?;
        self.1.unsynced.lock().unwrap().retain(|path| *path != self.2);
        self.0.sync()
    }
}

impl FileSystem for Shared {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.0.call()?;
        self.0.unsynced.lock().unwrap().push(path.to_owned());
        Ok(Box::new(FaultyFile(Disk.create(path)?, self.0.clone(), path.to_owned())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.0.call()?;
        self.0.unsynced.lock().unwrap().push(path.to_owned());
        Ok(Box::new(FaultyFile(Disk.open(path)?, self.0.clone(), path.to_owned())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.call()?;
        Disk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.call()?;
        Disk.sync_dir(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.call()?;
        Disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.call()?;
        Disk.list(dir)
    }
}

const KEEP: NonZeroUsize = NonZeroUsize::new(2).unwrap();

fn dir(path: &Path, files: &Arc<Faulty>) -> Result<CheckpointDir> {
    CheckpointDir::with_files(path, KEEP, Arc::new(Shared(files.clone())), None)
}

/// A checkpoint of two tensors, longer than what is written at a time, whose numbers tell the step.
fn save(dir: &CheckpointDir, step: u64) -> Result<()> {
    let numbers = vec![step as f32; 300_000];
    let tensor = |name: &str, values: usize| NamedTensor::whole(name, vec![values as u64], &numbers[..values]);
    let metadata = [("step", step.to_string()), ("run", "{}".into())].map(|(name, text)| (name.into(), text));
    let tensors = [tensor("large", 300_000), tensor("small", 3)];
    dir.write(step, |file| writer::write(file, BTreeMap::from(metadata), &tensors))?;
    dir.prune(step, Some(1))
}

/// The step of the newest good checkpoint, whose numbers are those of the step. No file that has a name is refused.
fn newest(path: &Path) -> u64 {
    let dir = CheckpointDir::open(path, KEEP).unwrap();
    let names = Disk.list(path).unwrap();
    assert!(!names.iter().any(|name| name.ends_with(PART)), "{names:?}");
    let mut file = dir.newest(|e| panic!("{e}")).unwrap().expect("there is one");
    let step = file.step().unwrap();
    let mut numbers = vec![0.0; 300_000];
    let tensor = NamedTensor::whole("large", vec![300_000], 0);
    file.fill(&[tensor], None, |_, fill| fill(&mut numbers)).unwrap();
    assert!(numbers.iter().all(|&x| x == step as f32), "{step}");
    step
}

#[test]
fn whichever_call_fails_the_older_or_the_new_one_is_there() {
    let (mut failed, mut calls) = (0, 0);
    for fault in [Fault::Once, Fault::Half, Fault::Stop] {
        for at in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            let whole = CheckpointDir::open(path, KEEP).unwrap();
            [1, 2, 3].into_iter().for_each(|step| save(&whole, step).unwrap());
            fs::write(path.join(".step-0000000009.safetensors.part"), "left by a process that died").unwrap();
            drop(whole);
            // One process: it opens the directory, saves, and goes on with the next save.
            let files = Faulty::new(at, fault);
            let mut result = Vec::new();
            if let Ok(dir) = dir(path, &files) {
                result = [4, 5].into_iter().map(|step| save(&dir, step)).collect();
            }
            failed += result.iter().filter(|result| result.is_err()).count();
            let found = newest(path);
            let expected = match &result[..] {
                [_, Ok(())] => 5..=5,
                [Ok(()), Err(_)] => 4..=5,
                _ => 3..=5,
            };
            assert!(expected.contains(&found), "{fault:?} at call {at}: {found}, after {result:?}");
            for message in result.into_iter().filter_map(Result::err).map(|e| e.to_string()) {
                assert!(message.contains("no storage space") && message.contains(path.to_str().unwrap()), "{message}");
            }
            // The next process saves and loads as if nothing had happened; the best stays.
            save(&CheckpointDir::open(path, KEEP).unwrap(), 6).unwrap();
            assert_eq!(newest(path), 6);
            let steps = CheckpointDir::open(path, KEEP).unwrap().steps().unwrap();
            assert!(steps.len() == 3 && steps.starts_with(&[1]) && steps.ends_with(&[6]), "{steps:?}");
            if files.calls.load(Ordering::Relaxed) < at {
                calls = calls.max(at - 1);
                break;
            }
        }
    }
    assert!(calls >= 19 && failed >= 2 * 12, "{calls} calls, {failed} failures");
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dir = CheckpointDir::open(folder.path(), KEEP).unwrap();
    assert!(dir.newest(|e| panic!("{e}")).unwrap().is_none());
    for (step, expected) in [
        (1, &[1][..]),
        (5, &[1, 5]),
        (20, &[1, 5, 20]),
        (100, &[1, 20, 100]),
        (12_345_678_901, &[1, 100, 12_345_678_901]),
    ] {
        save(&dir, step).unwrap();
        assert_eq!(dir.steps().unwrap(), expected);
    }
    // What is later than the run is not its own, takes nobody's place and stays.
    save(&dir, 30).unwrap();
    assert_eq!(dir.steps().unwrap(), [1, 30, 100, 12_345_678_901]);
}

#[test]
fn what_is_not_whole_is_refused_by_name_and_the_one_before_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let dir = CheckpointDir::open(folder.path(), NonZeroUsize::new(9).unwrap()).unwrap();
    (1..=7).for_each(|step| save(&dir, step).unwrap());
    let change = |step: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(dir.file(step)).unwrap();
        change(&mut bytes);
        fs::write(dir.file(step), bytes).unwrap();
    };
    change(7, &|bytes| bytes.truncate(bytes.len() - 1));
    change(6, &|bytes| *bytes.last_mut().unwrap() ^= 1);
    change(5, &|bytes| bytes[600_000] ^= 1);
    change(4, &|bytes| *bytes = b"step 4 was good".to_vec());
    change(3, &|bytes| bytes.clear());
    fs::copy(dir.file(1), dir.file(2)).unwrap();
    fs::write(folder.path().join("step-8.safetensors"), "not a name of ours").unwrap();
    let mut refused = Vec::new();
    let found = dir.newest(|e| refused.push(e.to_string())).unwrap().unwrap();
    assert_eq!(found.step().unwrap(), 1);
    let expected = [
        (7, "cut short: "),
        (6, "the numbers of tensor small are not those of its checksum: it is damaged"),
        (5, "the numbers of tensor large are not those of its checksum: it is damaged"),
        (4, "not a checkpoint, expected a safetensors file"),
        (3, "not a checkpoint, expected a safetensors file"),
        (2, "of step 1, expected that of its name"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for (refused, (step, reason)) in refused.iter().zip(expected) {
        let name = dir.file(step).display().to_string();
        assert!(refused.starts_with(&name) && refused.contains(reason), "{refused}, expected {reason}");
    }
    fs::remove_file(dir.file(1)).unwrap();
    let message = dir.newest(|_| ()).unwrap_err().to_string();
    assert!(message.ends_with("none of the 6 checkpoints is good, expected one to go on from"), "{message}");
}

#[test]
fn a_directory_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("run");
    let first = CheckpointDir::open(&path, KEEP).unwrap();
    let message = CheckpointDir::open(&path, KEEP).unwrap_err().to_string();
    assert!(message.contains("another process that runs keeps its checkpoints there"), "{message}");
    drop(first);
    CheckpointDir::open(&path, KEEP).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let message = CheckpointDir::open(&file, KEEP).unwrap_err().to_string();
    assert!(message.starts_with(file.to_str().unwrap()), "{message}");
}
