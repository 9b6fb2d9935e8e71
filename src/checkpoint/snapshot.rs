//! A copy of everything that a checkpoint of a run holds.

use super::{CONFIG, NamedTensor, RUN, STEP, VOCABULARY, crc_text};
use crate::backend::Backend;
use crate::buffer::Buffer;
use serde::Serialize;
use std::collections::BTreeMap;

/// Copies of tensors, in memory that is kept from one save to the next: 4 bytes a number, as long as the run lasts.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    metadata: BTreeMap<String, String>,
    tensors: Vec<NamedTensor<usize>>,
    /// The numbers of each part of each tensor.
    values: Vec<Buffer>,
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
    pub fn copy(&mut self, backend: &dyn Backend, tensors: &[NamedTensor<&[f32]>]) {
        let Snapshot { tensors: names, values, .. } = self;
        let mut count = 0;
        let mut copy = |numbers: &&[f32]| {
            if count == values.len() {
                values.push(Buffer::default());
            }
            values[count].resize(numbers.len());
            backend.copy(numbers, values[count].as_mut_slice());
            count += 1;
            count - 1
        };
        *names = tensors.iter().map(|tensor| tensor.map(&mut copy)).collect();
        values.truncate(count);
    }

    /// The metadata of their file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The copies.
    pub fn tensors(&self) -> Vec<NamedTensor<&[f32]>> {
        self.tensors.iter().map(|tensor| tensor.map(|&i| self.values[i].as_slice())).collect()
    }
}
