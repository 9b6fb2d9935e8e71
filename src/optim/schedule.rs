//! The learning rate over the steps of a training run.

use crate::error::{Error, Result};

/// Linear warm-up, then a decay of power two: the reference's `LRPolicyScheduler`.
///
/// With `W` = `warmup_steps`, `S` = `decay_start_step`, `N` = `decay_steps`, step `t` = 1, 2, ... has
///
/// ```text
/// t < W             base · t/W
/// W <= t < S        base
/// S <= t < S+N      max(1e-7, base · ((N - (t-S)) / N)²)
/// S+N <= t          the rate of step S+N-1
/// ```
///
/// and `base` from the warm-up on if `N` is 0. With [`stall`](Self::stall) the rate between a warm-up and a later decay
/// is that of the reference: it stands at `base·(W-1)/W` and then jumps to `base`.
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
    /// Whether the rate stands still between warm-up and decay a step short of `base`, to repeat a run of the
    /// reference.
    pub stall: bool,
}

impl LrPolicy {
    /// The decay goes no lower.
    const MIN_LR: f64 = 1e-7;

    /// `base` at every step.
    pub fn constant(base: f64) -> Self {
        LrPolicy { base, warmup_steps: 0, decay_start_step: 0, decay_steps: 0, stall: false }
    }

    /// Whether the warm-up ends before the decay starts, if there is one; as the reference is, with
    /// [`stall`](Self::stall) that is needed without a decay as well.
    ///
    /// # Errors
    /// [`Error::Config`] that names the flags.
    pub fn validate(&self) -> Result<()> {
        let LrPolicy { warmup_steps, decay_start_step, decay_steps, stall, .. } = self;
        if decay_start_step < warmup_steps && (*decay_steps > 0 || *stall) {
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
        } else if self.stall && self.warmup_steps > 1 {
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
