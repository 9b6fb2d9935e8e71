//! The interaction, forward and back.

use crate::support::{close, cpu, gpu, open, random, sound};
use dlrm::backend::{Backend, Beta, Interaction, WgpuOptions};
use dlrm::gradcheck::{GradCheck, gradcheck};
use dlrm::{Parameters, Tensor, ops};

const KINDS: [Interaction; 3] = [Interaction::Dot, Interaction::DotItself, Interaction::Cat];

/// B, T and D: several samples a workgroup, one, vectors in several pieces, a triangle that does not fit beside them,
/// and one of many shares.
const SHAPES: [[usize; 3]; 12] = [
    [0, 3, 2],
    [1, 0, 4],
    [1, 1, 1],
    [5, 2, 3],
    [130, 3, 4],
    [9, 26, 16],
    [3, 26, 128],
    [2, 26, 160],
    [2, 27, 151],
    [1, 3, 1100],
    [1, 70, 130],
    [2, 300, 40],
];

fn for_each(mut f: impl FnMut(&str, Interaction, Option<&Tensor>, &Tensor)) {
    for kind in KINDS {
        for [b, t, d] in SHAPES {
            let (dense, pooled) = (random(&[b, d], 1), random(&[b, t, d], 2));
            for dense in [Some(&dense), None] {
                f(&format!("{kind:?} {b}x{t}x{d} {}", dense.is_some()), kind, dense, &pooled);
            }
        }
    }
}

#[test]
fn forward() {
    let Some(gpu) = gpu() else { return };
    for_each(|what, kind, dense, pooled| {
        let [b, t, d] = *pooled.shape() else { unreachable!() };
        let mut out = random(&[b, kind.width(dense.is_some(), t, d)], 3);
        let mut expected = out.clone();
        gpu.interaction(kind, dense, pooled, &mut out);
        cpu().interaction(kind, dense, pooled, &mut expected);
        close(what, out.as_slice(), expected.as_slice(), 1e-5);
    });
    sound(&gpu);
}

#[test]
fn backward() {
    let Some(gpu) = gpu() else { return };
    for_each(|what, kind, dense, pooled| {
        let [b, t, d] = *pooled.shape() else { unreachable!() };
        let grad_out = random(&[b, kind.width(dense.is_some(), t, d)], 3);
        if b == 0 || t == 0 {
            return;
        }
        let wanted = [Some(Beta::Zero), Some(Beta::One), None];
        for (i, betas) in wanted.into_iter().flat_map(|a| wanted.map(|b| [a, b])).enumerate() {
            // All of them where they are quick.
            if b * t * d > 1000 && i % 4 != 0 {
                continue;
            }
            let start = [random(&[b, d], 4), random(&[b, t, d], 5)];
            let [mut grads, mut expected] = [start.clone(), start];
            for (backend, grads) in [(&*gpu as &dyn Backend, &mut grads), (&cpu(), &mut expected)] {
                let [x, p] = grads;
                let targets = [betas[0].map(|beta| (x, beta)), betas[1].map(|beta| (p, beta))];
                backend.interaction_backward(kind, dense, pooled, &grad_out, targets);
            }
            for (grad, expected) in grads.iter().zip(&expected) {
                close(&format!("{what} {betas:?}"), grad.as_slice(), expected.as_slice(), 1e-5);
            }
        }
    });
    sound(&gpu);
}

#[test]
fn a_great_many_vectors_are_the_processor_s() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    for (tables, fallbacks) in [(2048, 0), (2049, 2)] {
        let (pooled, width) = (random(&[1, tables, 1], 1), Interaction::Dot.width(false, tables, 1));
        let [mut out, mut expected] = [0, 1].map(|_| Tensor::zeros(&[1, width]));
        gpu.interaction(Interaction::Dot, None, &pooled, &mut out);
        cpu().interaction(Interaction::Dot, None, &pooled, &mut expected);
        close(&format!("{tables}"), out.as_slice(), expected.as_slice(), 1e-6);
        let [mut grad, mut expected] = [0, 1].map(|_| Tensor::zeros(&[1, tables, 1]));
        let mut grad_out = Tensor::zeros(&[1, width]);
        grad_out.as_mut_slice()[width - 3..].copy_from_slice(&[1.0, 2.0, 3.0]);
        gpu.interaction_backward(Interaction::Dot, None, &pooled, &grad_out, [None, Some((&mut grad, Beta::Zero))]);
        cpu().interaction_backward(
            Interaction::Dot,
            None,
            &pooled,
            &grad_out,
            [None, Some((&mut expected, Beta::Zero))],
        );
        close(&format!("{tables}"), grad.as_slice(), expected.as_slice(), 1e-5);
        assert_eq!(gpu.counts().fallbacks, fallbacks);
    }
    sound(&gpu);
}

#[test]
fn gradients() {
    let Some(gpu) = gpu() else { return };
    for kind in KINDS {
        let inputs = [random(&[2, 3], 1), random(&[2, 4, 3], 2)];
        gradcheck(&mut Parameters::new(gpu.clone()), &inputs, GradCheck::default(), |tape, _, x| {
            ops::interaction(tape, kind, Some(x[0]), x[1])
        });
    }
    sound(&gpu);
}
