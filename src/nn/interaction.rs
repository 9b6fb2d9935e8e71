//! The feature interaction as a layer without parameters.

use crate::backend::Interaction;
use crate::ops;
use crate::tape::{Tape, Var};

impl Interaction {
    /// The dense vector (`B × D`, if there is one) and the pooled ones (`B × T × D`) to `B × width`:
    /// see [`ops::interaction`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn forward(self, tape: &mut Tape, dense: Option<Var>, pooled: Var) -> Var {
        ops::interaction(tape, self, dense, pooled)
    }
}
