//! The interaction: batches cut by rows.

use super::{Beta, Cpu, Interaction, with_scratch};
use crate::tensor::Tensor;
use dlrm_kernels::interaction as kernel;
use rayon::prelude::*;

/// Samples a piece, at most.
const MAX_SAMPLES: usize = 128;

/// `B`, `T` and `D`.
fn dims(pooled: &Tensor) -> [usize; 3] {
    *pooled.shape().first_chunk().expect("pooled vectors are B × T × D")
}

/// Roughly the floating-point operations of a sample.
fn work(dense: Option<&Tensor>, pooled: &Tensor) -> usize {
    let [b, t, d] = dims(pooled);
    let f = t + usize::from(dense.is_some());
    b * f * f * d
}

pub(super) fn forward(cpu: &Cpu, kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &mut Tensor) {
    let [b, t, d] = dims(pooled);
    if let Some(x) = dense {
        assert!(x.rows() == b && x.cols() == d, "interaction: dense {:?}, pooled {:?}", x.shape(), pooled.shape());
    }
    let rows = cpu.piece(b, work(dense, pooled), 1, MAX_SAMPLES);
    let width = out.cols();
    let (x, p) = (dense.map(Tensor::as_slice), pooled.as_slice());
    cpu.for_each_piece(out.as_mut_slice(), rows * width, |i, out| {
        let m = out.len() / width;
        let x = x.map(|x| &x[i * rows * d..][..m * d]);
        let p = &p[i * rows * t * d..][..m * t * d];
        match kind {
            Interaction::Cat => kernel::interaction_cat(x, p, t, d, out),
            _ => with_scratch(|scratch| {
                kernel::interaction_dot(cpu.isa, x, p, t, d, kind == Interaction::DotItself, out, scratch);
            }),
        }
    });
}

pub(super) fn backward(
    cpu: &Cpu,
    kind: Interaction,
    dense: Option<&Tensor>,
    pooled: &Tensor,
    grad_out: &Tensor,
    [grad_dense, grad_pooled]: [Option<(&mut Tensor, Beta)>; 2],
) {
    let mut spare = [Tensor::default(), Tensor::default()];
    let [spare_dense, spare_pooled] = &mut spare;
    let mut of_dense = dense.map(|x| Target::new(grad_dense, spare_dense, x));
    let mut of_pooled = Target::new(grad_pooled, spare_pooled, pooled);
    overwrite(cpu, kind, dense, pooled, grad_out, of_dense.as_mut().map(|t| t.tensor()), of_pooled.tensor());
    of_pooled.finish();
    if let Some(of_dense) = of_dense {
        of_dense.finish();
    }
}

/// Where the kernel writes a gradient: in place if it may be overwritten, else into a spare that
/// is added afterwards.
struct Target<'a> {
    grad: Option<&'a mut Tensor>,
    spare: Option<&'a mut Tensor>,
}

impl<'a> Target<'a> {
    fn new(grad: Option<(&'a mut Tensor, Beta)>, spare: &'a mut Tensor, like: &Tensor) -> Self {
        match grad {
            Some((grad, Beta::Zero)) => Target { grad: Some(grad), spare: None },
            other => {
                spare.resize(&like.shape());
                Target { grad: other.map(|(grad, _)| grad), spare: Some(spare) }
            }
        }
    }

    fn tensor(&mut self) -> &mut Tensor {
        self.spare.as_deref_mut().or(self.grad.as_deref_mut()).expect("a gradient or a spare")
    }

    fn finish(self) {
        if let (Some(grad), Some(spare)) = (self.grad, self.spare) {
            grad.as_mut_slice().iter_mut().zip(spare.as_slice()).for_each(|(g, s)| *g += s);
        }
    }
}

fn overwrite(
    cpu: &Cpu,
    kind: Interaction,
    dense: Option<&Tensor>,
    pooled: &Tensor,
    grad_out: &Tensor,
    grad_dense: Option<&mut Tensor>,
    grad_pooled: &mut Tensor,
) {
    let ([b, t, d], width) = (dims(pooled), grad_out.cols());
    let rows = cpu.piece(b, 2 * work(dense, pooled), 1, MAX_SAMPLES);
    let (x, p, g) = (dense.map(Tensor::as_slice), pooled.as_slice(), grad_out.as_slice());
    let piece = |i: usize, grad_x: Option<&mut [f32]>, grad_p: &mut [f32]| {
        let m = grad_p.len() / (t * d);
        let x = x.map(|x| &x[i * rows * d..][..m * d]);
        let p = &p[i * rows * t * d..][..m * t * d];
        let g = &g[i * rows * width..][..m * width];
        match kind {
            Interaction::Cat => kernel::interaction_cat_backward(g, t, d, grad_x, grad_p),
            _ => with_scratch(|scratch| {
                let itself = kind == Interaction::DotItself;
                kernel::interaction_dot_backward(cpu.isa, x, p, g, t, d, itself, grad_x, grad_p, scratch);
            }),
        }
    };
    match grad_dense.map(Tensor::as_mut_slice) {
        grad_x if rows >= b => piece(0, grad_x, grad_pooled.as_mut_slice()),
        None => cpu.for_each_piece(grad_pooled.as_mut_slice(), rows * t * d, |i, grad_p| piece(i, None, grad_p)),
        Some(grad_x) => cpu.pool.install(|| {
            let grad_p = grad_pooled.as_mut_slice().par_chunks_mut(rows * t * d);
            let both = grad_x.par_chunks_mut(rows * d).zip(grad_p).enumerate();
            both.for_each(|(i, (grad_x, grad_p))| piece(i, Some(grad_x), grad_p));
        }),
    }
}
