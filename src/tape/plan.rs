//! What a step has to remember, from the shapes on a tape.

use super::{Tape, Uses};
use crate::jagged::JaggedTensor;
use crate::parameters::TableId;

/// A value on a tape that a step has to remember.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    /// Numbers of each sample.
    pub per_sample: usize,
    /// Whether there is a gradient of it.
    pub needs_grad: bool,
    /// Whether it is made of rows of tables.
    pub pooled: bool,
}

impl Tape {
    /// The values of a batch, each with a row a sample.
    pub(crate) fn planned(&self) -> impl Iterator<Item = Planned> {
        (0..self.len).map(|at| Planned {
            per_sample: self.values[at].cols(),
            needs_grad: self.grads[at].needed,
            pooled: matches!(self.nodes[at].uses(), Uses::Tables(..)),
        })
    }

    /// The ids that were looked up, list by list, each with its table.
    pub(crate) fn planned_lookups(&self) -> impl Iterator<Item = (&JaggedTensor, TableId)> {
        (0..self.len).flat_map(|at| match self.nodes[at].uses() {
            Uses::Tables(TableId(first), bags) => self.bag_lists(bags).iter().zip((first..).map(TableId)),
            _ => [].iter().zip((0..).map(TableId)),
        })
    }
}
