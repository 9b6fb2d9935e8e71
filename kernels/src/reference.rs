//! Every operation again, in the plainest loops: what the fast kernels are measured against, in
//! tests, in benches and by readers. Same arguments, without the instruction set; sums run in index
//! order in f32, so that where a kernel promises bits, these are the bits.

#![allow(clippy::needless_range_loop)] // the loops are written as the formulas are

use crate::embedding_bag::{Bags, Pooling};
use crate::optim::AdamStep;

/// `Y = X · Wᵀ + b`, negative values to 0 if `relu`: x M × K, w N × K, y M × N.
pub fn linear(x: &[f32], w: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32], [m, n, k]: [usize; 3]) {
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0;
            for p in 0..k {
                sum += x[i * k + p] * w[j * k + p];
            }
            sum += bias.map_or(0.0, |b| b[j]);
            y[i * n + j] = if relu && sum < 0.0 { 0.0 } else { sum };
        }
    }
}

/// [`linear_int8`](crate::quantized::linear_int8) of a weight that is not packed.
pub fn linear_int8(x: &[f32], w: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32], [m, n, k]: [usize; 3]) {
    let max = w.iter().fold(0.0, |max: f32, v| max.max(v.abs()));
    let w: Vec<i32> = w.iter().map(|v| (v * (127.0 / max)).round_ties_even() as i32).collect();
    for i in 0..m {
        let row = &x[i * k..][..k];
        let low = row.iter().fold(0.0, |low: f32, &v| low.min(v));
        let high = row.iter().fold(0.0, |high: f32, &v| high.max(v));
        let steps = 255.0 / (high - low);
        let zero = (-low * steps).round_ties_even();
        let row: Vec<i32> = row.iter().map(|v| (v * steps + zero).round_ties_even().clamp(0.0, 255.0) as i32).collect();
        for j in 0..n {
            let mut sum = 0;
            for p in 0..k {
                sum += (row[p] - zero as i32) * w[j * k + p];
            }
            let v = sum as f32 * ((high - low) / 255.0 * (max / 127.0)) + bias.map_or(0.0, |b| b[j]);
            y[i * n + j] = if relu && v < 0.0 { 0.0 } else { v };
        }
    }
}

/// `dX = dY · W`: dy M × N, w N × K, dx M × K.
pub fn linear_backward_input(dy: &[f32], w: &[f32], dx: &mut [f32], [m, n, k]: [usize; 3]) {
    for i in 0..m {
        for p in 0..k {
            dx[i * k + p] = (0..n).map(|j| dy[i * n + j] * w[j * k + p]).sum();
        }
    }
}

/// `dW = dYᵀ · X`: dy M × N, x M × K, dw N × K.
pub fn linear_backward_weight(dy: &[f32], x: &[f32], dw: &mut [f32], [m, n, k]: [usize; 3]) {
    for j in 0..n {
        for p in 0..k {
            dw[j * k + p] = (0..m).map(|i| dy[i * n + j] * x[i * k + p]).sum();
        }
    }
}

/// `out[j] = Σ_i dy[i][j]`: dy M × N.
pub fn column_sums(dy: &[f32], m: usize, n: usize, out: &mut [f32]) {
    for j in 0..n {
        out[j] = 0.0;
        for i in 0..m {
            out[j] += dy[i * n + j];
        }
    }
}

/// [`embedding_bag`](crate::embedding_bag::embedding_bag).
pub fn embedding_bag(table: &[f32], dim: usize, bags: Bags, pooling: Pooling, out: &mut [f32], out_stride: usize) {
    for b in 0..bags.num_bags() {
        let bag = bags.slice(b..b + 1).lookups();
        for d in 0..dim {
            let mut sum = 0.0;
            for i in bag.clone() {
                sum += bags.weights.map_or(1.0, |w| w[i]) * table[bags.indices[i] as usize * dim + d];
            }
            if pooling == Pooling::Mean && !bag.is_empty() {
                sum /= bag.len() as f32;
            }
            out[b * out_stride + d] = sum;
        }
    }
}

/// The sparse gradient: the rows that were looked up, ascending, and a row of `dim` for each.
pub fn embedding_bag_backward(
    bags: Bags,
    pooling: Pooling,
    grad_out: &[f32],
    grad_stride: usize,
    dim: usize,
) -> (Vec<u32>, Vec<f32>) {
    let mut gradient = std::collections::BTreeMap::new();
    for b in 0..bags.num_bags() {
        let bag = bags.slice(b..b + 1).lookups();
        for i in bag.clone() {
            let mut coefficient = bags.weights.map_or(1.0, |w| w[i]);
            if pooling == Pooling::Mean {
                coefficient /= bag.len() as f32;
            }
            let row = gradient.entry(bags.indices[i]).or_insert_with(|| vec![0.0; dim]);
            for d in 0..dim {
                row[d] += coefficient * grad_out[b * grad_stride + d];
            }
        }
    }
    (gradient.keys().copied().collect(), gradient.into_values().flatten().collect())
}

/// [`per_sample_weight_backward`](crate::embedding_bag::per_sample_weight_backward).
pub fn per_sample_weight_backward(
    table: &[f32],
    dim: usize,
    bags: Bags,
    pooling: Pooling,
    grad_out: &[f32],
    grad_stride: usize,
    out: &mut [f32],
) {
    let first = bags.lookups().start;
    for b in 0..bags.num_bags() {
        let bag = bags.slice(b..b + 1).lookups();
        for i in bag.clone() {
            let row = &table[bags.indices[i] as usize * dim..][..dim];
            out[i - first] = dot16(&grad_out[b * grad_stride..][..dim], row);
            if pooling == Pooling::Mean {
                out[i - first] /= bag.len() as f32;
            }
        }
    }
}

/// `Σ a[i] · b[i]` in sixteen partial sums, then by halves: the order that the kernels keep on
/// every instruction set.
pub fn dot16(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    for i in 0..a.len() {
        sums[i % 16] += a[i] * b[i];
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0]
}

/// Feature `i` of sample `b`: the dense vector first, if there is one.
fn feature<'a>(
    dense: Option<&'a [f32]>,
    pooled: &'a [f32],
    tables: usize,
    dim: usize,
    b: usize,
    i: usize,
) -> &'a [f32] {
    match dense {
        Some(dense) if i == 0 => &dense[b * dim..][..dim],
        _ => &pooled[(b * tables + i - usize::from(dense.is_some())) * dim..][..dim],
    }
}

/// The pairs of the lower triangle, row by row.
fn pairs(features: usize, itself: bool) -> impl Iterator<Item = (usize, usize)> {
    (0..features).flat_map(move |i| (0..i + usize::from(itself)).map(move |j| (i, j)))
}

/// [`interaction_dot`](crate::interaction::interaction_dot) of `batch` samples.
pub fn interaction_dot(
    dense: Option<&[f32]>,
    pooled: &[f32],
    [batch, tables, dim]: [usize; 3],
    itself: bool,
) -> Vec<f32> {
    let mut out = Vec::new();
    for b in 0..batch {
        let t = |i| feature(dense, pooled, tables, dim, b, i);
        if dense.is_some() {
            out.extend_from_slice(t(0));
        }
        for (i, j) in pairs(tables + usize::from(dense.is_some()), itself) {
            out.push(t(i).iter().zip(t(j)).map(|(a, b)| a * b).sum());
        }
    }
    out
}

/// [`interaction_dot_backward`](crate::interaction::interaction_dot_backward) of `batch` samples:
/// the gradients of `dense` (empty if there is none) and of `pooled`.
pub fn interaction_dot_backward(
    dense: Option<&[f32]>,
    pooled: &[f32],
    grad_out: &[f32],
    [batch, tables, dim]: [usize; 3],
    itself: bool,
) -> (Vec<f32>, Vec<f32>) {
    let lead = usize::from(dense.is_some());
    let (mut grad_dense, mut grad_pooled) = (Vec::new(), Vec::new());
    let mut grad_out = grad_out.iter();
    for b in 0..batch {
        let t = |i| feature(dense, pooled, tables, dim, b, i);
        let mut grad = vec![vec![0.0; dim]; tables + lead];
        for d in 0..dim * lead {
            grad[0][d] += grad_out.next().expect("one gradient an output");
        }
        for ((i, j), g) in pairs(tables + lead, itself).zip(&mut grad_out) {
            for d in 0..dim {
                grad[i][d] += g * t(j)[d];
                grad[j][d] += g * t(i)[d];
            }
        }
        grad_dense.extend(grad[..lead].concat());
        grad_pooled.extend(grad[lead..].concat());
    }
    (grad_dense, grad_pooled)
}

/// [`sgd`](crate::optim::sgd).
pub fn sgd(w: &mut [f32], g: &[f32], lr: f32) {
    for i in 0..w.len() {
        w[i] -= lr * g[i];
    }
}

/// [`adagrad`](crate::optim::adagrad).
pub fn adagrad(w: &mut [f32], g: &[f32], state: &mut [f32], lr: f32, eps: f32) {
    for i in 0..w.len() {
        state[i] += g[i] * g[i];
        w[i] -= lr * g[i] / (state[i].sqrt() + eps);
    }
}

/// Row-wise Adagrad on one row, with its one value of state.
pub fn rowwise_adagrad(w: &mut [f32], g: &[f32], state: &mut f32, lr: f32, eps: f32) {
    *state += dot16(g, g) / w.len() as f32;
    for i in 0..w.len() {
        w[i] -= lr / (state.sqrt() + eps) * g[i];
    }
}

/// [`adam`](crate::optim::adam), as PyTorch writes it: `eps` beside the corrected root.
pub fn adam(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: AdamStep) {
    let AdamStep { lr, beta1, beta2, eps, step } = step;
    let correction1 = 1.0 - beta1.powi(step as i32);
    let correction2 = 1.0 - beta2.powi(step as i32);
    for i in 0..w.len() {
        m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
        w[i] -= lr / correction1 * m[i] / (v[i].sqrt() / correction2.sqrt() + eps);
    }
}

/// [`adam_rows`](crate::optim::adam_rows) on one row, as PyTorch's `SparseAdam` writes it: `eps`
/// beside the uncorrected root.
pub fn sparse_adam(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: AdamStep) {
    let AdamStep { lr, beta1, beta2, eps, step } = step;
    let correction1 = 1.0 - beta1.powi(step as i32);
    let correction2 = 1.0 - beta2.powi(step as i32);
    for i in 0..w.len() {
        m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
        w[i] -= lr * correction2.sqrt() / correction1 * m[i] / (v[i].sqrt() + eps);
    }
}
