//! The flags of what stands for large tables, named after the reference's.

use clap::{Args, ValueEnum};
use dlrm::nn::{Compression, QrOperation};

/// What stands for large tables.
#[derive(Args)]
pub struct CompressionFlags {
    /// Put two tables in the place of each large one, looked up by quotient and remainder of the id.
    #[arg(long, conflicts_with = "md_flag")]
    pub qr_flag: bool,
    /// Rows above which a table is large, for --qr-flag [default: 200].
    #[arg(long, value_name = "ROWS")]
    pub qr_threshold: Option<u32>,
    /// How the two vectors become one; concat takes halves [default: mult].
    #[arg(long, value_name = "OPERATION", value_enum)]
    pub qr_operation: Option<QrOperationName>,
    /// How many ids share a row of the first table [default: 4].
    #[arg(long, value_name = "IDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub qr_collisions: Option<u32>,
    /// Make the rows of large tables the shorter the more there are, with a matrix after each table.
    #[arg(long)]
    pub md_flag: bool,
    /// Rows above which a table is large, for --md-flag [default: 200].
    #[arg(long, value_name = "ROWS")]
    pub md_threshold: Option<u32>,
    /// The power of the number of rows that a row is shorter by; 0 leaves all as they are [default: 0.3].
    #[arg(long, value_name = "ALPHA", value_parser = temperature)]
    pub md_temperature: Option<f64>,
    /// Make the lengths of rows powers of two.
    #[arg(long)]
    pub md_round_dims: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum QrOperationName {
    Mult,
    Add,
    Concat,
}

fn temperature(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
    number.ok_or_else(|| "expected a number of at least 0".into())
}

impl CompressionFlags {
    pub fn compression(&self) -> Option<Compression> {
        if self.qr_flag {
            return Some(Compression::QuotientRemainder {
                threshold: self.qr_threshold.unwrap_or(200) as usize,
                collisions: self.qr_collisions.unwrap_or(4),
                operation: match self.qr_operation {
                    None | Some(QrOperationName::Mult) => QrOperation::Mult,
                    Some(QrOperationName::Add) => QrOperation::Add,
                    Some(QrOperationName::Concat) => QrOperation::Concat,
                },
            });
        }
        self.md_flag.then_some(Compression::MixedDimension {
            threshold: self.md_threshold.unwrap_or(200) as usize,
            temperature: self.md_temperature.unwrap_or(0.3),
            round_dims: self.md_round_dims,
        })
    }

    /// The flags that say how to do what is not asked for, and the flag that would.
    pub fn unused(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let md = [
            (self.md_threshold.is_some(), "--md-threshold"),
            (self.md_temperature.is_some(), "--md-temperature"),
            (self.md_round_dims, "--md-round-dims"),
        ];
        let qr = [
            (self.qr_threshold.is_some(), "--qr-threshold"),
            (self.qr_operation.is_some(), "--qr-operation"),
            (self.qr_collisions.is_some(), "--qr-collisions"),
        ];
        let (md_flag, qr_flag) = (self.md_flag, self.qr_flag);
        let md = md.into_iter().filter(move |&(given, _)| given && !md_flag).map(|(_, flag)| (flag, "--md-flag"));
        let qr = qr.into_iter().filter(move |&(given, _)| given && !qr_flag).map(|(_, flag)| (flag, "--qr-flag"));
        md.chain(qr)
    }
}
