//! Steps whose losses are looked at together.
//!
//! To look at a loss on a device is to wait until it is there, and to give the device nothing to do until the next step
//! comes. So the losses of some steps are kept on the device, each with whether its step was finite, and looked at
//! together. A step that is not finite switches off its own update and all after it, in the device: when it is seen, the
//! parameters are those before it. From there on the same batches are trained on once more, each with a look of its own,
//! which says what is wrong, and may leave the step out. So whoever runs and watches it sees the same as if each step had
//! been looked at at once, only later.

use super::options::Stop;
use super::run::{Around, Run};
use super::trainer::Trainer;
use crate::batch::Batch;
use crate::data::source::Position;
use crate::error::Result;
use crate::nn::Model;
use crate::parameters::Norms;
use crate::tensor::Tensor;

/// Batches that were trained on, and whose losses nobody has looked at.
pub(super) struct Window {
    /// The most batches, those of whole steps; with 1 each is looked at at once.
    room: usize,
    /// The batches, and those of earlier windows.
    batches: Vec<Batch>,
    /// What there was after each of them.
    after: Vec<After>,
    /// Steps before the first, and the norms of the last gradient.
    steps: u64,
    norms: Option<Norms>,
    /// The loss of each batch, then of each whether it or one before was not finite.
    ledger: Tensor,
    /// One number, not 0 if a loss or a gradient was not finite.
    found: Tensor,
}

/// What there is after a batch.
struct After {
    position: Position,
    norms: Option<Norms>,
}

impl Window {
    /// Room for at most `looks` batches, `accumulate` a step. A step of more is looked at batch by batch.
    pub fn new(looks: usize, accumulate: u64) -> Self {
        let room = usize::try_from(accumulate).map_or(1, |batches| (looks - looks % batches).max(1));
        Window {
            room,
            batches: std::iter::repeat_with(Batch::default).take(room).collect(),
            after: Vec::with_capacity(room),
            steps: 0,
            norms: None,
            ledger: Tensor::zeros(&[1, 2 * room]),
            found: Tensor::zeros(&[1]),
        }
    }
}

impl<M: Model> Trainer<M> {
    /// Trains on what is left of a pass, or until a test says to stop.
    pub(super) fn train_pass(
        &mut self,
        run: &mut Run,
        around: &mut Around<'_>,
        window: &mut Window,
    ) -> Result<Option<Stop>> {
        loop {
            let at = window.after.len();
            let next = around.train.next_batch(&mut window.batches[at]);
            if !matches!(next, Ok(true)) {
                let stop = self.look(run, around, window)?;
                return next.map(|_| stop);
            }
            let position = around.train.position();
            // After a step that was left out, another may have begun in the middle of a window.
            let at_once = window.room == 1 || (at == 0 && self.pending.batches > 0);
            let stop = match at_once {
                true => self.train_on(&window.batches[0], position, run, around)?,
                false => self.train_unseen(position, run, around, window)?,
            };
            if stop.is_some() {
                return Ok(stop);
            }
        }
    }

    /// Trains on the next batch of the window without a look, unless it is time for one.
    fn train_unseen(
        &mut self,
        position: Position,
        run: &mut Run,
        around: &mut Around<'_>,
        window: &mut Window,
    ) -> Result<Option<Stop>> {
        self.measure_gradient_norms(around.observer.wants_gradient_norms(self.steps + 1));
        if let Err(error) = self.step_unseen(window) {
            // Those before it come first.
            self.look(run, around, window)?;
            return Err(error);
        }
        window.after.push(After { position, norms: self.norms });
        let is_full = window.after.len() == window.room;
        if is_full || (self.pending.batches == 0 && around.is_due(self.steps)) {
            return self.look(run, around, window);
        }
        if self.pending.batches == 0 {
            self.params.backend().submit();
        }
        Ok(None)
    }

    /// A [`step`](Self::step) that nobody looks at.
    fn step_unseen(&mut self, window: &mut Window) -> Result<()> {
        let Window { room, batches, after, steps, norms, ledger, found } = window;
        let (at, backend) = (after.len(), self.params.backend().clone());
        if at == 0 {
            (*steps, *norms) = (self.steps, self.norms);
            found.copy_from_slice(&[0.0]);
        }
        let loss = self.forward(&batches[at])?;
        self.backward(loss);
        let loss = self.tape.value(loss);
        backend.check_finite(1.0, loss, found);
        self.grads.check_finite(&*backend, found);
        backend.put_columns(loss, at, ledger);
        backend.put_columns(found, *room + at, ledger);
        if self.pending.batches == self.options.accumulate {
            self.update_unless(Some(found));
        }
        Ok(())
    }

    /// Looks at the losses in the window, tells of them, and does what is due after the last. If a step was not finite,
    /// goes back to before it, and on from there with a look at each batch.
    fn look(&mut self, run: &mut Run, around: &mut Around<'_>, window: &mut Window) -> Result<Option<Stop>> {
        let Window { room, batches, after, steps, norms, ledger, .. } = window;
        let Some(After { position, .. }) = after.last() else { return Ok(None) };
        let (losses, found) = ledger.as_slice().split_at(*room);
        self.params.backend().status()?;
        let (len, last, accumulate) = (after.len(), *position, self.options.accumulate);
        let good = found[..len].iter().position(|&found| found != 0.0).unwrap_or(len);
        for (i, &loss) in losses[..good].iter().enumerate() {
            self.skips.in_a_row = 0;
            self.steps = *steps + (i as u64 + 1) / accumulate;
            self.norms = after[i].norms;
            run.pass.add(loss, batches[i].len());
            around.observer.on_step(&run.pass.progress(self, loss));
        }
        if good == len {
            after.clear();
            return self.after_batch(last, run, around);
        }
        // The gradients of a step are those of all its batches.
        let first = good - good % accumulate as usize;
        self.go_back(*steps + first as u64 / accumulate, first.checked_sub(1).map_or(*norms, |i| after[i].norms));
        for batch in &batches[first..good] {
            self.step(batch)?;
        }
        for (batch, After { position, .. }) in batches.iter().zip(after.drain(..)).skip(good) {
            if let Some(stop) = self.train_on(batch, position, run, around)? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    /// To after step `steps`, where the parameters are.
    fn go_back(&mut self, steps: u64, norms: Option<Norms>) {
        (self.steps, self.norms) = (steps, norms);
        self.optimizer.set_steps(steps);
        self.pending = Default::default();
    }
}

#[cfg(test)]
mod tests;
