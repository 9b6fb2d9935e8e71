//! Files about a run, for whoever watches it: TensorBoard's event files, and a page when it is over. [`TensorBoard`] is an
//! [`Observer`](crate::train::Observer) that writes the former; [`History`] is one that keeps what [`RunReport`] shows.
//!
//! An event file is a list of records, and each record an `Event` in protobuf. A record is framed as in TensorFlow's
//! `TFRecord` files:
//!
//! | bytes | |
//! |---|---|
//! | 8 | length of the data, `n` |
//! | 4 | masked CRC-32C of those 8 bytes |
//! | `n` | the data |
//! | 4 | masked CRC-32C of the data |
//!
//! all little-endian, where a checksum `c` is masked as `((c >> 15) | (c << 17)) + 0xa282ead8`. The first event says
//! `brain.Event:2`; those after it have a step, a time, and what was measured then. A folder may have several files: they
//! are read in order of their names, which begin with the time.
//!
//! ```
//! use dlrm::watch::{EventReader, EventWriter, Value, What};
//!
//! let folder = std::env::temp_dir().join(format!("dlrm-watch-{}", std::process::id()));
//! let mut writer = EventWriter::create(&folder, 0)?;
//! writer.scalars(1, &[("train/loss", 0.5)])?;
//! let events = EventReader::open(writer.path())?.collect::<dlrm::Result<Vec<_>>>()?;
//! assert_eq!(events[2].step, 1);
//! assert_eq!(events[2].what, What::Summary(vec![("train/loss".into(), Value::Scalar(0.5))]));
//! # std::fs::remove_dir_all(folder).unwrap();
//! # Ok::<(), dlrm::Error>(())
//! ```

mod event;
mod framing;
mod histogram;
mod history;
mod reader;
mod report;
mod steps;
mod tensor_board;
mod writer;

pub use event::{Event, Value, What};
pub use histogram::Histogram;
pub use history::History;
pub use reader::EventReader;
pub use report::RunReport;
pub use steps::{StepSummaries, StepSummary};
pub use tensor_board::TensorBoard;
pub use writer::EventWriter;
