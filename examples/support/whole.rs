//! Files that get their name when they are whole.

use dlrm::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file in the making, under a name of its own beside the one it gets in the end. What is a device or a pipe is written
/// as it is.
pub struct Whole {
    file: BufWriter<File>,
    path: PathBuf,
    /// Until it has its name.
    part: Option<PathBuf>,
}

impl Whole {
    pub fn create(path: &Path) -> Result<Whole> {
        let name = path.file_name().filter(|_| !path.is_dir());
        let name = name.ok_or_else(|| Error::file(path, "not the name of a file, expected one to write"))?;
        let is_special = path.metadata().is_ok_and(|meta| !meta.is_file());
        let part = (!is_special).then(|| {
            let mut part = std::ffi::OsString::from(".");
            part.push(name);
            part.push(format!(".{}.part", std::process::id()));
            path.with_file_name(part)
        });
        let file = File::create(part.as_deref().unwrap_or(path)).map_err(|e| Error::io(path, e))?;
        Ok(Whole { file: BufWriter::new(file), path: path.to_owned(), part })
    }

    /// Gives it its name.
    pub fn finish(mut self) -> Result<()> {
        self.named().map_err(|e| Error::io(&self.path, e))
    }

    fn named(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let Some(part) = &self.part else { return Ok(()) };
        self.file.get_ref().sync_all()?;
        fs::rename(part, &self.path)?;
        self.part = None;
        Ok(())
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            let _ = fs::remove_file(part); // nothing is lost but room
        }
    }
}
