//! Sums and products number by number, and columns in and out.

use super::device::grid;
use super::{Wgpu, memory};
use crate::backend::Beta;
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;

/// Columns of a workgroup of `sum_rows`.
const SUM_COLUMNS: usize = 16;

/// Whether a shader is to add.
pub(super) fn add(beta: Beta) -> u32 {
    u32::from(beta == Beta::One)
}

pub(super) fn add_to(gpu: &Wgpu, x: &Tensor, y: &mut Tensor, beta: Beta) {
    assert!(x.len() == y.len() || x.len() == y.cols(), "add_to: X {:?}, Y {:?}", x.shape(), y.shape());
    let params = [y.len() as u32, x.len() as u32, add(beta)];
    let len = y.len();
    let buffers = [memory::input(&gpu.device, x), memory::into(&gpu.device, y, beta)];
    gpu.device.dispatch_linear(&wgsl::ADD_TO, &buffers, &params, len);
}

pub(super) fn mul(gpu: &Wgpu, [a, b]: [&Tensor; 2], y: &mut Tensor, beta: Beta) {
    let fits = a.len() == y.len() && a.rows() == y.rows() && (b.len() == a.len() || b.len() == a.rows());
    assert!(fits, "mul: A {:?}, B {:?}, Y {:?}", a.shape(), b.shape(), y.shape());
    let b_cols = if b.len() == a.len() { a.cols() } else { 1 };
    let params = [y.len() as u32, y.cols() as u32, b_cols as u32, add(beta)];
    let len = y.len();
    let [a, b] = [a, b].map(|tensor| memory::input(&gpu.device, tensor));
    gpu.device.dispatch_linear(&wgsl::MUL, &[a, b, memory::into(&gpu.device, y, beta)], &params, len);
}

pub(super) fn dot_rows(gpu: &Wgpu, [a, b]: [&Tensor; 2], y: &mut Tensor, beta: Beta) {
    let (m, n) = (a.rows(), a.cols());
    let fits = a.len() == b.len() && b.rows() == m && y.len() == m;
    assert!(fits, "dot_rows: A {:?}, B {:?}, Y {:?}", a.shape(), b.shape(), y.shape());
    let [a, b] = [a, b].map(|tensor| memory::input(&gpu.device, tensor));
    let buffers = [a, b, memory::into(&gpu.device, y, beta)];
    gpu.device.dispatch(&wgsl::DOT_ROWS, &buffers, &[m as u32, n as u32, add(beta)], grid(m));
}

pub(super) fn sum_rows(gpu: &Wgpu, x: &Tensor, y: &mut Tensor, beta: Beta) {
    let (m, n) = (x.rows(), x.cols());
    assert!(y.len() == n, "sum_rows: X {:?}, Y {:?}", x.shape(), y.shape());
    let buffers = [memory::input(&gpu.device, x), memory::into(&gpu.device, y, beta)];
    let groups = grid(n.div_ceil(SUM_COLUMNS));
    gpu.device.dispatch(&wgsl::SUM_ROWS, &buffers, &[m as u32, n as u32, add(beta)], groups);
}

pub(super) fn put_columns(gpu: &Wgpu, x: &Tensor, first: usize, out: &mut Tensor) {
    let (width, n) = (x.cols(), out.cols());
    let fits = x.rows() == out.rows() && first + width <= n;
    assert!(fits, "put_columns: X {:?} from column {first} of {:?} on", x.shape(), out.shape());
    let buffers = [memory::input(&gpu.device, x), memory::change(&gpu.device, out.buffer_mut())];
    let params = [x.len(), width, first, n].map(|v| v as u32);
    gpu.device.dispatch_linear(&wgsl::PUT_COLUMNS, &buffers, &params, x.len());
}

pub(super) fn take_columns(gpu: &Wgpu, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta) {
    let (width, n) = (x.cols(), from.cols());
    let fits = x.rows() == from.rows() && first + width <= n;
    assert!(fits, "take_columns: X {:?} from column {first} of {:?} on", x.shape(), from.shape());
    let len = x.len();
    let params = [len as u32, width as u32, first as u32, n as u32, add(beta)];
    let buffers = [memory::input(&gpu.device, from), memory::into(&gpu.device, x, beta)];
    gpu.device.dispatch_linear(&wgsl::TAKE_COLUMNS, &buffers, &params, len);
}
