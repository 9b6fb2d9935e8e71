//! Parameters to a file.

use super::header::{Entry, Header};
use super::{CONFIG, NUMBERS, NamedTensor, PIECE, VOCABULARY, crc_text, tensors};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::partial::Partial;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes every parameter of a model, with its `config` and the checksum of the vocabulary it was trained on, if
/// there is one. The file gets its name when it is whole and on the disk; until then an earlier one stays.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] if `path` can be no file's name; [`Error::Device`] if the device has failed that
/// the parameters were on.
///
/// # Panics
/// If `config` cannot be JSON.
pub fn save(path: &Path, params: &Parameters, config: &impl Serialize, vocabulary: Option<u32>) -> Result<()> {
    let mut metadata = BTreeMap::new();
    let config = serde_json::to_string(config).expect("a configuration is numbers, names and lists of them");
    metadata.insert(CONFIG.into(), config);
    metadata.extend(vocabulary.map(|crc| (VOCABULARY.into(), crc_text(crc))));
    let tensors: Vec<_> = tensors(params).collect();
    params.backend().status()?;
    Partial::written(path, |file| write(file, metadata, &tensors).map_err(|e| Error::io(path, e)))?.publish()
}

/// Writes a whole file from front to back: the header with its checksums, which takes a look at all numbers, and the
/// numbers.
pub(super) fn write(
    file: &mut dyn Write,
    metadata: BTreeMap<String, String>,
    tensors: &[NamedTensor<'_>],
) -> io::Result<()> {
    let mut header = Header { metadata, ..Header::default() };
    let (mut end, mut sums) = (0, BTreeMap::new());
    for NamedTensor { name, shape, values } in tensors {
        let entry = Entry::at(end, shape.clone());
        end = entry.data_offsets[1];
        header.tensors.insert(name.clone(), entry);
        sums.insert(name, crc_text(crc32fast::hash(bytemuck::cast_slice(values))));
    }
    header.metadata.insert(NUMBERS.into(), serde_json::to_string(&sums).expect("names and checksums"));
    file.write_all(&header.sealed())?;
    for piece in tensors.iter().flat_map(|tensor| tensor.values.chunks(PIECE)) {
        file.write_all(bytemuck::cast_slice(piece))?;
    }
    Ok(())
}

/// Whether a checkpoint can be written to `path`: worth knowing before hours of training.
///
/// # Errors
/// What [`save`] would say.
pub fn check_path(path: &Path) -> Result<()> {
    let partial = Partial::beside(path, "part")?;
    File::create(partial.path()).map(drop).map_err(|e| Error::io(path, e))
}
