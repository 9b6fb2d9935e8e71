//! Memory: what a run will need, what there is, and what it took.
//!
//! A [`MemoryPlan`] is made before anything is allocated. It is what a run is refused by if there is too little
//! ([`check`](MemoryPlan::check)), what is printed before it begins, and what the peak is compared with in the end.

mod available;
mod process;

pub use available::available;
pub use process::{anonymous, growth, open_handles, peak, reset_peak, threads};

use crate::backend::DeviceRoom;
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
    /// `Σ 4 · num_embeddings · D` over the tables; a device that stores them in [f16](DeviceRoom::half_tables) has half of
    /// it.
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
    /// The memory of a device, if there is one that holds what the model computes with, from `tables` to `lookups`. Ids
    /// are here as well.
    pub device: Option<DeviceRoom>,
    /// What is here on its way to the device, at most: the largest table, while it gets its initial values or comes from a
    /// file, and all [small](DeviceRoom::small_table) ones.
    pub passing: u64,
    /// The largest array of an operation, which is in one piece.
    pub largest: u64,
}

impl MemoryPlan {
    /// Each part with its name, of memory here; the device's are not among them.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        let around = self.around();
        let (before, after) = around.split_at(2);
        let model = match self.device {
            None => self.of_model().to_vec(),
            Some(device) => {
                let shared = if device.is_shared { self.on_device() } else { 0 };
                let passing = ("on the way to the device", self.passing);
                vec![("lookups", self.lookups), passing, ("the device, which shares memory", shared)]
            }
        };
        [before, &model, after].concat()
    }

    /// What the model computes with.
    fn of_model(&self) -> [(&'static str, u64); 7] {
        let tables = if self.device.is_some_and(|device| device.half_tables) { self.tables / 2 } else { self.tables };
        [
            ("tables", tables),
            ("dense parameters, packed copies", self.dense),
            ("optimizer's state", self.optimizer),
            ("dense gradients", self.gradients),
            ("values of operations", self.values),
            ("gradients of operations", self.value_gradients),
            ("lookups", self.lookups),
        ]
    }

    /// What is around it.
    fn around(&self) -> [(&'static str, u64); 7] {
        [
            ("the program", self.program),
            ("rows of the data set", self.rows),
            ("batches ahead", self.batches),
            ("scores of the test", self.scores),
            ("threads' scratch", self.scratch),
            ("the best model so far", self.best),
            ("copy for a checkpoint", self.checkpoint),
        ]
    }

    /// Bytes on the device, if there is one.
    pub fn on_device(&self) -> u64 {
        self.device.map_or(0, |_| sum(&self.of_model()))
    }

    /// All parts together.
    pub fn total(&self) -> u64 {
        sum(&self.parts())
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
        let most = self.device.map_or(u64::MAX, |device| device.most_of_one);
        if self.largest > most {
            let [largest, most] = [self.largest, most].map(|bytes| 1e-9 * bytes as f64);
            return Err(Error::Config(format!(
                "{who} {largest:.1} GB of the device in one array of an operation, expected at most {most:.1}: smaller \
                 batches take less"
            )));
        }
        let Some(available) = available.filter(|&available| self.needed() > available) else { return Ok(()) };
        let gb = |bytes: u64| format!("{:.1} GB", 1e-9 * bytes as f64);
        let large = self.parts().into_iter().skip(2).filter(|(_, bytes)| *bytes > self.needed() / 100);
        let parts: Vec<String> = large.map(|(name, bytes)| format!("{name} {}", gb(bytes))).collect();
        let parts = if parts.len() > 1 { format!(": {}", parts.join("; ")) } else { String::new() };
        let (needed, available) = (gb(self.needed()), gb(available));
        Err(Error::Config(format!("{who} {needed} of memory, and {available} are available{parts}")))
    }
}

fn sum(parts: &[(&'static str, u64)]) -> u64 {
    parts.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

impl Display for MemoryPlan {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, bytes: u64| writeln!(f, "  {name:<34}{:>12.1}", 1e-6 * bytes as f64);
        line("in all", self.total())?;
        self.parts().into_iter().filter(|(_, bytes)| *bytes > 0).try_for_each(|(name, bytes)| line(name, bytes))?;
        if self.device.is_some() {
            line("on the device, in all", self.on_device())?;
            let parts = self.of_model().into_iter().filter(|(_, bytes)| *bytes > 0);
            parts.into_iter().try_for_each(|(name, bytes)| line(name, bytes))?;
        }
        Ok(())
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
    fn what_is_on_a_device_is_not_here_unless_it_shares_memory() {
        let room =
            DeviceRoom { most_of_one: 1_000_000_000, small_table: 1 << 25, half_tables: false, is_shared: false };
        let device = |is_shared| Some(DeviceRoom { is_shared, ..room });
        let plan = MemoryPlan { tables: 8_000_000_000, passing: 900_000_000, batches: 1, ..MemoryPlan::default() };
        let own = MemoryPlan { device: device(false), ..plan.clone() };
        assert_eq!((own.needed(), own.on_device()), (900_000_001, 8_000_000_000));
        own.check("training needs", Some(1_000_000_000)).unwrap();
        let words = own.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.ends_with(
                "on the way to the device 900.0 batches ahead 0.0 on the device, in all 8000.0 tables 8000.0"
            ),
            "{words}"
        );
        let half = MemoryPlan { device: Some(DeviceRoom { half_tables: true, ..room }), ..plan.clone() };
        assert_eq!((half.needed(), half.on_device()), (900_000_001, 4_000_000_000));
        let shared = MemoryPlan { device: device(true), ..plan.clone() };
        let error = shared.check("training needs", Some(1_000_000_000)).unwrap_err().to_string();
        assert!(error.starts_with("training needs 8.9 GB of memory, and 1.0 GB are available: "), "{error}");
        let large = MemoryPlan { largest: 1_100_000_000, device: device(false), ..plan };
        let error = large.check("training needs", None).unwrap_err().to_string();
        assert!(
            error.starts_with("training needs 1.1 GB of the device in one array of an operation, expected at most 1.0"),
            "{error}"
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
