//! Event files read back.

use super::event::{Event, What};
use super::framing::{FOOTER, HEADER, masked_crc};
use super::writer::VERSION;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The events of a file, one after the other. Nothing is taken for an event unless both of its checksums hold, and no
/// more memory is taken than the file has bytes for. After an error there is no further event.
#[derive(Debug)]
pub struct EventReader {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    len: u64,
}

impl EventReader {
    /// The events of `path`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::File`] if it is no event file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let reader = |file| EventReader { path: path.to_owned(), file: BufReader::new(file), at: 0, len };
        match reader(file).next().transpose()? {
            Some(Event { what: What::Version(version), .. }) if version == VERSION => {}
            first => {
                let first = first.map_or("no event".into(), |event| format!("{:?} in front", event.what));
                return Err(Error::file(path, format!("{first}, expected an event file of TensorBoard, {VERSION}")));
            }
        }
        Ok(reader(File::open(path).map_err(io)?))
    }

    fn event(&mut self) -> Result<Event> {
        let start = self.at;
        let damaged = |path: &Path, what: &str| Error::file(path, format!("{what}, in the record at byte {start}"));
        let header: [u8; HEADER] = self.read(HEADER)?.try_into().expect("so many bytes");
        let [len, crc] = [&header[..8], &header[8..]];
        if masked_crc(len) != u32::from_le_bytes(crc.try_into().expect("4 bytes")) {
            return Err(damaged(&self.path, "damaged: the length has another checksum"));
        }
        let len = u64::from_le_bytes(len.try_into().expect("8 bytes"));
        let all = len.checked_add(FOOTER as u64).and_then(|all| usize::try_from(all).ok());
        let mut data = self.read(all.unwrap_or(usize::MAX))?;
        let crc = data.split_off(data.len() - FOOTER);
        if masked_crc(&data) != u32::from_le_bytes(crc.try_into().expect("4 bytes")) {
            return Err(damaged(&self.path, "damaged: the data has another checksum"));
        }
        Event::parse(&data).map_err(|what| damaged(&self.path, &what))
    }

    fn read(&mut self, len: usize) -> Result<Vec<u8>> {
        let left = self.len - self.at;
        if len as u64 > left {
            let message = format!("cut short: {left} bytes from byte {} on, expected {len}", self.at);
            return Err(Error::file(&self.path, message));
        }
        let mut bytes = vec![0; len];
        self.file.read_exact(&mut bytes).map_err(|e| Error::io(&self.path, e))?;
        self.at += len as u64;
        Ok(bytes)
    }
}

impl Iterator for EventReader {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.len {
            return None;
        }
        let event = self.event();
        if event.is_err() {
            self.at = self.len;
        }
        Some(event)
    }
}
