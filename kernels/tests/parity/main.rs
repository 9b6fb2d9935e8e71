//! Every operation on every instruction set that the machine has, against the plain loops of
//! `reference`: odd sizes, NaN-filled outputs between canaries, and pieces against the whole.

mod common;
mod elementwise;
mod embedding_bag;
mod gemm;
mod interaction;
mod optim;
mod probe;
mod quantized;
mod quantized_linear;
