//! A number that should not be.

use std::fmt::{self, Display};

/// The first number of a step that is NaN or infinite. Its `Display` is half a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When it appeared.
    pub pass: Pass,
    /// The operation that made it, such as `Linear`; of [`Pass::Input`], what it was meant to be.
    pub operator: &'static str,
    /// The parameter that it belongs to, or that took part, such as `top_l.2.weight`.
    pub parameter: Option<String>,
    /// The row of it, if that is a table.
    pub row: Option<u32>,
    /// Which number it is.
    pub number: String,
    /// The number.
    pub value: f32,
}

/// Parts of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
