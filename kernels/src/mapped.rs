//! Files as slices of bytes.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

/// A file's bytes, read by the system as they are looked at.
///
/// Whoever opens one says that nobody will write to the file or cut it short as long as it is open: a
/// write could be seen half done, and to read where the end was ends the process (`SIGBUS`).
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the whole of `file` as it is now.
    ///
    /// # Errors
    /// What the system said, such as for something that is not a plain file.
    pub fn new(file: &File) -> io::Result<MappedFile> {
        // SAFETY: the map is read only, and every value of its bytes is a valid one. That they do not change
        // and do not go away is the promise above: no such map could be made otherwise.
        unsafe { Mmap::map(file) }.map(MappedFile)
    }

    /// Asks the system to read these bytes soon. It does so while the caller goes on, and many such at once: that
    /// is what keeps a disk busy, where looking at the bytes would wait for one page after the other.
    ///
    /// # Panics
    /// If there are no such bytes.
    pub fn will_need(&self, bytes: Range<usize>) {
        assert!(bytes.end <= self.len(), "MappedFile: bytes {bytes:?} of {}", self.len());
        // A hint: where it cannot be given the bytes are read when they are looked at.
        #[cfg(unix)]
        let _ = self.0.advise_range(memmap2::Advice::WillNeed, bytes.start, bytes.len());
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
