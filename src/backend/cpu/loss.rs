//! Losses, the logistic function and the limit of logits: a few thousand numbers, on the calling thread.

use super::{Beta, LossKind};
use crate::tensor::Tensor;
use dlrm_kernels::elementwise as kernel;

fn check(logits: &Tensor, labels: &Tensor) {
    assert!(logits.len() == labels.len(), "loss: logits {:?}, labels {:?}", logits.shape(), labels.shape());
}

pub(super) fn forward(kind: LossKind, logits: &Tensor, labels: &Tensor, out: &mut Tensor) {
    check(logits, labels);
    let (x, y) = (logits.as_slice(), labels.as_slice());
    let sum = match kind {
        LossKind::Bce { class_weights } => kernel::bce_with_logits(x, y, Some(class_weights)),
        LossKind::Mse => kernel::mse_with_logits(x, y),
    };
    // A rank may have no sample.
    out.as_mut_slice()[0] = (sum / y.len().max(1) as f64) as f32;
}

pub(super) fn backward(
    kind: LossKind,
    logits: &Tensor,
    labels: &Tensor,
    grad_out: &Tensor,
    dx: &mut Tensor,
    beta: Beta,
) {
    check(logits, labels);
    let (x, y) = (logits.as_slice(), labels.as_slice());
    let scale = grad_out.as_slice()[0] / y.len() as f32;
    let overwrite = |dx: &mut [f32]| match kind {
        LossKind::Bce { class_weights } => kernel::bce_with_logits_backward(x, y, Some(class_weights), scale, dx),
        LossKind::Mse => kernel::mse_with_logits_backward(x, y, scale, dx),
    };
    match beta {
        Beta::Zero => overwrite(dx.as_mut_slice()),
        Beta::One => {
            let mut more = vec![0.0; y.len()];
            overwrite(&mut more);
            dx.as_mut_slice().iter_mut().zip(more).for_each(|(dx, more)| *dx += more);
        }
    }
}

pub(super) fn sigmoid(x: &Tensor, y: &mut Tensor) {
    kernel::sigmoid(x.as_slice(), y.as_mut_slice());
}

pub(super) fn sigmoid_backward(y: &Tensor, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
    let terms = y.as_slice().iter().zip(dy.as_slice()).map(|(&y, &dy)| dy * y * (1.0 - y));
    put(terms, dx, beta);
}

pub(super) fn clamp(x: &Tensor, bound: f32, y: &mut Tensor) {
    kernel::clamp(x.as_slice(), bound, y.as_mut_slice());
}

pub(super) fn clamp_backward(x: &Tensor, bound: f32, dy: &Tensor, dx: &mut Tensor, beta: Beta) {
    let terms = x.as_slice().iter().zip(dy.as_slice()).map(|(x, &dy)| if x.abs() <= bound { dy } else { 0.0 });
    put(terms, dx, beta);
}

/// Writes `terms` into a gradient, or adds them.
fn put(terms: impl Iterator<Item = f32>, dx: &mut Tensor, beta: Beta) {
    let dx = dx.as_mut_slice().iter_mut().zip(terms);
    match beta {
        Beta::Zero => dx.for_each(|(dx, term)| *dx = term),
        Beta::One => dx.for_each(|(dx, term)| *dx += term),
    }
}
