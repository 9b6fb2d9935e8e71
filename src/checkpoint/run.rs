//! What a file has beside a model if it is a checkpoint of a run.

use super::reader::Checkpoint;
use super::{PIECE, RUN, STEP};
use crate::error::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
        if !self.has_checksums() {
            return Err(self.fault("no checksums of its header and of each tensor in the metadata"));
        }
        let tensors: Vec<(String, u64)> =
            self.header.in_order().into_iter().map(|(name, entry)| (name.clone(), entry.numbers())).collect();
        let longest = tensors.iter().map(|&(_, numbers)| numbers as usize).max().unwrap_or(0);
        let mut room = vec![0.0; longest.min(PIECE)];
        for (name, numbers) in tensors {
            let (mut sum, numbers) = (self.seek(&name)?, numbers as usize);
            for at in (0..numbers).step_by(PIECE) {
                self.next_piece(&name, at, &mut room[..PIECE.min(numbers - at)], &mut sum)?;
            }
            self.check_sum(&name, sum)?;
        }
        Ok(())
    }

    /// What the run said about itself.
    pub(crate) fn run<T: DeserializeOwned>(&self) -> Result<T> {
        self.step()?;
        serde_json::from_str(&self.header.metadata[RUN])
            .map_err(|e| self.fault(format!("the metadata's \"run\" is not that of this program ({e})")))
    }

    /// Reads a tensor that has to be there.
    pub(crate) fn read_tensor(&mut self, name: &str, shape: &[u64], to: &mut [f32]) -> Result<()> {
        let found = self.header.tensors.get(name).map(|entry| &entry.shape);
        match found {
            None => Err(self.fault(format!("no tensor {name}, expected one of shape {shape:?}"))),
            Some(found) if found != shape => {
                Err(self.fault(format!("tensor {name} has shape {found:?}, expected {shape:?}")))
            }
            Some(_) => self.fill(name, to).map(drop),
        }
    }
}
