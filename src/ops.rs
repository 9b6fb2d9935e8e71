//! The differentiable operations, which a model is made of (paper section 2.1): each file one forward, its backward and its
//! gradient check.

mod cat;
mod clamp;
mod cross;
mod dropout;
mod embedding_bag;
mod interaction;
mod linear;
mod loss;
mod mul;
mod sigmoid;

pub use cat::{cat, stack};
pub use clamp::clamp;
pub use cross::cross;
pub use dropout::dropout;
pub use embedding_bag::{RowWeights, embedding_bags};
pub use interaction::interaction;
pub use linear::linear;
pub use loss::loss;
pub use mul::{add, mul};
pub use sigmoid::sigmoid;

#[cfg(test)]
pub(crate) mod tests {
    use crate::backend::Cpu;
    use crate::parameters::Parameters;
    use crate::tensor::Tensor;
    use std::sync::Arc;

    /// No parameter yet, on two threads.
    pub fn setup() -> Parameters {
        Parameters::new(Arc::new(Cpu::new(2)))
    }

    /// Numbers of both signs up to `scale`, no two alike, none at zero.
    pub fn ramp(shape: &[usize], scale: f32) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| ((i * 37 + 11) % 101) as f32 / 50.5 - 1.003).map(|v| v * scale).collect();
        Tensor::from_slice(shape, &values)
    }
}
