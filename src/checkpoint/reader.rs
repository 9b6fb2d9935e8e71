//! A file to parameters.

use super::header::{Entry, Header, MAX_LEN};
use super::sum::PartSum;
use super::{BEST, CONFIG, CRC_PREFIX, NUMBERS, NamedTensor, VOCABULARY, crc_text, is_state, parameters};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::nn::Model;
use crate::parameters::{DenseId, Parameters};
use crate::random::Stream;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A checkpoint that is open: its header was read, and its numbers are read by [`read`](Self::read).
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    pub(super) file: File,
    pub(super) header: Header,
    /// Checksum of the header's bytes.
    pub(super) header_sum: u32,
    sums: Sums,
    /// Where the numbers begin.
    pub(super) data_at: u64,
}

/// Checksums of the numbers.
#[derive(Debug)]
enum Sums {
    None,
    /// Of all tensors, in the order of the file.
    Whole(String),
    /// Of each tensor.
    Each(BTreeMap<String, String>),
}

impl Sums {
    fn of(header: &Header) -> Result<Sums, String> {
        match header.metadata.get(NUMBERS) {
            None => Ok(Sums::None),
            Some(sum) if sum.starts_with(CRC_PREFIX) => Ok(Sums::Whole(sum.clone())),
            Some(text) => serde_json::from_str(text)
                .map(Sums::Each)
                .map_err(|e| format!("the metadata's \"numbers\" are no checksums by tensor ({e})")),
        }
    }
}

impl Checkpoint {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::File`] if it is no safetensors file, is cut short, or holds other
    /// numbers than `F32`.
    pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = path.as_ref();
        let io = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut size = [0; 8];
        let no_header = || Error::file(path, "not a checkpoint, expected a safetensors file");
        if len < 8 {
            return Err(no_header());
        }
        file.read_exact(&mut size).map_err(io)?;
        let (size, rest) = (u64::from_le_bytes(size), len - 8);
        if size > MAX_LEN {
            return Err(no_header());
        }
        if size > rest {
            return Err(Error::file(path, format!("cut short: a header of {size} bytes, and {rest} are there")));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes).map_err(io)?;
        let fault = |message| Error::file(path, message);
        let header_sum = crc32fast::hash(&bytes);
        let header = Header::decode(&mut bytes, rest - size).map_err(fault)?;
        let sums = Sums::of(&header).map_err(fault)?;
        Ok(Checkpoint { path: path.to_owned(), file, header, header_sum, sums, data_at: 8 + size })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's shape.
    ///
    /// # Errors
    /// [`Error::File`] if there is none, or that of another kind of model.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        let text = self.header.metadata.get(CONFIG).ok_or_else(|| {
            self.fault(
                "no \"config\" in the metadata, expected the model's shape (examples/convert_checkpoint.py adds it)",
            )
        })?;
        serde_json::from_str(text)
            .map_err(|e| self.fault(format!("the metadata's \"config\" is not that of this model ({e})")))
    }

    /// Whether the model was trained on rows of this
    /// [checksum](crate::data::source::Samples::vocabulary_checksum). A model that came from elsewhere does not say.
    ///
    /// # Errors
    /// [`Error::File`] if it was trained on another one.
    pub fn check_vocabulary(&self, checksum: u32) -> Result<()> {
        match self.header.metadata.get(VOCABULARY) {
            Some(trained_on) if *trained_on != crc_text(checksum) => Err(self.fault(format!(
                "was trained on another vocabulary ({trained_on}), expected that of the rows ({})",
                crc_text(checksum)
            ))),
            _ => Ok(()),
        }
    }

    /// The model that `make` builds, with the numbers of the file for its parameters.
    ///
    /// `make` is called twice: for names and shapes alone, which are compared with those of the file, and, when all
    /// are there, for the model itself, with a [`Stream::none`] so that no memory is filled in vain.
    ///
    /// # Errors
    /// Those of `make`; [`Error::File`] that names the first tensor that is missing, in excess, of another shape or not
    /// finite, or if the numbers do not fit their checksum; [`Error::Io`]. Of a sharded model all ranks get the same,
    /// [`Error::Rank`] if it happened to one of them.
    pub fn read<M: Model>(
        &mut self,
        backend: Arc<dyn Backend>,
        make: impl Fn(&mut Parameters, &mut Stream) -> Result<M>,
    ) -> Result<(M, Parameters)> {
        // A configuration that is wrong is the file's.
        let make = |params: &mut Parameters| {
            make(params, &mut Stream::none()).map_err(|e| match e {
                Error::Config(message) => self.fault(message),
                e => e,
            })
        };
        let mut plan = Parameters::plan(backend.clone());
        let planned = make(&mut plan)?;
        let tensors = self.in_order(parameters(&plan, planned.shards()))?;
        let mut params = Parameters::new(backend);
        let model = make(&mut params)?;
        let tables = params.tables().len();
        self.fill(&tensors, model.shards().map(|shards| &**shards.comm()), |i, fill| match i.checked_sub(tables) {
            None => fill(params.tables_mut()[i].values_mut()),
            Some(dense) => params.update(DenseId(dense), |value| fill(value.as_mut_slice())),
        })?;
        Ok((model, params))
    }

    /// Whether a change of any byte of the file would be seen.
    pub(super) fn has_checksums(&self) -> bool {
        self.header.is_sealed() && matches!(self.sums, Sums::Each(_))
    }

    /// Reads the next numbers of a tensor, which begin with number `at`.
    pub(super) fn next_piece(&mut self, name: &str, at: usize, piece: &mut [f32], sum: &mut PartSum) -> Result<()> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(piece);
        self.file.read_exact(bytes).map_err(|e| Error::io(&self.path, e))?;
        sum.update(bytes);
        self.check_finite(name, at, piece)
    }

    /// Whether numbers of a tensor that begin with number `at` are numbers.
    pub(super) fn check_finite(&self, name: &str, at: usize, piece: &[f32]) -> Result<()> {
        match piece.iter().position(|x| !x.is_finite()) {
            // What an optimizer sums up may leave the range of numbers.
            Some(i) if !is_state(name) => {
                let (at, value) = (at + i, piece[i]);
                Err(self.fault(format!("number {at} of tensor {name} is {value}, expected a finite one")))
            }
            _ => Ok(()),
        }
    }

    /// Compares the checksum of a tensor that was read with the one in the metadata, if tensors have one each.
    pub(super) fn check_sum(&self, name: &str, sum: u32) -> Result<()> {
        let Sums::Each(sums) = &self.sums else { return Ok(()) };
        match sums.get(name) {
            None => Err(self.fault(format!("no checksum of tensor {name} in the metadata's \"numbers\""))),
            Some(expected) if *expected != crc_text(sum) => {
                Err(self.fault(format!("the numbers of tensor {name} are not those of its checksum: it is damaged")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Compares the checksum of all tensors, one after the other, with the one in the metadata, if there is one of all.
    pub(super) fn check_whole_sum(&self, sum: u32) -> Result<()> {
        match &self.sums {
            Sums::Whole(expected) if *expected != crc_text(sum) => {
                Err(self.fault("its numbers are not those of the checksum in its metadata: it is damaged"))
            }
            _ => Ok(()),
        }
    }

    /// The tensors of a model, in the order in which they lie in the file, which has no others but those of a run.
    fn in_order(&self, tensors: Vec<NamedTensor<usize>>) -> Result<Vec<NamedTensor<usize>>> {
        tensors.iter().try_for_each(|tensor| self.check_tensor(tensor))?;
        let names: BTreeSet<&str> = tensors.iter().map(|tensor| &tensor.name[..]).collect();
        let of_run = |name: &str| self.is_run() && (is_state(name) || name.starts_with(BEST));
        let others = self.header.in_order().into_iter().map(|(name, _)| name);
        if let Some(name) = others.into_iter().find(|name| !names.contains(&name[..]) && !of_run(name)) {
            return Err(self.fault(format!("a tensor {name}, which the model does not have")));
        }
        let mut tensors = tensors;
        tensors.sort_by_key(|tensor| self.header.tensors[&tensor.name].data_offsets);
        Ok(tensors)
    }

    /// Whether the file has this tensor.
    pub(crate) fn check_tensor<V>(&self, NamedTensor { name, shape, .. }: &NamedTensor<V>) -> Result<()> {
        match self.header.tensors.get(name) {
            None => Err(self.fault(format!("no tensor {name}, expected one of shape {shape:?}"))),
            Some(Entry { shape: found, .. }) if found != shape => {
                Err(self.fault(format!("tensor {name} has shape {found:?}, expected {shape:?}")))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Error {
        Error::file(&self.path, message)
    }
}
