//! What happens to a step whose loss or gradient is not finite.
//!
//! A step looks at its loss, which is one number, and at each gradient once, before the update. Only if one of them is NaN
//! or infinite it goes looking for where that came from ([`Fault`]): in the batch; in the values on the tape, which are
//! still there; in a second backward pass. Nothing has changed then: parameters and the optimizer's state are those of
//! the step before.

use super::trainer::Trainer;
use crate::batch::Batch;
use crate::error::{Error, Fault, Pass, Result};
use crate::nn::Model;
use crate::tape::{self, Var};

/// Steps that may be left out one after the other: more are no accident.
pub const MAX_SKIPS_IN_A_ROW: u64 = 10;

/// What to do about a step whose loss or gradient is not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnNan {
    /// The run ends with [`Error::Diverged`].
    #[default]
    Stop,
    /// The step is left out: neither parameters nor the optimizer's state nor the number of steps change, and the next
    /// batch begins another step. If a step has [several batches](super::TrainOptions::accumulate), those of it that
    /// came before are left out with it. After [`MAX_SKIPS_IN_A_ROW`] the run ends all the same.
    Skip,
}

/// How many steps were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skips {
    /// In the whole run.
    pub total: u64,
    /// Since the last one that was not.
    pub in_a_row: u64,
}

impl<M: Model> Trainer<M> {
    /// Steps that were [left out](OnNan::Skip) so far.
    pub fn skips(&self) -> Skips {
        self.skips
    }

    /// What is wrong with the step that has just computed `loss` of `batch`, backward too if `back`; the step is over
    /// then. Nothing if all is finite after all.
    pub(super) fn diverged(&mut self, batch: &Batch, loss: Var, back: bool) -> Option<Error> {
        let mut fault = in_batch(batch).or_else(|| self.tape.forward_fault(&self.params));
        if fault.is_none() && back {
            fault = self.tape.backward_fault(loss, &[self.pending.weight()], &self.params);
            fault = fault.or_else(|| tape::in_sums(&self.params, &self.grads));
        }
        let fault = fault?;
        self.pending = Default::default();
        Some(Error::Diverged { step: self.steps + 1, skipped: self.skips.in_a_row, fault: Box::new(fault) })
    }

    /// What is wrong with the logits that were just computed of `batch`, on this rank or another.
    ///
    /// # Errors
    /// [`Error::Rank`] if a rank has ended.
    pub(super) fn no_logits(&self, batch: &Batch) -> Result<Error> {
        let fault = in_batch(batch).or_else(|| self.tape.forward_fault(&self.params));
        let fault = Box::new(self.agree_on_fault(fault)?.expect("logits are a value on the tape"));
        Ok(Error::Diverged { step: self.steps, skipped: 0, fault })
    }

    /// Leaves out the step that ended with `error`, if it is [one to leave out](OnNan::Skip).
    ///
    /// # Errors
    /// `error`, if it is not.
    pub(super) fn skip(&mut self, error: Error) -> Result<Error> {
        let may = self.options.on_nan == OnNan::Skip && self.skips.in_a_row < MAX_SKIPS_IN_A_ROW;
        if !may || !matches!(error, Error::Diverged { .. }) {
            return Err(error);
        }
        self.skips.total += 1;
        self.skips.in_a_row += 1;
        Ok(error)
    }
}

/// The first number of a batch that is not finite.
pub(super) fn in_batch(batch: &Batch) -> Option<Fault> {
    let first = |values: &[f32]| values.iter().copied().enumerate().find(|(_, x)| !x.is_finite());
    let fault = |number, value| {
        Some(Fault { pass: Pass::Input, operator: "the batch".into(), parameter: None, row: None, number, value })
    };
    if let Some((i, value)) = first(&batch.dense) {
        let (sample, feature) = (i / batch.dense_features, i % batch.dense_features);
        return fault(format!("dense feature {feature} of sample {sample}"), value);
    }
    let (sample, value) = first(&batch.labels)?;
    fault(format!("the label of sample {sample}"), value)
}
