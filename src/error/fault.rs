//! A number that should not be.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::{self, Display};

/// The first number of a step that is NaN or infinite. Its `Display` is half a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When it appeared.
    pub pass: Pass,
    /// The operation that made it, such as `Linear`; of [`Pass::Input`], what it was meant to be.
    pub operator: Cow<'static, str>,
    /// The parameter that it belongs to, or that took part, such as `top_l.2.weight`.
    pub parameter: Option<String>,
    /// The row of it, if that is a table.
    pub row: Option<u32>,
    /// Which number it is.
    pub number: String,
    /// The number.
    #[serde(with = "bits")]
    pub value: f32,
}

/// Parts of a step, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Pass {
    /// Before the first: it was in the batch.
    Input,
    /// The forward pass.
    Forward,
    /// The backward pass.
    Backward,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { pass, operator, parameter, row, number, value } = self;
        match pass {
            Pass::Input => write!(f, "{operator}")?,
            Pass::Forward => write!(f, "forward, {operator}")?,
            Pass::Backward => write!(f, "backward, {operator}")?,
        }
        parameter.iter().try_for_each(|name| write!(f, ", {name}"))?;
        row.iter().try_for_each(|row| write!(f, ", row {row}"))?;
        write!(f, ": {number} is {value}")
    }
}

/// A number that is not finite, which JSON has not.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(value.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        u32::deserialize(deserializer).map(f32::from_bits)
    }
}
