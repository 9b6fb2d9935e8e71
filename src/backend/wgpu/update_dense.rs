//! Optimizer steps on dense parameters: a shader a rule, a start of it a parameter.

use super::memory::Raw;
use super::{Wgpu, memory};
use crate::backend::{DenseGrads, DenseParameter, State, UpdateRule, UpdateStep};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl;
use std::sync::Arc;

pub(super) fn update<'a>(
    gpu: &Wgpu,
    step: UpdateStep<'_>,
    parameters: &mut [DenseParameter],
    grads: &'a DenseGrads<'a>,
    states: &mut [State],
) {
    let unless = step.unless.map_or(&gpu.zero, |found| memory::input(&gpu.device, found));
    for (i, (parameter, state)) in parameters.iter_mut().zip(states).enumerate() {
        if let Some(grad) = grads(i) {
            one(gpu, step, unless, parameter, grad, state);
        }
    }
}

fn one(
    gpu: &Wgpu,
    step: UpdateStep<'_>,
    unless: &Arc<Raw>,
    parameter: &mut DenseParameter,
    grad: &Tensor,
    state: &mut State,
) {
    let value = &mut parameter.value;
    assert_eq!(value.shape(), grad.shape(), "optimizer: parameter and gradient");
    let (device, len) = (&gpu.device, value.len());
    let [n, lr] = [len as u32, step.lr.to_bits()];
    let [g, w] = [memory::input(device, grad), memory::change(device, value.buffer_mut())];
    match step.rule {
        UpdateRule::Sgd => device.dispatch_linear(&wgsl::SGD, &[unless, g, w], &[n, lr], len),
        UpdateRule::Adagrad { eps } | UpdateRule::RowWiseAdagrad { eps } => {
            let s = memory::change(device, &mut state.first);
            device.dispatch_linear(&wgsl::ADAGRAD, &[unless, g, w, s], &[n, lr, eps.to_bits()], len);
        }
        UpdateRule::Adam { beta1, beta2, eps } => {
            let [m, v] = [&mut state.first, &mut state.second].map(|buffer| memory::change(device, buffer));
            let [rate, eps] = step.adam(beta1, beta2, eps).rate_and_eps();
            let params = [n, rate.to_bits(), eps.to_bits(), beta1.to_bits(), beta2.to_bits()];
            device.dispatch_linear(&wgsl::ADAM, &[unless, g, w, m, v], &params, len);
        }
    }
}
