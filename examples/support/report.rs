//! A page about a run that is over.

use super::given_flags;
use super::profile::Profile;
use super::watch_flags::Watchers;
use dlrm::Result;
use dlrm::backend::Backend;
use dlrm::data::source::BatchSource;
use dlrm::nn::Model;
use dlrm::profile::{Entry, Profiled};
use dlrm::train::{Record, Trainer};
use dlrm::watch::RunReport;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A backend, and what takes the times of its operations, if something does.
pub type Timed = (Arc<dyn Backend>, Option<Arc<Profiled>>);

/// A backend that takes the time of each operation for a report, and the times; they are those of `profile` if there is
/// one.
pub fn timed(backend: Arc<dyn Backend>, profile: Option<&Profile>, wanted: bool) -> Result<Timed> {
    Ok(match profile {
        Some(profile) => (backend, Some(profile.profiled().clone())),
        None if wanted => {
            backend.begin_timing()?;
            let profiled = Arc::new(Profiled::new(backend));
            (profiled.clone(), Some(profiled))
        }
        None => (backend, None),
    })
}

/// Writes the page, for which the model is tested once more.
pub fn write<M: Model>(
    path: &Path,
    watch: &Watchers,
    trainer: &mut Trainer<M>,
    test: &mut dyn BatchSource,
    records: &[Record],
    operators: &[Entry],
) -> Result<()> {
    let now = chrono::Local::now();
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let curves = trainer.score(test)?.curves();
    let machine = [
        ("processor", processor()),
        ("backend", trainer.params().backend().describe()),
        ("parameters", trainer.params().count().to_string()),
        ("version", format!("dlrm {}", env!("CARGO_PKG_VERSION"))),
        ("finished", now.format("%Y-%m-%d %H:%M:%S %z").to_string()),
    ];
    let report = RunReport {
        title: &format!("{program}, {}", now.format("%Y-%m-%d %H:%M")),
        configuration: given_flags(),
        machine: &machine.map(|(name, value)| (name.to_owned(), value)),
        steps: watch.history().map_or(&[], |history| history.steps()),
        records,
        curves: curves.as_ref(),
        operators,
    };
    report.write(path)?;
    eprintln!("the report is in {}", path.display());
    Ok(())
}

/// What the processor calls itself.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(": "));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}
