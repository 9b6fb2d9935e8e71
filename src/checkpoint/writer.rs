//! Parameters to a file.

use super::header::{Entry, Header};
use super::{CONFIG, NUMBERS, PIECE, VOCABULARY, crc_text, dense_shape, table_shape};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::partial::Partial;
use crc32fast::Hasher;
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;

/// Writes every parameter of a model, with its `config` and the checksum of the vocabulary it was trained on, if
/// there is one. The file gets its name when it is whole and on the disk; until then an earlier one stays.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] if `path` can be no file's name.
///
/// # Panics
/// If `config` cannot be JSON.
pub fn save(path: &Path, params: &Parameters, config: &impl Serialize, vocabulary: Option<u32>) -> Result<()> {
    let mut header = Header::default();
    let config = serde_json::to_string(config).expect("a configuration is numbers, names and lists of them");
    header.metadata.insert(CONFIG.into(), config);
    // As long as what will be there.
    header.metadata.insert(NUMBERS.into(), crc_text(0));
    header.metadata.extend(vocabulary.map(|crc| (VOCABULARY.into(), crc_text(crc))));
    let mut end = 0;
    for (name, shape, _) in tensors(params) {
        let entry = Entry::at(end, shape);
        end = entry.data_offsets[1];
        header.tensors.insert(name.into(), entry);
    }
    Partial::written(path, |file| {
        let io = |e| Error::io(path, e);
        file.write_all(&header.encode()).map_err(io)?;
        let mut sum = Hasher::new();
        for piece in tensors(params).flat_map(|(_, _, values)| values.chunks(PIECE)) {
            let bytes = bytemuck::cast_slice(piece);
            sum.update(bytes);
            file.write_all(bytes).map_err(io)?;
        }
        header.metadata.insert(NUMBERS.into(), crc_text(sum.finalize()));
        file.rewind().and_then(|()| file.write_all(&header.encode())).map_err(io)
    })?
    .publish()
}

/// Tables, then dense parameters, each with its shape and its numbers.
fn tensors(params: &Parameters) -> impl Iterator<Item = (&str, Vec<u64>, &[f32])> {
    let tables = params.tables().iter().map(|t| (t.name(), table_shape(t), t.values()));
    let dense = params.dense().iter().map(|p| (p.name(), dense_shape(p), p.value().as_slice()));
    tables.chain(dense)
}

/// Whether a checkpoint can be written to `path`: worth knowing before hours of training.
///
/// # Errors
/// What [`save`] would say.
pub fn check_path(path: &Path) -> Result<()> {
    let partial = Partial::beside(path, "part")?;
    File::create(partial.path()).map(drop).map_err(|e| Error::io(path, e))
}
