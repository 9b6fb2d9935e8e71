//! The kernels of the `dlrm` crate: every operation of the model as a pure function over slices,
//! on the instruction set that the caller names, and with it every unsafe block of the library.
//!
//! | file | operations |
//! |---|---|
//! | [`gemm`] | a linear layer's three products, with bias and ReLU, and the bias's gradient |
//! | [`embedding_bag`] | pooled lookup; sorting lookups by row; the sparse gradient |
//! | [`quantized`] | rows in 16, 8 and 4 bits a number, and linear layers of f16 and 8-bit weights, for inference |
//! | [`interaction`] | pairwise dots and concatenation, both ways |
//! | [`elementwise`] | sigmoid, losses on logits, ReLU's backward, sums and products |
//! | [`optim`] | SGD, Adagrad, row-wise Adagrad and Adam, dense and on rows |
//! | [`probe`] | no operation of a model: what the machine can do at most |
//!
//! The contract of all of them: matrices are row-major slices of `f32` (but for [`quantized`]), sizes are checked once at
//! the edge (a wrong one panics with the operation and both shapes), nothing is allocated but what
//! a caller's scratch has to grow by, nothing is logged, and there are no threads. Whoever has
//! threads calls on disjoint sub-slices; no bit of the result depends on how a batch is cut.
//!
//! Shapes are written with the field's letters: B samples, F features, D the embedding dimension,
//! M × N × K in a product (`W` is N × K).

mod check;
mod columns;
pub mod elementwise;
pub mod embedding_bag;
pub mod gemm;
pub mod interaction;
pub mod isa;
mod mapped;
pub mod optim;
pub mod probe;
pub mod quantized;
#[doc(hidden)]
pub mod reference;
mod scratch;
mod simd;
pub mod text;
pub mod wgsl;

pub use isa::Isa;
pub use mapped::MappedFile;
pub use scratch::Scratch;
