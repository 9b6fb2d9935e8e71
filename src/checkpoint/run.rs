//! What a file has beside a model if it is a checkpoint of a run.

use super::header::Entry;
use super::reader::Checkpoint;
use super::sum::crc;
use super::{NamedTensor, PIECE, RUN, STEP};
use crate::error::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ops::Range;

impl Checkpoint {
    /// Whether this is a checkpoint of a run, and not of a model alone.
    pub fn is_run(&self) -> bool {
        self.header.metadata.contains_key(RUN)
    }

    /// The step after which a run was saved.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the file is no checkpoint of a run.
    pub fn step(&self) -> Result<u64> {
        let step = self.header.metadata.get(STEP).filter(|_| self.is_run());
        let step = step.ok_or_else(|| self.fault("a model alone, expected a checkpoint of a run"))?;
        step.parse().map_err(|_| self.fault(format!("step \"{step}\", expected a number")))
    }

    /// Whether the model has this shape.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) that names the first field that is not the same, and both values.
    pub(crate) fn check_config(&self, config: &str) -> Result<()> {
        let here: Value = serde_json::from_str(config).expect("it is JSON");
        let there: Value = self.config()?;
        let empty = serde_json::Map::new();
        let [h, t] = [&here, &there].map(|value| value.as_object().unwrap_or(&empty));
        let differs = h.keys().chain(t.keys()).find(|key| h.get(*key) != t.get(*key));
        let text = |value: Option<&Value>| value.map_or("none".into(), Value::to_string);
        match differs {
            None if here == there => Ok(()),
            None => Err(self.fault(format!("a model of {there}, this run has {here}"))),
            Some(key) => {
                let (there, here) = (text(t.get(key)), text(h.get(key)));
                Err(self.fault(format!("a model with {key} {there}, that of this run has {here}")))
            }
        }
    }

    /// Reads the whole file, and compares it with its checksums.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) that names the first tensor that is damaged, or if there is no checksum;
    /// [`Error::Io`](crate::Error::Io).
    pub fn verify(&mut self) -> Result<()> {
        for tensor in self.all_tensors()? {
            let all = self.remainder(&tensor, 0..tensor.numbers())?;
            self.check_sum(&tensor.name, crc(all, tensor.bytes()))?;
        }
        Ok(())
    }

    /// All tensors of the file, if each has a checksum.
    pub(super) fn all_tensors(&self) -> Result<Vec<NamedTensor<()>>> {
        if !self.has_checksums() {
            return Err(self.fault("no checksums of its header and of each tensor in the metadata"));
        }
        let tensor = |(name, entry): (&String, &Entry)| NamedTensor::whole(name, entry.shape.clone(), ());
        Ok(self.header.in_order().into_iter().map(tensor).collect())
    }

    /// Reads some numbers of a tensor; returns what they add to its checksum.
    pub(super) fn remainder(&mut self, tensor: &NamedTensor<()>, numbers: Range<usize>) -> Result<u32> {
        let mut sum = self.seek(&tensor.name, numbers.start)?;
        let mut room = vec![0.0; numbers.len().min(PIECE)];
        for at in numbers.clone().step_by(PIECE) {
            self.next_piece(&tensor.name, at, &mut room[..PIECE.min(numbers.end - at)], &mut sum)?;
        }
        Ok(sum.remainder(tensor.bytes()))
    }

    /// What the run said about itself.
    pub(crate) fn run<T: DeserializeOwned>(&self) -> Result<T> {
        self.step()?;
        serde_json::from_str(&self.header.metadata[RUN])
            .map_err(|e| self.fault(format!("the metadata's \"run\" is not that of this program ({e})")))
    }
}
