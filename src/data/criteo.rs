//! Rows of Criteo's display-advertising sets, as text and in memory (paper section 4.3).
//!
//! A line is tab-separated: a label (`0` or `1`), 13 signed integers `I1..I13`, and 26 ids
//! `C1..C26` of up to eight hexadecimal digits. An empty integer or id is missing, and counts as
//! 0: so a missing id and `00000000` are one and the same, as in the reference. Kaggle's
//! `test.txt` lacks the label. Lines end in `\n`; the last may lack it. A file may be a .gz or a .zst.
//!
//! The way of a row, one file each:
//!
//! | step | where |
//! |---|---|
//! | bytes to lines, with bounded memory | [`lines`] |
//! | a line to a [`Row`] | [`row`] |
//! | much text to rows, several times as fast | [`scan`] |
//! | a file to rows; what happens to bad ones | [`reader`] |
//! | ids to rows of the embedding tables | [`vocabulary`] |
//! | which rows train and which test | [`split`] |
//! | all rows in memory | [`dataset`] |
//! | values to a line | [`write`](mod@write) |
//!
//! What is computed is what the public reference computes (`data_utils.py`,
//! `getCriteoAdData` and `processCriteoAdData`; `dlrm_data_pytorch.py`, `CriteoDataset`).

pub mod dataset;
pub mod lines;
pub mod reader;
pub mod row;
pub mod scan;
pub mod split;
pub mod vocabulary;
pub mod write;
pub(super) mod zst;

pub use dataset::{Dataset, DatasetBuilder};
pub use reader::{BadRows, RowReader};
pub use row::{Labels, Row};
pub use split::TimeSplit;
pub use vocabulary::Vocabulary;
pub use write::write_row;

/// Integer columns, `I1..I13`.
pub const DENSE_FEATURES: usize = 13;

/// Categorical columns, `C1..C26`: one embedding table each.
pub const SPARSE_FEATURES: usize = 26;
