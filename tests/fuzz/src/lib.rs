//! What is fuzzed: any bytes may give an error, none a panic. `tests/fuzz_seeds.rs` runs the same on the
//! kept seeds.

mod events;
mod flags;
mod formats;
mod models;

pub use events::events;
pub use flags::flags;
pub use formats::{mlperf, npy, npz};
pub use models::{checkpoint, config};

use dlrm::Batch;
use dlrm::data::binary::RowFile;
use dlrm::data::criteo::{BadRows, Labels, RowReader};
use dlrm::data::table::TableSchema;

/// Rows of text, in buffers small enough that lines cross their ends.
pub fn rows(bytes: &[u8]) {
    for labels in [Labels::Present, Labels::Absent] {
        let buffer = std::io::BufReader::with_capacity(16, bytes);
        let skipping = RowReader::new(buffer, "rows", labels, BadRows::Skip);
        let good = skipping.inspect(|row| assert!(row.is_ok(), "bad rows are skipped")).count();
        let stopping = RowReader::new(bytes, "rows", labels, BadRows::Stop).take_while(Result::is_ok).count();
        assert!(stopping <= good);
    }
}

/// A binary dataset, its checksum put right so that what is behind it is reached.
pub fn header(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(tail) = tail(&bytes) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..60]);
        crc.update(&bytes[tail..]);
        bytes[60..64].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &bytes).expect("a file");
    let Ok(dataset) = RowFile::open(file.path()) else { return };
    let _ = dataset.verify();
    let columns = dataset.header().schema.categorical.len();
    (0..columns).for_each(|column| drop(dataset.keys(column)));
    let _ = dataset.fill(0..dataset.rows().min(1000), &mut Batch::default());
}

/// Where what follows the rows begins.
fn tail(bytes: &[u8]) -> Option<usize> {
    let at = u64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?);
    usize::try_from(at).ok().filter(|&at| (64..=bytes.len()).contains(&at))
}

/// A schema.
pub fn schema(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = TableSchema::parse(text, "schema.toml");
    }
}
