//! What is read and what is written, by one command.

use dlrm::{Error, Result};
use std::path::{Path, PathBuf};

/// Whether no file that is written is one that is read, or written as something else too.
pub fn check_apart<'a>(
    read: impl IntoIterator<Item = &'a Path>,
    written: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let mut places: Vec<PathBuf> = read.into_iter().filter_map(place).collect();
    for path in written {
        let Some(place) = place(path) else { continue };
        if places.contains(&place) {
            return Err(Error::file(path, "given twice, expected another file to write"));
        }
        places.push(place);
    }
    Ok(())
}

/// A file without the ways there are to name it; none for what is no plain file, and can be given twice.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(place) = path.canonicalize() {
        return place.is_file().then_some(place);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}
