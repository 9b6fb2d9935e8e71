//! What training does to values and gradients besides the model's own operations: dropout, scaling, norms.

use super::device::grid;
use super::elementwise::add;
use super::{Wgpu, memory};
use crate::backend::{Beta, Dropout};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;
use std::sync::PoisonError;

/// Numbers that a workgroup of `sum_of_squares` sums.
const SQUARES: usize = 2048;

/// By what numbers are multiplied before they are squared, or divided, if their squares would leave the range of `f32`.
const FAR: f64 = (1u128 << 80) as f64;

/// By what the three sums of a workgroup are to be multiplied: see the shader.
const FACTORS: [f64; 3] = [1.0, 1.0 / (FAR * FAR), FAR * FAR];

/// The low and the high word.
fn words(v: u64) -> [u32; 2] {
    [v as u32, (v >> 32) as u32]
}

pub(super) fn dropout(gpu: &Wgpu, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta) {
    assert_eq!(x.shape(), y.shape(), "dropout: x and y");
    let [key, first] = [mask.key, mask.first_row.wrapping_mul(x.cols() as u64)].map(words);
    let scale = (1.0 / (1.0 - mask.rate)).to_bits();
    let params = [x.len() as u32, add(beta), mask.threshold(), scale, key[0], key[1], first[0], first[1]];
    let buffers = [memory::input(&gpu.device, x), memory::into(&gpu.device, y, beta)];
    gpu.device.dispatch_linear(&wgsl::DROPOUT, &buffers, &params, x.len());
}

pub(super) fn scale(gpu: &Wgpu, a: f32, x: &mut Tensor) {
    let len = x.len();
    let buffers = [memory::change(&gpu.device, x.buffer_mut())];
    gpu.device.dispatch_linear(&wgsl::SCALE, &buffers, &[len as u32, a.to_bits()], len);
}

/// A number for someone here: what came before is waited for.
pub(super) fn sum_of_squares(gpu: &Wgpu, x: &Tensor) -> f64 {
    let groups = x.len().div_ceil(SQUARES);
    let mut sums = gpu.sums.lock().unwrap_or_else(PoisonError::into_inner);
    sums.resize(&[groups, FACTORS.len()]);
    let buffers = [memory::input(&gpu.device, x), memory::output(&gpu.device, &mut sums)];
    gpu.device.dispatch(&wgsl::SUM_OF_SQUARES, &buffers, &[x.len() as u32], grid(groups));
    let terms = sums.as_slice().chunks(FACTORS.len()).flat_map(|sums| sums.iter().zip(FACTORS));
    terms.map(|(&sum, factor)| f64::from(sum) * factor).sum()
}

pub(super) fn check_finite(gpu: &Wgpu, factor: f32, x: &Tensor, found: &mut Tensor) {
    let buffers = [memory::input(&gpu.device, x), memory::change(&gpu.device, found.buffer_mut())];
    let params = [x.len() as u32, factor.to_bits()];
    gpu.device.dispatch_linear(&wgsl::CHECK_FINITE, &buffers, &params, x.len());
}
