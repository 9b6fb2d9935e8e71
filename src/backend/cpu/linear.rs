//! Linear layers: batches cut by rows forward, weights cut by rows backward.

use super::{Activation, Beta, Cpu};
use crate::backend::{DenseParameter, PackedWeight};
use crate::tensor::Tensor;
use dlrm_kernels::{elementwise, gemm};
use rayon::prelude::*;

/// Rows of a batch a piece: halves of 128 should be 64, and an uneven last tile costs little.
const ROW_GRAIN: usize = 4;

/// At most this many rows a piece, so that large batches balance over uneven threads.
const MAX_ROWS: usize = 264;

/// Rows of `dW` a piece, in multiples of a register tile's height.
const WEIGHT_GRAIN: usize = 24;

/// `N` and `K` of a weight, `out × in`.
fn dims(weight: &DenseParameter) -> (usize, usize) {
    (weight.value().rows(), weight.value().cols())
}

pub(super) fn pack(cpu: &Cpu, weight: &Tensor, packed: &mut PackedWeight) {
    let (isa, w, n, k) = (cpu.isa, weight.as_slice(), weight.rows(), weight.cols());
    packed.forward.resize(gemm::packed_len(isa, n, k));
    packed.backward.resize(gemm::packed_backward_len(isa, n, k));
    let (forward, backward) = (packed.forward.as_mut_slice(), packed.backward.as_mut_slice());
    let width = gemm::panel_width(isa);
    let pack_forward = |(i, panel): (usize, &mut [f32])| gemm::pack_forward_panel(isa, w, n, k, i, panel);
    let pack_backward = |(i, panel): (usize, &mut [f32])| gemm::pack_backward_panel(isa, w, n, k, i, panel);
    if cpu.threads == 1 || n * k * 8 < super::MIN_PARALLEL_WORK {
        forward.chunks_mut(k * width).enumerate().for_each(pack_forward);
        backward.chunks_mut(n * width).enumerate().for_each(pack_backward);
        return;
    }
    cpu.pool.install(|| {
        rayon::join(
            || forward.par_chunks_mut(k * width).enumerate().for_each(pack_forward),
            || backward.par_chunks_mut(n * width).enumerate().for_each(pack_backward),
        )
    });
}

pub(super) fn forward(
    cpu: &Cpu,
    x: &Tensor,
    weight: &DenseParameter,
    bias: Option<&DenseParameter>,
    act: Activation,
    y: &mut Tensor,
) {
    let (m, (n, k)) = (x.rows(), dims(weight));
    assert_eq!(x.cols(), k, "linear: X {:?}, W {:?}", x.shape(), weight.value().shape());
    let (x, packed) = (x.as_slice(), weight.packed().forward.as_slice());
    let bias = bias.map(|b| b.value().as_slice());
    let rows = cpu.piece(m, 2 * m * n * k, ROW_GRAIN, MAX_ROWS);
    cpu.for_each_piece(y.as_mut_slice(), rows * n, |i, y| {
        let m = y.len() / n;
        let x = &x[i * rows * k..][..m * k];
        gemm::linear(cpu.isa, x, packed, bias, act, y, m, n, k);
    });
}

pub(super) fn backward_input(cpu: &Cpu, dy: &Tensor, weight: &DenseParameter, dx: &mut Tensor, beta: Beta) {
    let (m, (n, k)) = (dy.rows(), dims(weight));
    assert_eq!(dy.cols(), n, "linear backward: dY {:?}, W {:?}", dy.shape(), weight.value().shape());
    let (dy, packed) = (dy.as_slice(), weight.packed().backward.as_slice());
    let rows = cpu.piece(m, 2 * m * n * k, ROW_GRAIN, MAX_ROWS);
    cpu.for_each_piece(dx.as_mut_slice(), rows * k, |i, dx| {
        let m = dx.len() / k;
        let dy = &dy[i * rows * n..][..m * n];
        gemm::linear_backward_input(cpu.isa, dy, packed, dx, m, n, k, beta);
    });
}

pub(super) fn backward_weight(cpu: &Cpu, dy: &Tensor, x: &Tensor, dw: &mut Tensor, beta: Beta) {
    let (m, n, k) = (x.rows(), dw.rows(), dw.cols());
    let fits = dy.rows() == m && dy.cols() == n && x.cols() == k;
    assert!(fits, "linear backward: dY {:?}, X {:?}, dW {:?}", dy.shape(), x.shape(), dw.shape());
    let (dy, x) = (dy.as_slice(), x.as_slice());
    let rows = cpu.piece(n, 2 * m * n * k, WEIGHT_GRAIN, usize::MAX);
    cpu.for_each_piece(dw.as_mut_slice(), rows * k, |i, dw| {
        let range = i * rows..i * rows + dw.len() / k;
        gemm::linear_backward_weight(cpu.isa, dy, x, dw, m, n, k, range, beta);
    });
}

pub(super) fn backward_bias(cpu: &Cpu, dy: &Tensor, db: &mut Tensor, beta: Beta) {
    let (m, n) = (dy.rows(), dy.cols());
    assert_eq!(db.len(), n, "linear backward: dY {:?}, db {:?}", dy.shape(), db.shape());
    let columns = cpu.piece(n, 4 * m * n, 64, usize::MAX);
    cpu.for_each_piece(db.as_mut_slice(), columns, |i, db| {
        let range = i * columns..i * columns + db.len();
        gemm::column_sums(cpu.isa, dy.as_slice(), m, n, range, db, beta);
    });
}

pub(super) fn relu_backward(cpu: &Cpu, y: &Tensor, dy: &mut Tensor) {
    assert_eq!(y.shape(), dy.shape(), "relu backward: Y and dY");
    let y = y.as_slice();
    let len = cpu.piece(y.len(), 4 * y.len(), 1024, usize::MAX);
    cpu.for_each_piece(dy.as_mut_slice(), len, |i, dy| {
        elementwise::relu_backward(cpu.isa, &y[i * len..][..dy.len()], dy);
    });
}
