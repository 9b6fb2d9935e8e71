//! The learning rate over the steps of a training run.

use crate::error::{Error, Result};

/// The reference's `LRPolicyScheduler`: linear warm-up, then a decay of power two.
///
/// With `W` = `warmup_steps`, `S` = `decay_start_step`, `N` = `decay_steps`, step `t` = 1, 2, ... has
///
/// ```text
/// t < W             base · t/W
/// S <= t < S+N      max(1e-7, base · ((N - (t-S)) / N)²)
/// otherwise         the rate last computed above if N > 0, else base
/// ```
///
/// So between a warm-up and a later decay the rate stalls at `base·(W-1)/W` and then jumps to
/// `base`, as the reference's does. Without a warm-up it is `base` until the decay (there the
/// reference stops with an error).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrPolicy {
    /// The learning rate itself, before any policy.
    pub base: f64,
    /// Steps of warm-up, `W`; 0 for none.
    pub warmup_steps: u64,
    /// The first step of the decay, `S`.
    pub decay_start_step: u64,
    /// Steps of decay, `N`; 0 for none.
    pub decay_steps: u64,
}

impl LrPolicy {
    /// The decay goes no lower.
    const MIN_LR: f64 = 1e-7;

    /// `base` at every step.
    pub fn constant(base: f64) -> Self {
        LrPolicy { base, warmup_steps: 0, decay_start_step: 0, decay_steps: 0 }
    }

    /// Whether the warm-up ends before the decay starts; needed also if there is no decay, as in
    /// the reference.
    ///
    /// # Errors
    /// [`Error::Config`] that names the flags.
    pub fn validate(&self) -> Result<()> {
        let LrPolicy { warmup_steps, decay_start_step, decay_steps, .. } = self;
        if decay_start_step < warmup_steps {
            return Err(Error::Config(format!(
                "--lr-warmup-steps {warmup_steps} must not exceed --lr-decay-start-step {decay_start_step} \
                 (--lr-decay-steps {decay_steps})"
            )));
        }
        Ok(())
    }

    /// The learning rate of step `step`, from 1.
    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            self.warmup(step)
        } else if self.decay_steps == 0 {
            self.base
        } else if step >= self.decay_start_step {
            self.decay((step - self.decay_start_step).min(self.decay_steps - 1))
        } else if self.warmup_steps > 1 {
            self.warmup(self.warmup_steps - 1)
        } else {
            self.base
        }
    }

    fn warmup(&self, step: u64) -> f64 {
        // In the reference's order of operations: t/W may differ in the last bit.
        self.base * (1.0 - (self.warmup_steps - step) as f64 / self.warmup_steps as f64)
    }

    fn decay(&self, decayed_steps: u64) -> f64 {
        let scale = (self.decay_steps - decayed_steps) as f64 / self.decay_steps as f64;
        (self.base * (scale * scale)).max(Self::MIN_LR)
    }
}
