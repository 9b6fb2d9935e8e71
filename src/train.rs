//! Training, evaluation and what they report. An example or a service is a thin program over
//! these.

mod report;
mod trainer;

pub use report::{Record, Report};
pub use trainer::{Observer, Progress, Schedule, Silent, Trainer};
