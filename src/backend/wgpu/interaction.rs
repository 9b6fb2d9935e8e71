//! The interaction: a workgroup a sample, or several where they are small.

use super::device::grid;
use super::{Wgpu, elementwise, memory};
use crate::backend::{Backend, Beta, Interaction};
use crate::tensor::Tensor;
use dlrm_kernels::wgsl::{self, INTERACTION_ROOM};

/// Numbers that a workgroup of 256 threads makes, at least, if samples of that many fit.
const NUMBERS: usize = 1024;

/// Outputs of one sample that a workgroup makes, at most.
const SHARE: usize = 2048;

/// Vectors of a sample, at most, for the shaders: a thread goes round loops for all of them, and Mesa's software driver
/// stops each thread's loops, without a word, after 65,535 rounds in all.
const MAX_FEATURES: usize = 2048;

/// What a shader is to know, and what fits in its room.
struct Plan {
    batch: usize,
    tables: usize,
    dim: usize,
    has_dense: bool,
    itself: bool,
    /// Numbers of a sample's output.
    width: usize,
}

impl Plan {
    /// # Panics
    /// If the shapes do not fit each other, or `out`.
    fn new(kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &Tensor) -> Self {
        let [batch, tables, dim] = *pooled.shape().first_chunk().expect("pooled vectors are B × T × D");
        if let Some(x) = dense {
            let fits = x.rows() == batch && x.cols() == dim;
            assert!(fits, "interaction: dense {:?}, pooled {:?}", x.shape(), pooled.shape());
        }
        let width = kind.width(dense.is_some(), tables, dim);
        let fits = dim > 0 && out.len() == batch * width;
        assert!(fits, "interaction: out {:?}, pooled {:?}, expected {batch} x {width}", out.shape(), pooled.shape());
        Plan { batch, tables, dim, has_dense: dense.is_some(), itself: kind == Interaction::DotItself, width }
    }

    fn features(&self) -> usize {
        self.tables + usize::from(self.has_dense)
    }

    /// Samples a workgroup: what makes [`NUMBERS`] of `each` a sample, or fewer if no more of `size` fit in its room.
    fn samples(&self, each: usize, size: usize) -> usize {
        (NUMBERS / each.max(1)).min(INTERACTION_ROOM / size.max(1)).max(1)
    }

    /// What both shaders are to know, and `more`.
    fn params(&self, samples: usize, chunk: usize, more: [u32; 3]) -> [u32; 11] {
        let Plan { batch, tables, dim, has_dense, itself, width } = *self;
        let [a, b, c, d, e, f, g, h] =
            [batch, tables, dim, usize::from(has_dense), usize::from(itself), width, samples, chunk].map(|v| v as u32);
        [a, b, c, d, e, f, g, h, more[0], more[1], more[2]]
    }

    /// Columns of all vectors that fit beside `kept` numbers, whose rows are an odd number apart if `odd`.
    fn chunk(&self, kept: usize, odd: bool) -> usize {
        let most = (INTERACTION_ROOM - kept) / self.features().max(1);
        let most = if odd && most.is_multiple_of(2) { most.saturating_sub(1) } else { most };
        self.dim.min(most)
    }
}

pub(super) fn forward(gpu: &Wgpu, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
    let plan = Plan::new(kind, dense, pooled, out);
    if kind == Interaction::Cat {
        return cat(gpu, dense, pooled, out);
    }
    if plan.features() > MAX_FEATURES {
        return gpu.fallback().interaction(kind, dense, pooled, out);
    }
    let chunk = plan.chunk(0, true);
    let samples = plan.samples(plan.width, plan.features() * (chunk | 1));
    let samples = if chunk < plan.dim { 1 } else { samples };
    let inputs = [dense.unwrap_or(pooled), pooled].map(|tensor| memory::input(&gpu.device, tensor));
    let (shader, out) = if gpu.device.f16_storage && chunk == plan.dim {
        (&wgsl::INTERACTION_FORWARD_F16, memory::half_output(&gpu.device, out))
    } else {
        (&wgsl::INTERACTION_FORWARD, memory::output(&gpu.device, out))
    };
    let [x, y, _] = grid(plan.batch.div_ceil(samples));
    let share = if samples == 1 { SHARE } else { samples * plan.width };
    let shares = (samples * plan.width).div_ceil(share.max(1));
    let params = plan.params(samples, chunk, [share as u32, 0, 0]);
    gpu.device.dispatch(shader, &[inputs[0], inputs[1], out], &params, [x, y, shares as u32]);
}

/// Columns beside columns.
fn cat(gpu: &Wgpu, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
    // All columns are written.
    memory::output(&gpu.device, out);
    if let Some(x) = dense {
        elementwise::put_columns(gpu, x, 0, out);
    }
    elementwise::put_columns(gpu, pooled, dense.map_or(0, Tensor::cols), out);
}

pub(super) fn backward(
    gpu: &Wgpu,
    kind: Interaction,
    dense: Option<&Tensor>,
    pooled: &Tensor,
    grad_out: &Tensor,
    [grad_dense, grad_pooled]: [Option<(&mut Tensor, Beta)>; 2],
) {
    let plan = Plan::new(kind, dense, pooled, grad_out);
    let grad_dense = grad_dense.filter(|_| dense.is_some());
    for (grad, like) in [(&grad_dense, dense), (&grad_pooled, Some(pooled))] {
        if let (Some((grad, _)), Some(like)) = (grad, like) {
            assert_eq!(grad.len(), like.len(), "interaction: a gradient {:?} of {:?}", grad.shape(), like.shape());
        }
    }
    if kind == Interaction::Cat {
        for (grad, first) in [(grad_dense, 0), (grad_pooled, dense.map_or(0, Tensor::cols))] {
            if let Some((grad, beta)) = grad {
                elementwise::take_columns(gpu, grad_out, first, grad, beta);
            }
        }
        return;
    }
    if plan.features() > MAX_FEATURES {
        return gpu.fallback().interaction_backward(kind, dense, pooled, grad_out, [grad_dense, grad_pooled]);
    }
    let pairs = plan.width - if plan.has_dense { plan.dim } else { 0 };
    // Half of the room for them at most.
    let kept = if pairs <= INTERACTION_ROOM / 2 { pairs } else { 0 };
    let chunk = plan.chunk(kept, false);
    let vectors = plan.features() * chunk;
    let samples = if chunk < plan.dim { 1 } else { plan.samples(vectors, vectors + kept) };
    let to = [&grad_dense, &grad_pooled].map(|grad| grad.as_ref().map_or(0, |(_, beta)| 1 + elementwise::add(*beta)));
    if to == [0, 0] {
        return;
    }
    let inputs = [dense.unwrap_or(pooled), pooled, grad_out].map(|tensor| memory::input(&gpu.device, tensor));
    let grads = [grad_dense, grad_pooled]
        .map(|grad| grad.map_or(&gpu.zero, |(grad, beta)| memory::into(&gpu.device, grad, beta)));
    let buffers = [inputs[0], inputs[1], inputs[2], grads[0], grads[1]];
    let params = plan.params(samples, chunk, [u32::from(kept == pairs), to[0], to[1]]);
    let [x, y, _] = grid(plan.batch.div_ceil(samples));
    gpu.device.dispatch(&wgsl::INTERACTION_BACKWARD, &buffers, &params, [x, y, plan.dim.div_ceil(chunk) as u32]);
}
