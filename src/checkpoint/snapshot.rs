//! A copy of everything that a checkpoint of a run holds.

use super::{CONFIG, NamedTensor, RUN, STEP, VOCABULARY, crc_text, writer};
use crate::backend::Backend;
use crate::buffer::Buffer;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Copies of tensors, in memory that is kept from one save to the next: 4 bytes a number, as long as the run lasts.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    metadata: BTreeMap<String, String>,
    tensors: Vec<Copied>,
}

#[derive(Debug, Default)]
struct Copied {
    name: String,
    shape: Vec<u64>,
    values: Buffer,
}

/// The model that a run trains.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// Its shape, in JSON.
    pub config: String,
    /// Checksum of its rows' vocabulary.
    pub vocabulary: Option<u32>,
}

impl About {
    /// A model of this shape, trained on rows of this vocabulary.
    ///
    /// # Panics
    /// If `config` cannot be JSON.
    pub fn new(config: &impl Serialize, vocabulary: Option<u32>) -> About {
        let config = serde_json::to_string(config).expect("a configuration is numbers, names and lists of them");
        About { config, vocabulary }
    }
}

impl Snapshot {
    /// Says what the copies are of.
    ///
    /// # Panics
    /// If `run` cannot be JSON.
    pub fn describe(&mut self, about: &About, step: u64, run: &impl Serialize) {
        let run = serde_json::to_string(run).expect("numbers and text");
        let texts = [(CONFIG, about.config.clone()), (RUN, run), (STEP, step.to_string())];
        self.metadata = texts.map(|(name, text)| (name.into(), text)).into();
        self.metadata.extend(about.vocabulary.map(|crc| (VOCABULARY.into(), crc_text(crc))));
    }

    /// Copies all tensors, on the threads of `backend`. The first time takes several times as long, since the system has
    /// to find the memory.
    ///
    /// # Panics
    /// If there is no memory left.
    pub fn copy<'a>(&mut self, backend: &dyn Backend, tensors: impl Iterator<Item = NamedTensor<'a>>) {
        let mut count = 0;
        for (i, tensor) in tensors.enumerate() {
            if i == self.tensors.len() {
                self.tensors.push(Copied::default());
            }
            let Copied { name, shape, values } = &mut self.tensors[i];
            (*name, *shape) = (tensor.name, tensor.shape);
            values.resize(tensor.values.len());
            backend.copy(tensor.values, values.as_mut_slice());
            count = i + 1;
        }
        self.tensors.truncate(count);
    }

    /// Writes them as a whole file.
    pub fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .map(|Copied { name, shape, values }| NamedTensor {
                name: name.clone(),
                shape: shape.clone(),
                values: values.as_slice(),
            })
            .collect();
        writer::write(file, self.metadata.clone(), &tensors)
    }
}
