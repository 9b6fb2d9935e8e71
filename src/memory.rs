//! Memory: what a run will need, what there is, and what it took.
//!
//! A [`MemoryPlan`] is made before anything is allocated. It is what a run is refused by if there is too little
//! ([`check`](MemoryPlan::check)), what is printed before it begins, and what the peak is compared with in the end.

mod available;
mod process;

pub use available::available;
pub use process::{anonymous, growth, open_handles, peak, reset_peak, threads};

use crate::error::{Error, Result};
use std::fmt::{self, Display};

/// Where the memory of a training run goes, in bytes: pages that are its own, not those of mapped files, which the system
/// can take back.
///
/// Sums are over what is meant by the part. Arrays of numbers ([`Buffer`](crate::buffer::Buffer)) are counted in whole
/// [pages](crate::buffer::resident_bytes). `B` is the number of samples of a training batch, `B'` that of a larger of
/// training and test batch, `A` the batches ready ahead, `L` the lookups of a sample in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct MemoryPlan {
    /// What the process holds when the plan is made, but for `rows`: measured, see [`anonymous`].
    pub program: u64,
    /// Rows of the data set that are kept in memory, and their vocabulary
    /// ([`Samples::held_bytes`](crate::data::source::Samples::held_bytes)); 0 for a mapped file.
    pub rows: u64,
    /// `Σ 4 · num_embeddings · D` over the tables.
    pub tables: u64,
    /// `Σ 4 · N · K` over the weights and `Σ 4 · N` over the biases; and each weight twice more,
    /// [packed](crate::backend::PackedWeight).
    pub dense: u64,
    /// Numbers that the [rule](crate::optim::UpdateRule) keeps: of a table or a dense parameter none for SGD, as many as
    /// it has for Adagrad, twice as many for Adam; for row-wise Adagrad one a row of a table.
    pub optimizer: u64,
    /// `Σ 4 · N · K + Σ 4 · N`: dense gradients.
    pub gradients: u64,
    /// `Σ 4 · B' · width` over the values on the tape.
    pub values: u64,
    /// `Σ 4 · B · width` over those of them that have a gradient; pooled rows have two, one of which the gradients of tables
    /// are made of.
    pub value_gradients: u64,
    /// Ids on the tape, `B' · (8 L + 4)` a table at most, and lookups in order of rows, `12 · B · L` (`16` with weights
    /// or means). With clipping, L2 or several batches a step sums of rows too, `2 · 4 · R · D` a table, twice that for
    /// several batches, where `R` is the smaller of `B · L` and the rows of the table: at most, since lookups of a batch
    /// may share rows.
    pub lookups: u64,
    /// `(A + 1) · (B · sample + B' · sample)`, each sample its dense features, its label, and `4 L + 4` a table;
    /// and each batch 128 a table.
    pub batches: u64,
    /// Scores of the test rows, to rank: 4 a row.
    pub scores: u64,
    /// Of each thread, for what kernels pack, and for a sort: `640 KiB + 20 · B · L`.
    pub scratch: u64,
    /// The parameters of the best test once more, if there is [patience](crate::train::Stopping::patience).
    pub best: u64,
    /// The copy that is made of parameters, the optimizer's state and the best parameters when a checkpoint is saved, and kept
    /// for the next save.
    pub checkpoint: u64,
}

impl MemoryPlan {
    /// Each part with its name.
    pub fn parts(&self) -> [(&'static str, u64); 14] {
        [
            ("the program", self.program),
            ("rows of the data set", self.rows),
            ("tables", self.tables),
            ("dense parameters, packed copies", self.dense),
            ("optimizer's state", self.optimizer),
            ("dense gradients", self.gradients),
            ("values of operations", self.values),
            ("gradients of operations", self.value_gradients),
            ("lookups", self.lookups),
            ("batches ahead", self.batches),
            ("scores of the test", self.scores),
            ("threads' scratch", self.scratch),
            ("the best model so far", self.best),
            ("copy for a checkpoint", self.checkpoint),
        ]
    }

    /// All parts together.
    pub fn total(&self) -> u64 {
        self.parts().iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// What is to be allocated yet.
    pub fn needed(&self) -> u64 {
        self.total() - self.program - self.rows
    }

    /// Whether what is [needed](Self::needed) is there. `who` is the message's first words, such as `training needs`.
    ///
    /// # Errors
    /// [`Error::Config`] with the sum, what is available, and the larger parts.
    pub fn check(&self, who: &str, available: Option<u64>) -> Result<()> {
        let Some(available) = available.filter(|&available| self.needed() > available) else { return Ok(()) };
        let gb = |bytes: u64| format!("{:.1} GB", 1e-9 * bytes as f64);
        let large = self.parts().into_iter().skip(2).filter(|(_, bytes)| *bytes > self.needed() / 100);
        let parts: Vec<String> = large.map(|(name, bytes)| format!("{name} {}", gb(bytes))).collect();
        let parts = if parts.len() > 1 { format!(": {}", parts.join("; ")) } else { String::new() };
        let (needed, available) = (gb(self.needed()), gb(available));
        Err(Error::Config(format!("{who} {needed} of memory, and {available} are available{parts}")))
    }
}

impl Display for MemoryPlan {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, bytes: u64| writeln!(f, "  {name:<34}{:>12.1}", 1e-6 * bytes as f64);
        line("in all", self.total())?;
        self.parts().into_iter().filter(|(_, bytes)| *bytes > 0).try_for_each(|(name, bytes)| line(name, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_is_said_with_the_sum_and_its_parts() {
        let plan =
            MemoryPlan { program: 1 << 40, tables: 2_000_000_000, optimizer: 500_000_000, ..MemoryPlan::default() };
        assert_eq!((plan.needed(), plan.total() - plan.needed()), (2_500_000_000, 1 << 40));
        for enough in [None, Some(2_500_000_000)] {
            plan.check("training needs", enough).unwrap();
        }
        let error = plan.check("training needs", Some(900_000_000)).unwrap_err().to_string();
        assert_eq!(
            error,
            "training needs 2.5 GB of memory, and 0.9 GB are available: tables 2.0 GB; optimizer's state 0.5 GB"
        );
    }

    #[test]
    fn the_table_has_the_sum_and_what_is_not_nothing() {
        let plan = MemoryPlan { program: 5_000_000, tables: 2_000_000, ..MemoryPlan::default() };
        let words: Vec<String> =
            plan.to_string().lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(words, ["in all 7.0", "the program 5.0", "tables 2.0"]);
    }
}
