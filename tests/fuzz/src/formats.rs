//! Datasets of others.

use dlrm::data::binary::RowFile;
use dlrm::data::formats::{mlperf as of_mlperf, npz as of_npz, torchrec};
use std::fs;
use std::path::Path;

/// Reads what `write` puts into a folder; what is made of it is whole, or not there.
fn read(write: impl FnOnce(&Path), read: impl FnOnce(&Path, &Path) -> dlrm::Result<()>) {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let output = folder.path().join("rows.dlrm");
    match read(folder.path(), &output) {
        Ok(()) => RowFile::open(&output).and_then(|rows| rows.verify()).expect("a whole dataset"),
        Err(_) => assert!(!output.exists(), "a dataset of a mistake"),
    }
}

/// The reference's archive.
pub fn npz(bytes: &[u8]) {
    let write = |folder: &Path| fs::write(folder.join("a.npz"), bytes).expect("a file");
    read(write, |folder, output| of_npz::read(&[folder.join("a.npz")], output));
}

/// MLPerf's rows.
pub fn mlperf(bytes: &[u8]) {
    let write = |folder: &Path| fs::write(folder.join("a.bin"), bytes).expect("a file");
    read(write, |folder, output| of_mlperf::read(&[folder.join("a.bin")], output));
}

/// TorchRec's three arrays: the first byte says which of them the others are, beside two good ones of two rows.
pub fn npy(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else { return };
    let arrays = [("dense", "<f4", 13), ("sparse", "<i4", 26), ("labels", "<i4", 1)];
    let write = |folder: &Path| {
        for (i, (name, descr, columns)) in arrays.into_iter().enumerate() {
            let array = if i == usize::from(which % 3) { bytes.to_vec() } else { array(descr, columns) };
            fs::write(folder.join(format!("a_{name}.npy")), array).expect("a file");
        }
    };
    read(write, |folder, output| torchrec::read(&[folder.join("a")], output));
}

/// Two rows of zeros.
fn array(descr: &str, columns: usize) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, {columns}), }}");
    header.extend(std::iter::repeat_n(' ', 117 - header.len()));
    header.push('\n');
    let zeros = vec![0; 8 * columns];
    [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), &zeros].concat()
}
