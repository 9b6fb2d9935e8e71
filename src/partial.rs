//! Files that get their name when they are whole.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
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
    /// [`Error::File`] if `output` can be no file's name.
    pub fn beside(output: &Path, what: &str) -> Result<Partial> {
        let name = output.file_name().filter(|_| !output.is_dir());
        let name = name.ok_or_else(|| Error::file(output, "not the name of a file, expected one to write"))?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(format!(".{}.{what}", std::process::id()));
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
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    rename().map_err(|e| Error::io(to, e))
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It may never have been made, or it has its name.
        let _ = fs::remove_file(&self.path);
    }
}
