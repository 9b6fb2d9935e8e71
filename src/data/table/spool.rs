//! Rows that wait on the disk until all are known.

use super::schema::TableSchema;
use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Bytes read or written at a time.
const BUFFER: usize = 1 << 20;

/// The name of a file that is gone when it is no longer needed.
pub(super) struct Temporary(pub PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // it may have another name by now; if not, nothing is lost but room
    }
}

/// A file of rows.
pub(super) struct Spool {
    path: Temporary,
    file: BufWriter<File>,
    pub rows: u64,
}

impl Spool {
    pub fn create(path: PathBuf) -> Result<Spool> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|e| Error::io(&path, e))?;
        Ok(Spool { path: Temporary(path), file: BufWriter::with_capacity(BUFFER, file), rows: 0 })
    }

    /// Appends the words of a row.
    pub fn push(&mut self, words: &[u32]) -> Result<()> {
        self.rows += 1;
        self.file.write_all(bytemuck::cast_slice(words)).map_err(|e| Error::io(&self.path.0, e))
    }

    /// Calls `f` with the words of the first `rows` rows.
    pub fn for_each(
        &mut self,
        schema: &TableSchema,
        rows: u64,
        mut f: impl FnMut(&mut [u32]) -> Result<()>,
    ) -> Result<()> {
        self.file.flush().map_err(|e| Error::io(&self.path.0, e))?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(&self.path.0, e))?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let mut words = vec![0; schema.row_words().max(1)];
        for _ in 0..rows {
            read_row(&mut file, schema.row_words(), &mut words).map_err(|e| Error::io(&self.path.0, e))?;
            f(&mut words)?;
        }
        Ok(())
    }
}

/// The next row, of `row_words` words, or of so many as it says if that is 0.
fn read_row(file: &mut impl Read, row_words: usize, words: &mut Vec<u32>) -> io::Result<()> {
    if row_words > 0 {
        return file.read_exact(bytemuck::cast_slice_mut(words));
    }
    file.read_exact(bytemuck::cast_slice_mut(&mut words[..1]))?;
    words.resize(words[0] as usize, 0);
    file.read_exact(bytemuck::cast_slice_mut(&mut words[1..]))
}
