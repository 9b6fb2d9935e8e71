//! Where the memory of a run goes: a table before, and the peak after.

use super::backend_flags::Chosen;
use super::flags::TrainFlags;
use super::model_flags::ModelConfig;
use super::training::{AHEAD, TEST_BATCH};
use dlrm::data::criteo::TimeSplit;
use dlrm::data::source::Samples;
use dlrm::memory::{MemoryPlan, anonymous, peak, reset_peak};
use dlrm::optim::UpdateRule;
use dlrm::train::{TrainOptions, Workload};
use dlrm::{Batch, Result};

/// A plan that was found to fit.
pub struct Planned(MemoryPlan);

impl Planned {
    /// What it takes to train `config` on batches such as `samples`, while `rows` bytes of rows are in memory. Refuses
    /// what does not fit, prints the rest as a table.
    pub fn new(
        chosen: &Chosen,
        config: &ModelConfig,
        how: (UpdateRule, &TrainOptions),
        samples: &Batch,
        work: Workload,
        rows: u64,
    ) -> Result<Planned> {
        let backend = chosen.backend();
        let build = |params: &mut _, stream: &mut _| config.build(params, stream);
        let mut plan = MemoryPlan::of_training(backend.clone(), build, how, samples, work)?;
        plan.check("training needs", backend.available_memory())?;
        let held = anonymous().unwrap_or(0);
        (plan.rows, plan.program) = (rows.min(held), held.saturating_sub(rows));
        eprint!("  {:<34}{:>12}\n{plan}", "memory, at most", "MB");
        if let Some(room) = plan.device {
            let gb = 1e-9 * room.most_of_one as f64;
            eprintln!("how much the device has is not told; what it takes in one array is at most {gb:.1} GB");
        }
        reset_peak();
        Ok(Planned(plan))
    }

    /// The same of a run by the flags of training, if it trains.
    pub fn of_run(
        flags: &TrainFlags,
        chosen: &Chosen,
        config: &ModelConfig,
        (rows, split): (&dyn Samples, &TimeSplit),
    ) -> Result<Option<Planned>> {
        if flags.checkpoint.inference_only {
            return Ok(None);
        }
        let test_rows = split.test(flags.full_test).len();
        let work = Workload {
            batch: split.train().len().min(flags.batch_size as usize),
            test_batch: TEST_BATCH.min(test_rows),
            test_rows,
            ahead: AHEAD,
            threads: chosen.threads(),
            checkpoints: flags.run.checkpoint_dir.is_some(),
        };
        let mut samples = Batch::default();
        rows.fill(&[0, 1], &mut samples)?;
        let options = flags.options.options(flags.seed, &flags.loss);
        Planned::new(chosen, config, (flags.rule(), &options), &samples, work, rows.held_bytes()).map(Some)
    }

    /// Prints how much it was.
    pub fn print_peak(&self) {
        let mb = |bytes: u64| format!("{:.1} MB", 1e-6 * bytes as f64);
        if let Some(peak) = peak() {
            eprintln!("peak memory {}, {} expected", mb(peak), mb(self.0.total()));
        }
    }
}
