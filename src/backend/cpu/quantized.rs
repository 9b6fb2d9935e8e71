//! Weights in fewer bytes, and the layers that have them: batches cut by rows.

use super::linear::{MAX_ROWS, ROW_GRAIN};
use super::{Activation, Cpu, with_scratch};
use crate::backend::{DenseParameter, PackedWeight, WeightFormat};
use crate::tensor::Tensor;
use dlrm_kernels::quantized as kernel;

pub(super) fn pack(cpu: &Cpu, weight: &Tensor, format: WeightFormat, packed: &mut PackedWeight) {
    let (isa, w, n, k) = (cpu.isa, weight.as_slice(), weight.rows(), weight.cols());
    let PackedWeight { forward, backward, format: stored } = packed;
    backward.resize(0);
    *stored = Some(format);
    match format {
        WeightFormat::F16 => {
            // Panels have an even number of columns.
            forward.resize(kernel::f16_len(isa, n, k) / 2);
            kernel::pack_f16(isa, w, n, k, bytemuck::cast_slice_mut(forward.as_mut_slice()));
        }
        WeightFormat::Int8 => {
            forward.resize(kernel::int8_len(isa, n, k));
            kernel::pack_int8(isa, w, n, k, bytemuck::cast_slice_mut(forward.as_mut_slice()));
        }
    }
}

pub(super) fn linear(
    cpu: &Cpu,
    format: WeightFormat,
    x: &Tensor,
    weight: &DenseParameter,
    bias: Option<&DenseParameter>,
    act: Activation,
    y: &mut Tensor,
) {
    let (m, n, k, isa) = (x.rows(), weight.shape()[0], weight.shape()[1], cpu.isa);
    let (x, packed) = (x.as_slice(), weight.packed().forward.as_slice());
    let bias = bias.map(|b| b.value().as_slice());
    let rows = cpu.piece(m, 2 * m * n * k, ROW_GRAIN, MAX_ROWS);
    cpu.for_each_piece(y.as_mut_slice(), rows * n, |i, y| {
        let m = y.len() / n;
        let x = &x[i * rows * k..][..m * k];
        with_scratch(|scratch| match format {
            WeightFormat::F16 => {
                kernel::linear_f16(isa, x, bytemuck::cast_slice(packed), bias, act, y, m, n, k, scratch);
            }
            WeightFormat::Int8 => {
                kernel::linear_int8(isa, x, bytemuck::cast_slice(packed), bias, act, y, m, n, k, scratch);
            }
        });
    });
}
