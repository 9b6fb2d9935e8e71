//! The flags of what stands for large tables, named after the reference's.

use clap::{Args, ValueEnum};
use dlrm::nn::{Compression, QrOperation};

/// What stands for large tables.
#[derive(Args)]
pub struct CompressionFlags {
    /// Put two tables in the place of each large one, looked up by quotient and remainder of the id.
    #[arg(long, conflicts_with = "md_flag")]
    pub qr_flag: bool,
    /// Rows above which a table is large, with --qr-flag.
    #[arg(long, value_name = "ROWS", requires = "qr_flag", default_value_t = 200)]
    pub qr_threshold: u32,
    /// How the two vectors become one; concat makes each half as long.
    #[arg(long, value_name = "OPERATION", requires = "qr_flag", value_enum, default_value_t = QrOperationName::Mult)]
    pub qr_operation: QrOperationName,
    /// How many ids share a row of the first table.
    #[arg(long, value_name = "IDS", requires = "qr_flag", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub qr_collisions: u32,
    /// Make the rows of large tables the shorter the more there are, with a matrix after each table.
    #[arg(long)]
    pub md_flag: bool,
    /// Rows above which a table is large, with --md-flag.
    #[arg(long, value_name = "ROWS", requires = "md_flag", default_value_t = 200)]
    pub md_threshold: u32,
    /// The power of the number of rows that a row is shorter by; 0 leaves all as they are.
    #[arg(long, value_name = "ALPHA", requires = "md_flag", default_value_t = 0.3, value_parser = temperature)]
    pub md_temperature: f64,
    /// Make the lengths of rows powers of two.
    #[arg(long, requires = "md_flag")]
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
            let operation = match self.qr_operation {
                QrOperationName::Mult => QrOperation::Mult,
                QrOperationName::Add => QrOperation::Add,
                QrOperationName::Concat => QrOperation::Concat,
            };
            let (threshold, collisions) = (self.qr_threshold as usize, self.qr_collisions);
            return Some(Compression::QuotientRemainder { threshold, collisions, operation });
        }
        self.md_flag.then_some(Compression::MixedDimension {
            threshold: self.md_threshold as usize,
            temperature: self.md_temperature,
            round_dims: self.md_round_dims,
        })
    }
}
