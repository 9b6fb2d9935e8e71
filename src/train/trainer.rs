//! A model with all that changes while it learns, and its steps.

use super::guard::Skips;
use super::options::TrainOptions;
use super::state::Resumed;
use crate::backend::{Dropout, LossKind};
use crate::batch::Batch;
use crate::data::source::BatchSource;
use crate::error::{Error, Result};
use crate::gradients::{Gradients, Reduction};
use crate::metrics::{Evaluation, Evaluator, Score};
use crate::nn::Model;
use crate::ops;
use crate::optim::schedule::LrPolicy;
use crate::optim::{LearningRates, Optimizer, UpdateRule};
use crate::parameters::{Norms, Parameters};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// A model with all that changes while it learns: what the paper's experiments (section 5) have in hand.
#[derive(Debug)]
pub struct Trainer<M> {
    pub(super) model: M,
    pub(super) params: Parameters,
    pub(super) grads: Gradients,
    pub(super) tape: Tape,
    pub(super) optimizer: Optimizer,
    pub(super) policy: LrPolicy,
    pub(super) loss: LossKind,
    pub(super) options: TrainOptions,
    pub(super) steps: u64,
    pub(super) pending: Pending,
    /// What the next run goes on from.
    pub(super) resumed: Option<Box<Resumed>>,
    pub(super) skips: Skips,
    /// Of how many batches the losses are looked at together, at most.
    pub(super) looks: usize,
    /// One number, not 0 if a gradient of this step is not finite.
    found: Tensor,
    /// Whether to measure the norms of the next gradient, and those of the last one if they were measured.
    pub(super) measure_norms: bool,
    pub(super) norms: Option<Norms>,
    /// Gradients that are being summed over ranks.
    pub(super) reduction: Reduction,
    /// What went wrong between ranks where nobody could be told.
    pub(super) failure: Option<Error>,
    /// Whether somebody asks for the end of the run; with ranks, whether somebody has asked any of them.
    pub(super) interrupted: bool,
}

/// The batches of a step that is not done yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Samples of the last forward pass, of all ranks.
    last: usize,
    /// Batches whose gradients are there, samples of the first of them, and of all.
    pub(super) batches: u64,
    first: usize,
    samples: usize,
    /// Whether the gradients are sums over all ranks.
    pub(super) reduced: bool,
}

impl Pending {
    /// Each loss is a mean: weighed by samples, so that the sum over the batches becomes one.
    pub(super) fn weight(&self) -> f32 {
        self.last as f32 / self.first as f32
    }
}

impl<M: Model> Trainer<M> {
    /// Before the first step.
    pub fn new(model: M, params: Parameters, rule: UpdateRule, policy: LrPolicy, loss: LossKind) -> Self {
        // Ranks look at each step together.
        let looks = if model.shards().is_some() { 1 } else { params.backend().steps_between_looks() };
        Trainer {
            model,
            grads: Gradients::new(&params),
            tape: Tape::new(params.backend().clone()),
            looks,
            optimizer: Optimizer::new(rule, &params),
            params,
            policy,
            loss,
            options: TrainOptions::default(),
            steps: 0,
            pending: Pending::default(),
            resumed: None,
            skips: Skips::default(),
            found: Tensor::zeros(&[1]),
            measure_norms: false,
            norms: None,
            reduction: Reduction::default(),
            failure: None,
            interrupted: false,
        }
    }

    /// The same with more than a rule.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is [out of its range](TrainOptions::validate).
    pub fn with_options(mut self, options: TrainOptions) -> Result<Self> {
        options.validate()?;
        self.options = options;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The parameters as they are now.
    pub fn params(&self) -> &Parameters {
        &self.params
    }

    /// Puts `params` in the place of the parameters, and returns those: to test the model with others, such as
    /// [quantized](Parameters::quantized) ones, with which no step can be taken.
    ///
    /// # Panics
    /// If there are not as many as before.
    pub fn replace_params(&mut self, params: Parameters) -> Parameters {
        let numbers = |p: &Parameters| [p.dense().len(), p.tables().len()];
        assert_eq!(numbers(&params), numbers(&self.params), "replace_params: dense parameters and tables");
        std::mem::replace(&mut self.params, params)
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether the steps from here on measure the norms of their gradients. It changes no bit of the steps.
    pub fn measure_gradient_norms(&mut self, wanted: bool) {
        self.measure_norms = wanted;
    }

    /// The norms of the gradient of the last step, before it was clipped, if they were to be measured.
    pub fn gradient_norms(&self) -> Option<Norms> {
        self.norms
    }

    /// One step: forward, loss, backward, update. Returns the loss before the update. If a step has
    /// [several batches](TrainOptions::accumulate), the update comes with the last of them. Where the model is one that
    /// [several ranks](Model::shards) train, all take the step together, each with its own samples, of which there may be
    /// none; the loss is that of all.
    ///
    /// A device is waited for twice, for the loss and for the gradients; [`train`](Self::train) waits once in many steps.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit, [`Error::Diverged`] if the loss or a gradient is not finite;
    /// the parameters are then as before, and the next batch begins another step. [`Error::Device`] if the device has
    /// failed, [`Error::Rank`] if another rank has.
    pub fn step(&mut self, batch: &Batch) -> Result<f32> {
        let loss = self.forward(batch)?;
        if self.model.shards().is_some() {
            return self.step_together(batch, loss);
        }
        let value = self.tape.value(loss).as_slice()[0];
        self.params.backend().status()?;
        if !value.is_finite() {
            return Err(self.diverged(batch, loss, false).expect("the loss is a value on the tape"));
        }
        self.backward(loss);
        let found = self.found_in_gradients();
        self.params.backend().status()?;
        if found && let Some(error) = self.diverged(batch, loss, true) {
            return Err(error);
        }
        self.skips.in_a_row = 0;
        if self.pending.batches == self.options.accumulate {
            self.update();
        }
        Ok(value)
    }

    /// Whether a gradient is not finite.
    pub(super) fn found_in_gradients(&mut self) -> bool {
        self.found.copy_from_slice(&[0.0]);
        self.grads.check_finite(&**self.params.backend(), &mut self.found);
        self.found.as_slice()[0] != 0.0
    }

    /// The first third of a [`step`](Self::step): the loss of `batch`, on the tape; with ranks, of this one's samples.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit, or has no sample to take a mean over. [`Error::Rank`] if another rank
    /// has failed.
    pub fn forward(&mut self, batch: &Batch) -> Result<Var> {
        if batch.is_empty() && self.model.shards().is_none() {
            return Err(Error::Batch("no sample".into()));
        }
        let TrainOptions { dropout, dropout_seed, .. } = self.options;
        let before = self.pending.samples as u64;
        let masks = (dropout > 0.0).then(|| Dropout::new(dropout, dropout_seed, self.steps + 1, before));
        let logits = self.logits(batch, masks)?;
        self.ranks_status()?;
        self.pending.last = self.model.shards().map_or(batch.len(), |shards| shards.samples());
        if self.pending.last == 0 {
            return Err(Error::Batch("no sample on any rank".into()));
        }
        let labels = self.tape.input(&[batch.len()], &batch.labels);
        Ok(ops::loss(&mut self.tape, self.loss, logits, labels))
    }

    /// The second third: the gradient of every parameter, added to those of earlier batches of the same step.
    pub fn backward(&mut self, loss: Var) {
        self.params.backend().phase("backward");
        let pending = &mut self.pending;
        if pending.batches == 0 {
            self.grads.clear();
            (pending.first, pending.samples) = (pending.last, 0);
        }
        let Trainer { tape, params, grads, reduction, .. } = self;
        match self.model.shards() {
            None => tape.backward_from(loss, &[pending.weight()], params, grads),
            Some(shards) => {
                let is_last = pending.batches + 1 == self.options.accumulate;
                let seed = shards.share() * pending.weight();
                tape.backward_telling(loss, &[seed], params, grads, |id, grads| {
                    if is_last {
                        reduction.add(id, grads, shards.comm());
                    }
                });
            }
        }
        pending.batches += 1;
        pending.samples += pending.last;
    }

    /// The last third: the optimizer's step, with the gradient of the mean loss over all samples since the last one.
    pub fn update(&mut self) {
        self.update_unless(None);
        self.params.backend().submit();
    }

    /// The same, unless that one number is not 0; the caller submits it.
    pub(super) fn update_unless(&mut self, unless: Option<&Tensor>) {
        self.params.backend().phase("update");
        if let Err(error) = self.finish_gradients() {
            self.failure = Some(error);
            return;
        }
        self.steps += 1;
        let dense = self.policy.lr(self.steps);
        let sparse = self.options.sparse_lr.map_or(dense, |lr| dense * (lr / self.policy.base));
        let rates = LearningRates { dense: dense as f32, sparse: sparse as f32 };
        self.optimizer.step_unless(unless, &mut self.params, &self.grads, rates);
    }

    /// Makes of the sums of gradients what the optimizer takes.
    fn finish_gradients(&mut self) -> Result<()> {
        self.finish_reduction()?;
        let backend = self.params.backend().clone();
        let Pending { batches, first, samples, .. } = std::mem::take(&mut self.pending);
        if batches > 1 {
            self.grads.scale(&*backend, first as f32 / samples as f32);
        }
        let clip = self.options.clip_norm;
        let norms = (self.measure_norms || clip.is_some()).then(|| self.grads.norms(&*backend));
        let norms = norms.map(|norms| self.norms_of_all(norms)).transpose()?;
        self.norms = norms.filter(|_| self.measure_norms);
        if let (Some(max_norm), Some(norms)) = (clip, norms) {
            self.grads.clip(&*backend, max_norm, norms);
        }
        if self.options.l2_embeddings > 0.0 {
            self.grads.add_l2_embeddings(&self.params, self.options.l2_embeddings);
        }
        Ok(())
    }

    /// The update of a step that has begun, at the end of a pass.
    pub(super) fn finish_step(&mut self) -> Result<()> {
        if self.pending.batches > 0 {
            self.update();
        }
        self.ranks_status()
    }

    fn logits(&mut self, batch: &Batch, dropout: Option<Dropout>) -> Result<Var> {
        self.model.check(batch)?;
        self.params.backend().phase("forward");
        self.tape.clear();
        self.tape.set_dropout(dropout);
        let logits = self.model.forward(&mut self.tape, &self.params, batch);
        Ok(self.options.logit_bound().map_or(logits, |bound| ops::clamp(&mut self.tape, logits, bound)))
    }

    /// The logits of a batch (`B`); `σ` of them are the probabilities. With ranks those of this one's samples, while the
    /// others do the same.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit, [`Error::Device`] if the device has failed.
    pub fn predict(&mut self, batch: &Batch) -> Result<&[f32]> {
        let logits = self.logits(batch, None)?;
        let logits = self.tape.value(logits).as_slice();
        self.params.backend().status()?;
        Ok(logits)
    }

    /// The figures of the model on all samples of `source`, with ranks on those of all, the same on each.
    ///
    /// # Errors
    /// If the source cannot be read or a batch does not fit; [`Error::Diverged`] if a logit is NaN or infinite.
    pub fn evaluate(&mut self, source: &mut dyn BatchSource) -> Result<Evaluation> {
        Ok(self.score(source)?.finish())
    }

    /// The scores of all samples of `source`, for more than the figures.
    ///
    /// # Errors
    /// If the source cannot be read or a batch does not fit.
    pub fn score(&mut self, source: &mut dyn BatchSource) -> Result<Evaluator> {
        let mut evaluator = Evaluator::new(Score::Logit);
        let (mut batch, mut scores) = (Batch::default(), [Vec::new(), Vec::new()]);
        source.start_epoch(0)?;
        while source.next_batch(&mut batch)? {
            let mine = self.predict(&batch)?;
            scores.iter_mut().zip([mine, &batch.labels]).for_each(|(all, mine)| mine.clone_into(all));
            self.gather(&mut scores)?;
            let [logits, labels] = &scores;
            if !logits.iter().all(|x| x.is_finite()) {
                return Err(self.no_logits(&batch)?);
            }
            evaluator.push(logits, labels);
        }
        Ok(evaluator)
    }
}
