//! Training, evaluation and what they report. An example or a service is a thin program over
//! these.

mod best;
mod checkpoints;
mod observer;
mod options;
mod report;
mod run;
mod state;
mod trainer;

pub use checkpoints::{Checkpoints, Saved};
pub use observer::{Observer, Progress, Silent};
pub use options::{Stop, Stopping, TrainOptions};
pub use report::{Record, Report};
pub use run::Schedule;
pub use state::Setting;
pub use trainer::Trainer;
