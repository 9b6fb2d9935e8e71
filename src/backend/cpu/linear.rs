//! Linear layers: batches cut by rows forward, weights cut by rows backward.

use super::{Activation, Beta, Cpu, LinearGrads, with_scratch};
use crate::backend::{DenseParameter, PackedWeight, WeightFormat};
use crate::tensor::Tensor;
use dlrm_kernels::{elementwise, gemm, quantized};
use rayon::prelude::*;

/// Rows of a batch a piece: halves of 128 should be 64, and an uneven last tile costs little.
const ROW_GRAIN: usize = 4;

/// At most this many rows a piece, so that large batches balance over uneven threads.
const MAX_ROWS: usize = 264;

/// Rows that are masked just before they are multiplied: four register tiles, 112 KiB of 512 columns.
const MASKED_ROWS: usize = 56;

/// Rows of `dW` a piece: halves of what layers have should be halves, and an uneven last tile costs little.
const WEIGHT_GRAIN: usize = 4;

/// `N` and `K` of a weight, `out × in`.
fn dims(weight: &DenseParameter) -> (usize, usize) {
    (weight.shape()[0], weight.shape()[1])
}

pub(super) fn packed_lens(cpu: &Cpu, n: usize, k: usize) -> [usize; 2] {
    [gemm::packed_len(cpu.isa, n, k), gemm::packed_backward_len(cpu.isa, n, k)]
}

pub(super) fn pack(cpu: &Cpu, weight: &Tensor, packed: &mut PackedWeight) {
    let (isa, w, n, k) = (cpu.isa, weight.as_slice(), weight.rows(), weight.cols());
    let [forward_len, backward_len] = packed_lens(cpu, n, k);
    packed.forward.resize(forward_len);
    packed.backward.resize(backward_len);
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
    assert_eq!(x.cols(), k, "linear: X {:?}, W {:?}", x.shape(), weight.shape());
    let (x, packed) = (x.as_slice(), weight.packed().forward.as_slice());
    let bias = bias.map(|b| b.value().as_slice());
    let rows = cpu.piece(m, 2 * m * n * k, ROW_GRAIN, MAX_ROWS);
    cpu.for_each_piece(y.as_mut_slice(), rows * n, |i, y| {
        let m = y.len() / n;
        let x = &x[i * rows * k..][..m * k];
        with_scratch(|scratch| match weight.format() {
            None => gemm::linear(cpu.isa, x, packed, bias, act, y, m, n, k, scratch),
            Some(WeightFormat::F16) => {
                quantized::linear_f16(cpu.isa, x, bytemuck::cast_slice(packed), bias, act, y, m, n, k, scratch);
            }
            Some(WeightFormat::Int8) => {
                quantized::linear_int8(cpu.isa, x, bytemuck::cast_slice(packed), bias, act, y, m, n, k, scratch);
            }
        });
    });
}

pub(super) fn backward(
    cpu: &Cpu,
    [x, y]: [&Tensor; 2],
    dy: &mut Tensor,
    weight: &DenseParameter,
    act: Activation,
    grads: LinearGrads<'_>,
) {
    weight.check_f32();
    let (m, (n, k)) = (x.rows(), dims(weight));
    let fits = dy.rows() == m && dy.cols() == n && x.cols() == k && y.shape() == dy.shape();
    assert!(fits, "linear backward: X {:?}, Y {:?}, dY {:?}, W {:?}", x.shape(), y.shape(), dy.shape(), weight.shape());
    let mask = (act == Activation::Relu).then(|| y.as_slice());
    let product = Product { cpu, m, n, k };
    product.mask_and_backward_input(mask, dy.as_mut_slice(), weight.packed().backward.as_slice(), grads.x);
    product.backward_parameters(dy.as_slice(), x.as_slice(), grads.weight, grads.bias);
}

/// The sizes of a layer's products.
struct Product<'a> {
    cpu: &'a Cpu,
    m: usize,
    n: usize,
    k: usize,
}

impl Product<'_> {
    /// `dZ` from `dY`, in place, and `dX` from the rows of it that are still in the cache.
    fn mask_and_backward_input(
        &self,
        mask: Option<&[f32]>,
        dy: &mut [f32],
        packed: &[f32],
        dx: Option<(&mut Tensor, Beta)>,
    ) {
        let Product { cpu, m, n, k } = *self;
        let rows = cpu.piece(m, 2 * m * n * k, ROW_GRAIN, MAX_ROWS);
        // Those rows of dY whose first value is the from-th of all.
        let make_dz = |from: usize, dy: &mut [f32]| {
            if let Some(y) = mask {
                elementwise::relu_backward(cpu.isa, &y[from..][..dy.len()], dy);
            }
        };
        let Some((dx, beta)) = dx else {
            return if mask.is_some() {
                cpu.for_each_piece(dy, rows * n, |i, dy| make_dz(i * rows * n, dy))
            };
        };
        let both = |i: usize, dy: &mut [f32], dx: &mut [f32]| {
            let blocks = dy.chunks_mut(MASKED_ROWS * n).zip(dx.chunks_mut(MASKED_ROWS * k)).enumerate();
            for (b, (dy, dx)) in blocks {
                make_dz((i * rows + b * MASKED_ROWS) * n, dy);
                let m = dx.len() / k;
                with_scratch(|s| gemm::linear_backward_input(cpu.isa, dy, packed, dx, m, n, k, beta, s));
            }
        };
        cpu.for_each_pair((dy, rows * n), (dx.as_mut_slice(), rows * k), both);
    }

    /// `dW` and `db` from `dZ`.
    fn backward_parameters(
        &self,
        dz: &[f32],
        x: &[f32],
        (dw, beta): (&mut Tensor, Beta),
        db: Option<(&mut Tensor, Beta)>,
    ) {
        let Product { cpu, m, n, k } = *self;
        assert!(dw.rows() == n && dw.cols() == k, "linear backward: dW {:?} of {n} x {k}", dw.shape());
        let rows = cpu.piece(n, 2 * m * n * k, WEIGHT_GRAIN, usize::MAX);
        let piece = |i: usize, dw: &mut [f32], db: Option<(&mut [f32], Beta)>| {
            let range = i * rows..i * rows + dw.len() / k;
            with_scratch(|s| gemm::linear_backward_weight(cpu.isa, dz, x, dw, db, m, n, k, range, beta, s));
        };
        let dw = dw.as_mut_slice();
        match db {
            None => cpu.for_each_piece(dw, rows * k, |i, dw| piece(i, dw, None)),
            Some((db, beta)) => cpu.for_each_pair((dw, rows * k), (db.as_mut_slice(), rows), |i, dw, db| {
                piece(i, dw, Some((db, beta)));
            }),
        }
    }
}
