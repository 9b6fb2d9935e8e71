//! Steps that several ranks take together.
//!
//! Each rank computes the mean loss of its own samples and takes its share of it back, so that the sums over the ranks are
//! the loss and the gradients of the whole batch. The gradients of dense parameters are summed while the backward pass
//! still runs: as soon as those of some layers are whole, in buckets, the top MLP's first. At its end the ranks tell one
//! another in one more exchange what each has to say of the step ([`Word`]), and take the same decisions from there on.

use super::state::Setting;
use super::trainer::Trainer;
use crate::comm::{Communicator, numbers};
use crate::error::{Error, Fault, Result};
use crate::nn::{Model, ShardedEmbeddings};
use crate::parameters::Norms;
use crate::tape::Var;
use crate::{Batch, tape};

/// What a rank has to say of a step; the sum over all ranks is what holds.
struct Word {
    /// Its share of the loss.
    loss: f32,
    /// Whether a number was not finite.
    found: bool,
    /// Whether somebody asks for the end of the run.
    interrupted: bool,
    /// Whether somebody wants the norms of the gradient.
    norms: bool,
}

impl Word {
    /// The sum of what all say.
    fn of_all(self, comm: &Communicator) -> Result<Self> {
        let mut word = [self.loss, f32::from(self.found), f32::from(self.interrupted), f32::from(self.norms)];
        comm.all_reduce(&mut word)?;
        let [loss, found, interrupted, norms] = word;
        Ok(Word { loss, found: found > 0.0, interrupted: interrupted > 0.0, norms: norms > 0.0 })
    }
}

impl<M: Model> Trainer<M> {
    /// The rest of a step that the other ranks take too, after the forward pass. Returns the loss of all samples.
    pub(super) fn step_together(&mut self, batch: &Batch, loss: Var) -> Result<f32> {
        let share = self.shards().share();
        // A rank without samples has no loss.
        let mine = if share > 0.0 { share * self.tape.value(loss).as_slice()[0] } else { 0.0 };
        self.backward(loss);
        if self.pending.batches == self.options.accumulate {
            self.finish_reduction()?;
        }
        let found = self.found_in_gradients();
        self.ranks_status()?;
        let word = Word { loss: mine, found, interrupted: self.interrupted, norms: self.measure_norms };
        let Word { loss, found, interrupted, norms } = word.of_all(self.shards().comm())?;
        (self.interrupted, self.measure_norms) = (interrupted, norms);
        if (found || !loss.is_finite())
            && let Some(error) = self.diverged_together(batch)?
        {
            return Err(error);
        }
        self.skips.in_a_row = 0;
        if self.pending.batches == self.options.accumulate {
            self.update();
        }
        Ok(loss)
    }

    /// Whether all ranks are to do the same, as far as `settings` say.
    pub(super) fn agree_on(&self, settings: &[Setting]) -> Result<()> {
        let Some(shards) = self.model().shards() else { return Ok(()) };
        let lines: Vec<_> = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        shards.comm().agree("run", &lines.join("\n"))
    }

    fn shards(&self) -> &ShardedEmbeddings {
        self.model().shards().expect("ranks train a model of shards")
    }

    /// Makes the gradients of dense parameters sums over all ranks, if there are ranks, and if they are not yet.
    pub(super) fn finish_reduction(&mut self) -> Result<()> {
        let Trainer { model, reduction, grads, pending, .. } = self;
        let Some(shards) = model.shards().filter(|_| !pending.reduced) else { return Ok(()) };
        pending.reduced = true;
        reduction.finish(grads, shards.comm())
    }

    /// Whether all that the ranks exchanged so far came to its end.
    pub(super) fn ranks_status(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)?;
        self.model().shards().map_or(Ok(()), ShardedEmbeddings::status)
    }

    /// What is wrong with a step, the same on each rank. None makes another backward pass, as it would have to be all.
    fn diverged_together(&mut self, batch: &Batch) -> Result<Option<Error>> {
        let here = super::guard::in_batch(batch).or_else(|| self.tape.forward_fault(&self.params));
        let here = here.or_else(|| tape::in_sums(&self.params, &self.grads));
        let fault = self.agree_on_fault(here)?;
        self.pending = Default::default();
        let (step, skipped) = (self.steps + 1, self.skips.in_a_row);
        Ok(fault.map(|fault| Error::Diverged { step, skipped, fault: Box::new(fault) }))
    }

    /// Of what the ranks have found wrong, that which went wrong first; without ranks, what was found.
    pub(super) fn agree_on_fault(&self, here: Option<Fault>) -> Result<Option<Fault>> {
        let Some(shards) = self.model().shards() else { return Ok(here) };
        let said = serde_json::to_vec(&here).expect("a fault is JSON");
        let said = shards.comm().all_gather(&said)?;
        let faults = (0..said.len()).map(|rank| {
            let fault = serde_json::from_slice::<Option<Fault>>(said.part(rank));
            let fault = fault.map_err(|e| Error::Rank { rank, message: format!("said what is no fault: {e}") })?;
            Ok(fault.map(|fault| Fault { number: format!("{} on rank {rank}", fault.number), ..fault }))
        });
        let faults = faults.collect::<Result<Vec<_>>>()?;
        // What went wrong first, and with a name.
        Ok(faults.into_iter().flatten().min_by_key(|fault| (fault.pass, fault.parameter.is_none())))
    }

    /// Makes of this rank's logits and labels those of all ranks' samples, in their order.
    pub(super) fn gather(&self, scores: &mut [Vec<f32>; 2]) -> Result<()> {
        let Some(shards) = self.model().shards() else { return Ok(()) };
        let all = shards.comm().all_gather(bytemuck::cast_slice(&scores.concat()))?;
        scores.iter_mut().for_each(Vec::clear);
        for rank in 0..all.len() {
            let (logits, labels) = all.part(rank).split_at(all.part(rank).len() / 2);
            for (scores, bytes) in scores.iter_mut().zip([logits, labels]) {
                scores.extend(numbers(bytes));
            }
        }
        Ok(())
    }

    /// Norms of the gradients of all ranks' rows, given those of this rank's.
    pub(super) fn norms_of_all(&self, norms: Norms) -> Result<Norms> {
        let Some(shards) = self.model().shards() else { return Ok(norms) };
        let all = shards.comm().all_gather(&norms.embeddings.powi(2).to_ne_bytes())?;
        let squares = all.all().as_chunks::<8>().0.iter().map(|&square| f64::from_ne_bytes(square));
        Ok(Norms { embeddings: squares.sum::<f64>().sqrt(), ..norms })
    }
}
