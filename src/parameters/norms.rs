//! How large parameters are, or their gradients.

use super::Parameters;
use crate::tensor::sum_of_squares;

/// Euclidean norms, of what belongs to MLPs and of what belongs to tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norms {
    /// Of all dense parameters together.
    pub dense: f64,
    /// Of all tables together.
    pub embeddings: f64,
}

impl Parameters {
    /// The Euclidean norms of all parameters, in an order that depends on their sizes alone. Reads every number once.
    ///
    /// # Panics
    /// If they are not stored as `f32`.
    pub fn norms(&self) -> Norms {
        let dense = self.dense.iter().map(|p| sum_of_squares(p.value().as_slice()));
        let embeddings = self.tables.iter().map(|table| sum_of_squares(table.values()));
        Norms { dense: dense.sum::<f64>().sqrt(), embeddings: embeddings.sum::<f64>().sqrt() }
    }
}
