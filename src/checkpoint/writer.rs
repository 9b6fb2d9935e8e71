//! Parameters to a file.

use super::files::Disk;
use super::header::{Entry, Header};
use super::ranks::agree;
use super::shared::SharedFile;
use super::{CONFIG, NUMBERS, NamedTensor, PIECE, VOCABULARY, crc_text, tensors};
use crate::error::{Error, Result};
use crate::nn::ShardedEmbeddings;
use crate::parameters::Parameters;
use crate::partial::{Partial, check_output};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

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
    let metadata = metadata(config, vocabulary);
    let tensors = tensors(params, None);
    params.backend().status()?;
    Partial::written(path, |file| write(file, metadata, &tensors).map_err(|e| Error::io(path, e)))?.publish()
}

/// The same of a model that several ranks train, in a file that they all write at once: rank 0 the MLPs, each rank its
/// `shards` of the tables. It has the bytes that [`save`] makes of the same numbers in one process. Every rank calls it,
/// with the same `path`, on a file system that all of them see.
///
/// # Errors
/// As [`save`], the same on all ranks: [`Error::Rank`] with the first rank that failed, and what happened there. Then
/// the file is not there, or the earlier one still is.
///
/// # Panics
/// If `config` cannot be JSON.
pub fn save_sharded(
    path: &Path,
    params: &Parameters,
    shards: &ShardedEmbeddings,
    config: &impl Serialize,
    vocabulary: Option<u32>,
) -> Result<()> {
    let tensors = tensors(params, Some(shards));
    let comm = shards.comm();
    let own_id = std::process::id().to_le_bytes().to_vec();
    let ready = params.backend().status().and_then(|()| check_output(path));
    let ids = agree(comm, ready.map(|()| own_id))?;
    let id = u32::from_le_bytes(ids[0][..].try_into().expect("of a number"));
    let partial = Partial::of_process(id, path, "part")?;
    let paths = [path, partial.path()];
    SharedFile::begin(comm, Arc::new(Disk), paths, metadata(config, vocabulary), &tensors)?.finish(comm, &tensors)
}

fn metadata(config: &impl Serialize, vocabulary: Option<u32>) -> BTreeMap<String, String> {
    let config = serde_json::to_string(config).expect("a configuration is numbers, names and lists of them");
    let mut metadata = BTreeMap::from([(CONFIG.into(), config)]);
    metadata.extend(vocabulary.map(|crc| (VOCABULARY.into(), crc_text(crc))));
    metadata
}

/// The header of these tensors, one after the other, with the checksum of each.
pub(super) fn header<V>(metadata: BTreeMap<String, String>, tensors: &[NamedTensor<V>], sums: &[u32]) -> Header {
    let mut header = Header { metadata, ..Header::default() };
    let (mut end, mut sum_of) = (0, BTreeMap::new());
    for (NamedTensor { name, shape, .. }, sum) in tensors.iter().zip(sums) {
        let entry = Entry::at(end, shape.clone());
        end = entry.data_offsets[1];
        header.tensors.insert(name.clone(), entry);
        sum_of.insert(name, crc_text(*sum));
    }
    header.metadata.insert(NUMBERS.into(), serde_json::to_string(&sum_of).expect("names and checksums"));
    header
}

/// Writes a whole file from front to back: the header with its checksums, which takes a look at all numbers, and the
/// numbers.
///
/// # Panics
/// If a tensor is not here as a whole.
pub(super) fn write(
    file: &mut dyn Write,
    metadata: BTreeMap<String, String>,
    tensors: &[NamedTensor<&[f32]>],
) -> io::Result<()> {
    let mut all: Vec<&[f32]> = Vec::new();
    for tensor in tensors {
        match tensor.parts[..] {
            [(_, values)] if tensor.is_whole() => all.push(values),
            _ => panic!("write: a part of {}", tensor.name),
        }
    }
    let sums: Vec<u32> = all.iter().map(|values| crc32fast::hash(bytemuck::cast_slice(values))).collect();
    file.write_all(&header(metadata, tensors, &sums).sealed())?;
    for piece in all.iter().flat_map(|values| values.chunks(PIECE)) {
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
