//! A schema as it is written, before it is known to make sense.

use crate::data::schema::Transform;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSchema {
    pub separator: Option<Spanned<String>>,
    #[serde(default = "yes")]
    pub quoted: bool,
    #[serde(default = "yes")]
    pub header: bool,
    pub columns: Option<Spanned<Vec<String>>>,
    pub missing: Option<Vec<String>>,
    pub label: Spanned<RawLabel>,
    #[serde(default)]
    pub dense: Vec<RawDense>,
    #[serde(default)]
    pub categorical: Vec<RawCategorical>,
    pub split: Option<Spanned<RawSplit>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLabel {
    pub column: Spanned<String>,
    pub positive: Option<Spanned<Vec<String>>>,
    pub negative: Option<Spanned<Vec<String>>>,
    pub threshold: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDense {
    pub column: Spanned<String>,
    #[serde(default = "identity")]
    pub transform: Transform,
    pub missing: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCategorical {
    pub column: Spanned<String>,
    pub min_count: Option<Spanned<u32>>,
    pub multi_hot: Option<Spanned<String>>,
    pub missing: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSplit {
    pub test: Option<Spanned<f64>>,
    pub seed: Option<Spanned<u64>>,
    pub test_files: Option<Spanned<usize>>,
}

fn yes() -> bool {
    true
}

/// Unlike Criteo's counts, a number of a table may be anything.
fn identity() -> Transform {
    Transform::Identity
}
