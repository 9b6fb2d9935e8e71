//! Training, evaluation and what they report. An example or a service is a thin program over
//! these.

mod best;
mod checkpoints;
mod guard;
mod observer;
mod options;
mod plan;
mod ranks;
mod report;
mod run;
mod state;
mod trainer;
mod window;

pub use checkpoints::{Checkpoints, Saved};
pub use guard::{MAX_SKIPS_IN_A_ROW, OnNan, Skips};
pub use observer::{Observer, Progress, Silent};
pub use options::{Stop, Stopping, TrainOptions};
pub use plan::Workload;
pub use report::{Record, Report};
pub use run::Schedule;
pub use state::Setting;
pub use trainer::Trainer;
