//! What happened since the last look.

use crate::parameters::Norms;
use crate::train::Progress;

/// The steps since the last summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSummary {
    /// This pass, from 1.
    pub epoch: u64,
    /// Steps so far, over all passes.
    pub step: u64,
    /// Mean loss over the rows since the last summary, each before its step.
    pub loss: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Rows a second since the last summary, or since the pass began if it was in an earlier one; testing not counted.
    pub rows_per_s: f64,
    /// Norms of the last step's gradient, if they were measured.
    pub gradient_norms: Option<Norms>,
}

/// Makes a summary every so many steps.
#[derive(Debug)]
pub struct StepSummaries {
    every: u64,
    /// Steps at the last summary.
    step: u64,
    /// Since then.
    loss_sum: f64,
    rows: usize,
    /// This pass, its rows at the last call, and rows and seconds of it at the last summary.
    epoch: u64,
    rows_now: usize,
    rows_then: usize,
    seconds_then: f64,
    /// Whether the next batch is the first of a run that goes on.
    resumed: bool,
}

impl StepSummaries {
    /// A summary every `every` steps, of a run of which `steps` steps are done. If there are any, how many rows the first
    /// batch has is not known, and means begin with the second.
    ///
    /// # Panics
    /// If `every` is 0.
    pub fn new(every: u64, steps: u64) -> Self {
        assert!(every > 0, "StepSummaries::new: a summary every 0 steps");
        let (loss_sum, rows, epoch, rows_now, rows_then, seconds_then) = (0.0, 0, 0, 0, 0, 0.0);
        let resumed = steps > 0;
        StepSummaries { every, step: steps, loss_sum, rows, epoch, rows_now, rows_then, seconds_then, resumed }
    }

    /// Whether there is a summary after step `step`.
    pub fn is_due(&self, step: u64) -> bool {
        step / self.every > self.step / self.every
    }

    /// Passes over a batch that no step was made of.
    pub fn skip(&mut self, p: &Progress) {
        self.begin(p);
        self.rows_now = p.rows;
    }

    fn begin(&mut self, p: &Progress) {
        if p.epoch != self.epoch {
            (self.epoch, self.rows_now, self.rows_then, self.seconds_then) = (p.epoch, 0, 0, 0.0);
        }
    }

    /// Takes a batch into account; a summary if one is due.
    pub fn add(&mut self, p: &Progress) -> Option<StepSummary> {
        self.begin(p);
        if std::mem::take(&mut self.resumed) {
            (self.rows_now, self.rows_then, self.seconds_then) = (p.rows, p.rows, p.rows as f64 / p.rows_per_s);
            return None;
        }
        let rows = p.rows - self.rows_now;
        self.rows_now = p.rows;
        self.rows += rows;
        self.loss_sum += f64::from(p.loss) * rows as f64;
        if !self.is_due(p.step) {
            return None;
        }
        let seconds = p.rows as f64 / p.rows_per_s;
        let rows_per_s = (p.rows - self.rows_then) as f64 / (seconds - self.seconds_then);
        let loss = self.loss_sum / self.rows as f64;
        (self.step, self.loss_sum, self.rows, self.rows_then, self.seconds_then) = (p.step, 0.0, 0, p.rows, seconds);
        let Progress { epoch, step, lr, gradient_norms, .. } = *p;
        Some(StepSummary { epoch, step, loss, lr, rows_per_s, gradient_norms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(epoch: u64, step: u64, rows: usize, loss: f32, rows_per_s: f64) -> Progress {
        let (rows_in_epoch, lr, gradient_norms, mean_loss) = (5000, 0.1, None, 0.0);
        Progress { epoch, step, rows, rows_in_epoch, loss, lr, gradient_norms, mean_loss, rows_per_s }
    }

    /// Batches of 10 rows at 100 rows a second; of 4 rows at 64 in the second pass. Two batches a step.
    #[test]
    fn summaries_are_of_the_batches_since_the_last_one() {
        let mut summaries = StepSummaries::new(2, 0);
        for (rows, loss) in [(10, 1.0), (20, 2.0), (30, 3.0)] {
            assert_eq!(summaries.add(&progress(1, rows as u64 / 20, rows, loss, 100.0)), None);
        }
        let first = summaries.add(&progress(1, 2, 40, 6.0, 100.0)).unwrap();
        assert_eq!((first.epoch, first.step, first.loss, first.rows_per_s), (1, 2, 3.0, 100.0));
        assert_eq!(summaries.add(&progress(2, 2, 4, 5.0, 64.0)), None);
        assert_eq!(summaries.add(&progress(2, 3, 8, 5.0, 64.0)), None);
        assert_eq!(summaries.add(&progress(2, 3, 12, 5.0, 64.0)), None);
        // A pass ended in between with a step that nobody was told of.
        assert!(summaries.is_due(5) && !summaries.is_due(3));
        let second = summaries.add(&progress(2, 5, 14, 11.0, 64.0)).unwrap();
        assert_eq!((second.epoch, second.step, second.rows_per_s), (2, 5, 64.0));
        assert!((second.loss - (12.0 * 5.0 + 2.0 * 11.0) / 14.0).abs() < 1e-12, "{}", second.loss);
    }

    #[test]
    fn a_run_that_goes_on_is_not_due_at_once() {
        let mut summaries = StepSummaries::new(100, 250);
        assert!(!summaries.is_due(251) && !summaries.is_due(299) && summaries.is_due(300));
        // 250 batches of 10 rows were before it; those after it come at 100 rows a second, and one is left out.
        assert_eq!(summaries.add(&progress(1, 251, 2510, 9.0, 100.0)), None);
        assert_eq!(summaries.add(&progress(1, 252, 2520, 1.0, 100.0)), None);
        summaries.skip(&progress(1, 252, 2620, f32::NAN, 100.0));
        let first = summaries.add(&progress(1, 300, 2630, 3.0, 100.0)).unwrap();
        assert_eq!((first.step, first.loss), (300, 2.0));
        assert!((first.rows_per_s - 100.0).abs() < 1e-6);
    }
}
