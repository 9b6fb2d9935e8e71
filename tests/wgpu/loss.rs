//! Losses, the logistic function and the limit of logits.

use crate::support::{close, cpu, gpu, random, sound};
use dlrm::backend::{Backend, Beta, LossKind};
use dlrm::gradcheck::{GradCheck, gradcheck};
use dlrm::{Parameters, Tensor, ops};

const KINDS: [LossKind; 3] = [LossKind::BCE, LossKind::Bce { class_weights: [0.3, 2.0] }, LossKind::Mse];
const LENS: [usize; 7] = [1, 2, 31, 255, 256, 257, 3001];
const BETAS: [Beta; 2] = [Beta::Zero, Beta::One];

/// Logits from -20 to 20, and labels of both classes.
fn samples(len: usize) -> [Tensor; 2] {
    let [mut x, mut y] = [random(&[len], 1), random(&[len], 2)];
    x.as_mut_slice().iter_mut().for_each(|x| *x = 20.0 * x.powi(3));
    y.as_mut_slice().iter_mut().for_each(|y| *y = f32::from(u8::from(*y > 0.5)));
    [x, y]
}

/// As [`close`], where what is no number on one side is none on the other.
#[track_caller]
fn alike(what: &str, a: &[f32], b: &[f32]) {
    let known = |values: &[f32]| values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect::<Vec<_>>();
    let nans = |values: &[f32]| values.iter().map(|v| v.is_nan()).collect::<Vec<_>>();
    assert_eq!(nans(a), nans(b), "{what}: {a:?}, not {b:?}");
    close(what, &known(a), &known(b), 1e-6);
}

#[test]
fn losses_and_their_gradients() {
    let Some(gpu) = gpu() else { return };
    for kind in KINDS {
        for len in LENS {
            let ([x, y], what) = (samples(len), format!("{kind:?} {len}"));
            let g = Tensor::from_slice(&[1], &[0.7]);
            let loss = |backend: &dyn Backend| {
                let mut out = random(&[1], 3);
                backend.loss(kind, &x, &y, &mut out);
                out
            };
            close(&what, loss(&*gpu).as_slice(), loss(&cpu()).as_slice(), 1e-6);
            for beta in BETAS {
                let gradient = |backend: &dyn Backend| {
                    let mut dx = random(&[len], 4);
                    backend.loss_backward(kind, &x, &y, &g, &mut dx, beta);
                    dx
                };
                close(&what, gradient(&*gpu).as_slice(), gradient(&cpu()).as_slice(), 1e-6);
            }
        }
    }
    sound(&gpu);
}

#[test]
fn small_losses_keep_their_digits() {
    let Some(gpu) = gpu() else { return };
    for x in [1.0f32, 3.0, 7.0, 15.0, 30.0, 60.0] {
        let (x, y) = (Tensor::from_slice(&[1], &[x]), Tensor::from_slice(&[1], &[1.0]));
        let mut losses = [Tensor::zeros(&[1]), Tensor::zeros(&[1])];
        gpu.loss(LossKind::BCE, &x, &y, &mut losses[0]);
        cpu().loss(LossKind::BCE, &x, &y, &mut losses[1]);
        let [a, b] = [0, 1].map(|i| losses[i].as_slice()[0]);
        assert!((a - b).abs() <= 1e-5 * b, "{:?}: {a}, not {b}", x.as_slice());
    }
    sound(&gpu);
}

#[test]
fn what_is_not_finite_goes_the_way_it_goes_on_the_processor() {
    let Some(gpu) = gpu() else { return };
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 200.0, -200.0, 0.0, -0.0];
    for x in odd {
        for label in [0.0, 1.0, f32::NAN] {
            let (x, y) = (Tensor::from_slice(&[2], &[0.5, x]), Tensor::from_slice(&[2], &[1.0, label]));
            let g = Tensor::from_slice(&[1], &[1.0]);
            let all = |backend: &dyn Backend| {
                let mut found = Vec::new();
                for kind in KINDS {
                    let (mut loss, mut dx) = (Tensor::zeros(&[1]), Tensor::zeros(&[2]));
                    backend.loss(kind, &x, &y, &mut loss);
                    backend.loss_backward(kind, &x, &y, &g, &mut dx, Beta::Zero);
                    found.extend_from_slice(loss.as_slice());
                    found.extend_from_slice(dx.as_slice());
                }
                let mut out = Tensor::zeros(&[2]);
                backend.sigmoid(&x, &mut out);
                found.extend_from_slice(out.as_slice());
                backend.clamp(&x, 3.0, &mut out);
                found.extend_from_slice(out.as_slice());
                backend.clamp_backward(&x, f32::INFINITY, &y, &mut out, Beta::Zero);
                found.extend_from_slice(&out.as_slice()[..1]);
                found.push(if x.as_slice()[1].is_nan() { out.as_slice()[1] } else { 0.0 });
                found
            };
            alike(&format!("{:?} {label}", x.as_slice()), &all(&*gpu), &all(&cpu()));
        }
    }
    sound(&gpu);
}

#[test]
fn sigmoid_and_clamp() {
    let Some(gpu) = gpu() else { return };
    for len in LENS.into_iter().chain([0]) {
        let [x, dy] = [samples(len)[0].clone(), random(&[len], 5)];
        let both = |op: &dyn Fn(&dyn Backend, Beta, &mut Tensor)| {
            for beta in BETAS {
                let mut y = random(&[len], 6);
                let mut expected = y.clone();
                op(&*gpu, beta, &mut y);
                op(&cpu(), beta, &mut expected);
                close(&format!("{len}"), y.as_slice(), expected.as_slice(), 1e-6);
            }
        };
        both(&|backend, _, y| backend.sigmoid(&x, y));
        both(&|backend, beta, dx| backend.sigmoid_backward(&dy, &x, dx, beta));
        for bound in [0.0, 2.5, 100.0, f32::INFINITY] {
            both(&|backend, _, y| backend.clamp(&x, bound, y));
            both(&|backend, beta, dx| backend.clamp_backward(&x, bound, &dy, dx, beta));
        }
    }
    sound(&gpu);
}

#[test]
fn gradients() {
    let Some(gpu) = gpu() else { return };
    let mut params = Parameters::new(gpu.clone());
    for kind in KINDS {
        let [mut x, y] = samples(5);
        x.as_mut_slice().iter_mut().for_each(|x| *x /= 10.0);
        gradcheck(&mut params, &[x], GradCheck::default(), |tape, _, x| {
            let labels = tape.input(&[5], y.as_slice());
            ops::loss(tape, kind, x[0], labels)
        });
    }
    gradcheck(&mut params, &[random(&[5], 1)], GradCheck::default(), |tape, _, x| ops::sigmoid(tape, x[0]));
    sound(&gpu);
}
