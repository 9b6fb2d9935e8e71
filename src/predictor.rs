//! A model that no longer learns.

use crate::backend::Backend;
use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::nn::{Dlrm, DlrmConfig, Model};
use crate::ops;
use crate::parameters::Parameters;
use crate::tape::{Tape, Var};
use std::path::Path;
use std::sync::Arc;

/// A model with its parameters, and the room for what it computes: forward alone. After the first batch of the largest
/// size nothing is allocated.
///
/// Of large batches a loop is best within [`Backend::scope`], which keeps the threads awake.
#[derive(Debug)]
pub struct Predictor<M> {
    model: M,
    params: Parameters,
    tape: Tape,
}

impl Predictor<Dlrm> {
    /// The model of a [checkpoint](crate::checkpoint).
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`] and [`Checkpoint::read`].
    pub fn open(path: impl AsRef<Path>, backend: Arc<dyn Backend>) -> Result<Self> {
        Predictor::read(&mut Checkpoint::open(path)?, backend)
    }

    /// The model of a checkpoint that is open.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub fn read(file: &mut Checkpoint, backend: Arc<dyn Backend>) -> Result<Self> {
        let config: DlrmConfig = file.config()?;
        let (model, params) = file.read(backend, |params, stream| Dlrm::new(&config, params, stream))?;
        Ok(Predictor::new(model, params))
    }
}

impl<M: Model> Predictor<M> {
    /// A model and what it has learned.
    pub fn new(model: M, params: Parameters) -> Self {
        let tape = Tape::new(params.backend().clone());
        Predictor { model, params, tape }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// What it has learned.
    pub fn params(&self) -> &Parameters {
        &self.params
    }

    /// The logit of each sample (`B`). Labels are not looked at, but there must be as many as samples.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) if the batch does not fit, [`Error::Device`](crate::Error::Device) if the
    /// device has failed.
    pub fn logits(&mut self, batch: &Batch) -> Result<&[f32]> {
        let logits = self.forward(batch)?;
        self.look(logits)
    }

    /// The probability of a click of each sample (`B`), `σ` of the logit.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) if the batch does not fit, [`Error::Device`](crate::Error::Device) if the
    /// device has failed.
    pub fn probabilities(&mut self, batch: &Batch) -> Result<&[f32]> {
        let logits = self.forward(batch)?;
        let probabilities = ops::sigmoid(&mut self.tape, logits);
        self.look(probabilities)
    }

    fn forward(&mut self, batch: &Batch) -> Result<Var> {
        self.model.check(batch)?;
        self.tape.clear();
        Ok(self.model.forward(&mut self.tape, &self.params, batch))
    }

    fn look(&self, var: Var) -> Result<&[f32]> {
        let values = self.tape.value(var).as_slice();
        self.params.backend().status()?;
        Ok(values)
    }
}
