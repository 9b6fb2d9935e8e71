//! Files that get their name when they are whole.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file under a name of its own beside `output`, removed when dropped unless it was published.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    output: PathBuf,
}

impl Partial {
    /// The name `.NAME.PID.what`; the file is not made yet.
    ///
    /// # Errors
    /// As [`check_output`].
    pub fn beside(output: &Path, what: &str) -> Result<Partial> {
        Partial::of_process(std::process::id(), output, what)
    }

    /// The same in another process.
    ///
    /// # Errors
    /// As [`check_output`].
    pub fn of_process(id: u32, output: &Path, what: &str) -> Result<Partial> {
        check_output(output)?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(output.file_name().unwrap_or_default());
        partial.push(format!(".{id}.{what}"));
        Ok(Partial { path: output.with_file_name(partial), output: output.to_owned() })
    }

    /// A file with what `write` puts into it, on the disk but not yet under its name.
    ///
    /// # Errors
    /// [`Error::Io`], and those of `write`.
    pub fn written(output: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<Partial> {
        let partial = Partial::beside(output, "part")?;
        let io = |e| Error::io(output, e);
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial.path).map_err(io)?);
        write(&mut file)?;
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(io)?;
        Ok(partial)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives a file that is on the disk its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish(self) -> Result<()> {
        publish(&self.path, &self.output)
    }
}

/// Gives a file that is whole and on the disk its name.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn publish(from: &Path, to: &Path) -> Result<()> {
    let rename = || {
        fs::rename(from, to)?;
        File::open(folder_of(to))?.sync_all()
    };
    rename().map_err(|e| Error::io(to, e))
}

/// The folder that a file is in.
pub(crate) fn folder_of(of: &Path) -> &Path {
    of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a file could be given the name `output`.
///
/// # Errors
/// [`Error::File`] if it can be no file's name, or is that of a device or a pipe, which the file would take the place of;
/// [`Error::Io`] if there is no such folder.
pub(crate) fn check_output(output: &Path) -> Result<()> {
    if output.file_name().is_none() || output.is_dir() {
        return Err(Error::file(output, "not the name of a file, expected one to write"));
    }
    if output.metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(Error::file(output, "a device or a pipe, expected the name of a file to write"));
    }
    let folder = fs::metadata(folder_of(output)).map_err(|e| Error::io(output, e))?;
    if folder.is_dir() { Ok(()) } else { Err(Error::io(output, io::ErrorKind::NotADirectory.into())) }
}

/// Whether none of `inputs` would be lost to `output`.
///
/// # Errors
/// [`Error::Config`] that names the one that would.
pub(crate) fn check_apart(inputs: &[PathBuf], output: &Path) -> Result<()> {
    let place = output.canonicalize().ok();
    match inputs.iter().find(|input| place.is_some() && input.canonicalize().ok() == place) {
        Some(input) => Err(Error::Config(format!("{} is both input and output, expected two files", input.display()))),
        None => Ok(()),
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It may never have been made, or it has its name.
        let _ = fs::remove_file(&self.path);
    }
}
