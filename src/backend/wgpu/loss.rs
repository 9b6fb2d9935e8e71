//! Losses, the logistic function and the limit of logits.

use super::elementwise::add;
use super::{Wgpu, memory};
use crate::backend::{Beta, LossKind};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;

fn check(logits: &Tensor, labels: &Tensor) {
    let fits = logits.len() == labels.len() && !labels.is_empty();
    assert!(fits, "loss: logits {:?}, labels {:?}", logits.shape(), labels.shape());
}

/// The length, whether it is the squared error, and the weights of both classes.
fn params(kind: LossKind, labels: &Tensor) -> [u32; 4] {
    let (mse, weights) = match kind {
        LossKind::Bce { class_weights } => (0, class_weights),
        LossKind::Mse => (1, [1.0; 2]),
    };
    [labels.len() as u32, mse, weights[0].to_bits(), weights[1].to_bits()]
}

pub(super) fn forward(gpu: &Wgpu, kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor) {
    check(logits, labels);
    let [x, y] = [logits, labels].map(|tensor| memory::input(&gpu.device, tensor));
    let buffers = [x, y, memory::output(&gpu.device, out)];
    gpu.device.dispatch(&wgsl::LOSS, &buffers, &params(kind, labels), [1; 3]);
}

pub(super) fn backward(
    gpu: &Wgpu,
    kind: LossKind,
    [logits, labels, grad_out]: [&Tensor; 3],
    dx: &mut Tensor,
    beta: Beta,
) {
    check(logits, labels);
    assert!(dx.len() == logits.len(), "loss: a gradient {:?} of logits {:?}", dx.shape(), logits.shape());
    let [len, mse, weight_0, weight_1] = params(kind, labels);
    let [x, y, g] = [logits, labels, grad_out].map(|tensor| memory::input(&gpu.device, tensor));
    let buffers = [x, y, g, memory::into(&gpu.device, dx, beta)];
    let params = [len, mse, weight_0, weight_1, add(beta)];
    gpu.device.dispatch_linear(&wgsl::LOSS_BACKWARD, &buffers, &params, logits.len());
}

pub(super) fn sigmoid(gpu: &Wgpu, x: &Tensor, y: &mut Tensor) {
    assert!(x.len() == y.len(), "sigmoid: X {:?}, Y {:?}", x.shape(), y.shape());
    let buffers = [memory::input(&gpu.device, x), memory::output(&gpu.device, y)];
    gpu.device.dispatch_linear(&wgsl::SIGMOID, &buffers, &[x.len() as u32], x.len());
}

pub(super) fn sigmoid_backward(gpu: &Wgpu, y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
    let fits = y.len() == dx.len() && dy.len() == dx.len();
    assert!(fits, "sigmoid: Y {:?}, dY {:?}, dX {:?}", y.shape(), dy.shape(), dx.shape());
    let params = [dx.len() as u32, add(beta)];
    let inputs = [y, dy].map(|tensor| memory::input(&gpu.device, tensor));
    let buffers = [inputs[0], inputs[1], memory::into(&gpu.device, dx, beta)];
    gpu.device.dispatch_linear(&wgsl::SIGMOID_BACKWARD, &buffers, &params, y.len());
}

pub(super) fn clamp(gpu: &Wgpu, x: &Tensor, bound: f32, y: &mut Tensor) {
    assert!(x.len() == y.len(), "clamp: X {:?}, Y {:?}", x.shape(), y.shape());
    assert!(bound >= 0.0, "clamp: the bound is {bound}, expected at least 0");
    let buffers = [memory::input(&gpu.device, x), memory::output(&gpu.device, y)];
    gpu.device.dispatch_linear(&wgsl::CLAMP, &buffers, &[x.len() as u32, bound.to_bits()], x.len());
}

pub(super) fn clamp_backward(gpu: &Wgpu, [x, dy]: [&Tensor; 2], bound: f32, dx: &mut Tensor, beta: Beta) {
    let fits = x.len() == dx.len() && dy.len() == dx.len();
    assert!(fits, "clamp: X {:?}, dY {:?}, dX {:?}", x.shape(), dy.shape(), dx.shape());
    let params = [x.len() as u32, bound.to_bits(), add(beta)];
    let inputs = [x, dy].map(|tensor| memory::input(&gpu.device, tensor));
    let buffers = [inputs[0], inputs[1], memory::into(&gpu.device, dx, beta)];
    gpu.device.dispatch_linear(&wgsl::CLAMP_BACKWARD, &buffers, &params, x.len());
}
