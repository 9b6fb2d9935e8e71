//! The flags of what changes ids when rows are loaded. Rows to score need those of the rows that were trained on.

use clap::Args;
use dlrm::data::criteo::DENSE_FEATURES;
use dlrm::data::source::{Change, Changed, Samples};
use std::num::NonZeroU32;

#[derive(Args)]
pub struct RangeFlag {
    /// Take the numbers of ids modulo this, so that no table has more rows.
    #[arg(long, value_name = "ROWS")]
    pub max_ind_range: Option<NonZeroU32>,
}

#[derive(Args)]
pub struct BucketFlag {
    /// Take each dense feature for an id as well, N a power of e: with 8, small counts have ids of their own [default:
    /// no].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub dense_buckets: Option<u32>,
}

impl RangeFlag {
    pub fn change(&self) -> Option<Change> {
        self.max_ind_range.map(Change::MaxIndRange)
    }
}

impl BucketFlag {
    pub fn change(&self) -> Option<Change> {
        let per_unit = self.dense_buckets.and_then(NonZeroU32::new)?;
        Some(Change::DenseBuckets { per_unit, dense_features: DENSE_FEATURES })
    }
}

/// The rows, changed.
pub fn changed(rows: Box<dyn Samples>, change: Option<Change>) -> Box<dyn Samples> {
    match change {
        Some(change) => Box::new(Changed::new(rows, change)),
        None => rows,
    }
}
