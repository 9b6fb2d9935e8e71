//! Training, evaluation and what they report. An example or a service is a thin program over
//! these.

mod best;
mod options;
mod report;
mod trainer;

pub use options::{Stop, Stopping, TrainOptions};
pub use report::{Record, Report};
pub use trainer::{Observer, Progress, Schedule, Silent, Trainer};
