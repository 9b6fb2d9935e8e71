//! Files to chunks of whole lines.

use crate::data::criteo::lines::MAX_LINE;
use crate::data::criteo::zst::Frames;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

/// Bytes of text a chunk, or somewhat less: 16,000 of Criteo's rows.
const CHUNK: usize = 4 << 20;

/// Some whole lines of a file.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Which file.
    pub file: usize,
    /// Where the next chunk begins, in bytes of text.
    pub end: u64,
    pub text: Vec<u8>,
    /// Whether it is the last of its file.
    pub last: bool,
}

/// A place in the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub file: usize,
    /// Bytes of text.
    pub offset: u64,
}

/// Sends all chunks from `from` on, until there are none or nobody listens; `read` counts bytes of the files
/// themselves.
pub(super) fn send_chunks(paths: &[PathBuf], from: Place, read: &Arc<AtomicU64>, to: &SyncSender<Result<Chunk>>) {
    for (file, path) in paths.iter().enumerate().skip(from.file) {
        let offset = if file == from.file { from.offset } else { 0 };
        let sent = open(path, offset, read)
            .map_err(|e| Error::io(path, e))
            .and_then(|input| Cutter { input, file, offset, rest: Vec::new(), path }.send(to));
        match sent {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => return drop(to.send(Err(e))),
        }
    }
}

type Input = Box<dyn Read + Send>;

/// A file from some byte of its text on: plain, .gz or .zst, as its first bytes tell.
fn open(path: &Path, offset: u64, read: &Arc<AtomicU64>) -> io::Result<Input> {
    let mut file = BufReader::with_capacity(CHUNK / 4, Counted { file: File::open(path)?, read: read.clone() });
    let head = file.fill_buf()?;
    let mut input: Input = if head.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(file))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(Frames::new(file))
    } else {
        file.get_mut().file.seek(SeekFrom::Start(offset))?;
        read.fetch_add(offset, Ordering::Relaxed);
        return Ok(Box::new(file.into_inner()));
    };
    io::copy(&mut input.by_ref().take(offset), &mut io::sink())?;
    Ok(input)
}

/// A file whose bytes are counted.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(into)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Cuts a file's text behind newlines.
struct Cutter<'a> {
    input: Input,
    file: usize,
    /// Where `rest` ends.
    offset: u64,
    /// The beginning of a line.
    rest: Vec<u8>,
    path: &'a Path,
}

impl Cutter<'_> {
    /// Sends all chunks; false if nobody listens.
    fn send(mut self, to: &SyncSender<Result<Chunk>>) -> Result<bool> {
        loop {
            let mut text = std::mem::take(&mut self.rest);
            let room = CHUNK.saturating_sub(text.len()).max(MAX_LINE);
            let n = self.input.by_ref().take(room as u64).read_to_end(&mut text).map_err(|e| self.error(e))?;
            self.offset += n as u64;
            let last = n < room;
            if !last {
                match text.iter().rposition(|&b| b == b'\n') {
                    Some(at) => self.rest = text.split_off(at + 1),
                    // No row: what is left of the line is passed over, and its beginning will say so.
                    None => self.skip_line()?,
                }
            }
            let end = self.offset - self.rest.len() as u64;
            if to.send(Ok(Chunk { file: self.file, end, text, last })).is_err() {
                return Ok(false);
            }
            if last {
                return Ok(true);
            }
        }
    }

    /// Up to the end of a line of which a whole chunk was read.
    fn skip_line(&mut self) -> Result<()> {
        let mut piece = vec![0; MAX_LINE];
        loop {
            let n = match self.input.read(&mut piece) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                n => n.map_err(|e| self.error(e))?,
            };
            self.offset += n as u64;
            if let Some(at) = piece[..n].iter().position(|&b| b == b'\n') {
                self.rest.extend_from_slice(&piece[at + 1..n]);
                return Ok(());
            }
            if n == 0 {
                return Ok(());
            }
        }
    }

    /// A decompressor reports bad data by these kinds; the system never does for a file.
    fn error(&self, error: io::Error) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            UnexpectedEof | InvalidData | InvalidInput => {
                let after = self.offset;
                let message =
                    format!("the compressed data are cut short or corrupt after {after} bytes of text ({error})");
                Error::file(self.path, message)
            }
            _ => Error::io(self.path, error),
        }
    }
}
