//! TensorBoard's event files: what was written is read back, files follow one another, and what is damaged is refused.
//! That TensorBoard reads the same is in `tests/tensorboard_events.py`.

use dlrm::watch::{EventReader, EventWriter, Histogram, Value, What};
use dlrm::{Error, Result};
use std::fs;
use std::path::Path;

/// Two steps of a run.
fn write(folder: &Path) -> EventWriter {
    let mut writer = EventWriter::create(folder, 0).unwrap();
    writer.scalars(10, &[("train/loss", 0.5), ("train/lr", 0.1)]).unwrap();
    writer.histogram(20, "tables/emb_l.0.weight", Histogram::of(&[-1.0, 0.0, 3.0])).unwrap();
    writer
}

fn read(path: &Path) -> Result<Vec<(i64, What)>> {
    EventReader::open(path)?.map(|event| event.map(|e| (e.step, e.what))).collect()
}

#[test]
fn what_was_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let writer = write(&dir.path().join("runs/first"));
    let expected = [
        (1, What::Version("brain.Event:2".into())),
        (1, What::Start),
        (10, What::Summary(vec![("train/loss".into(), Value::Scalar(0.5)), ("train/lr".into(), Value::Scalar(0.1))])),
        (
            20,
            What::Summary(vec![(
                "tables/emb_l.0.weight".into(),
                Value::Histogram(Box::new(Histogram::of(&[-1.0, 0.0, 3.0]))),
            )]),
        ),
    ];
    // Each event is in the file as soon as it was written: the writer is still there.
    assert_eq!(read(writer.path()).unwrap(), expected);
    let times: Vec<f64> = EventReader::open(writer.path()).unwrap().map(|e| e.unwrap().wall_time).collect();
    assert!(times.is_sorted() && times[0] > 1.7e9, "{times:?}");
}

#[test]
fn a_run_that_goes_on_has_a_file_after_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let ahead = dir.path().join("events.out.tfevents.9999999990.elsewhere.1.0");
    fs::write(&ahead, "of a machine whose clock is ahead").unwrap();
    let mut paths = vec![ahead];
    for steps in [0, 500] {
        let writer = EventWriter::create(dir.path(), steps).unwrap();
        assert_eq!(read(writer.path()).unwrap()[1], (steps as i64 + 1, What::Start));
        paths.push(writer.path().to_owned());
    }
    assert!(paths.is_sorted(), "{paths:?}");
}

#[test]
fn every_cut_and_a_flipped_bit_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(write(dir.path()).path()).unwrap();
    let path = dir.path().join("damaged");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        match read(&path) {
            Err(Error::File { message, .. }) => Ok(message),
            other => Err(other),
        }
    };
    // Where a record ends the file is one of fewer events.
    let mut ends = vec![];
    while ends.last() != Some(&whole.len()) {
        let at = ends.last().copied().unwrap_or(0);
        ends.push(at + 16 + u64::from_le_bytes(whole[at..at + 8].try_into().unwrap()) as usize);
    }
    assert_eq!(ends.len(), 4);
    for cut in (0..whole.len()).filter(|cut| !ends.contains(cut)) {
        let message = refused(&whole[..cut]).unwrap_or_else(|events| panic!("{cut}: {events:?}"));
        let expected = if cut == 0 { "no event, expected an event file" } else { "cut short: " };
        assert!(message.contains(expected), "{cut}: {message}");
    }
    for byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << (byte % 8);
        let message = refused(&flipped).unwrap_or_else(|events| panic!("{byte}: {events:?}"));
        assert!(message.starts_with("damaged: the "), "{byte}: {message}");
    }
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "no event file at all").unwrap();
    let expected = format!("{}: damaged: the length has another checksum, in the record at byte 0", path.display());
    assert_eq!(read(&path).unwrap_err().to_string(), expected);
    let none = dir.path().join("none");
    assert!(matches!(read(&none), Err(Error::Io { .. })));
    fs::write(&none, "").unwrap();
    assert!(matches!(EventWriter::create(&none, 0), Err(Error::Io { .. })), "a file is no folder");
}
