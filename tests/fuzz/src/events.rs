//! Event files of TensorBoard.

use dlrm::watch::EventReader;

/// A file as it is, and a file whose second record has these bytes, with checksums that hold.
pub fn events(bytes: &[u8]) {
    read(bytes);
    // The file's version: number 3 of an event, a text.
    let version = [&[0x1a, 13][..], b"brain.Event:2"].concat();
    read(&[record(&version), record(bytes)].concat());
}

fn read(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("a file");
    let Ok(events) = EventReader::open(file.path()) else { return };
    // An event has a byte at least, and so has each record around it.
    assert!(events.count() <= bytes.len() / 16 + 1, "more events than there are bytes for");
}

fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), data, &masked_crc(data)].concat()
}

/// CRC-32C bit by bit, as records have it.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    let crc = !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit));
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}
