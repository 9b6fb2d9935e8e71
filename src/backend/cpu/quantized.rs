//! Weights in fewer bytes.

use super::Cpu;
use crate::backend::{PackedWeight, WeightFormat};
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
