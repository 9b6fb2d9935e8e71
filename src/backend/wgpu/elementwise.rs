//! Operations number by number.

use super::{Wgpu, memory};
use crate::backend::Beta;
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;

pub(super) fn add_to(gpu: &Wgpu, x: &Tensor, y: &mut Tensor, beta: Beta) {
    assert!(x.len() == y.len() || x.len() == y.cols(), "add_to: X {:?}, Y {:?}", x.shape(), y.shape());
    let params = [y.len() as u32, x.len() as u32, u32::from(beta == Beta::One)];
    let len = y.len();
    let buffers = [memory::input(&gpu.device, x), memory::into(&gpu.device, y, beta)];
    gpu.device.dispatch_linear(&wgsl::ADD_TO, &buffers, &params, len);
}
