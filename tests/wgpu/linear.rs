use crate::support::{close, cpu, gpu, open, random, sound};
use dlrm::backend::{Activation, Backend, Beta, LinearGrads, WgpuOptions};
use dlrm::gradcheck::{GradCheck, gradcheck};
use dlrm::parameters::{DenseId, Quantization};
use dlrm::{Parameters, Tensor, ops};
use std::sync::Arc;

/// Batch, outputs, inputs: at the edges of tiles and of steps, and layers of the paper's models with small batches.
/// From 256 samples on the batch of a small weight is cut into slices.
const SHAPES: [[usize; 3]; 20] = [
    [1, 1, 1],
    [1, 13, 1],
    [13, 1, 13],
    [2, 5, 16],
    [3, 4, 257],
    [63, 65, 17],
    [64, 64, 64],
    [65, 63, 15],
    [129, 13, 129],
    [13, 129, 65],
    [257, 5, 3],
    [257, 1, 64],
    [300, 4, 129],
    [1030, 65, 1],
    [33, 512, 13],
    [17, 256, 512],
    [16, 64, 256],
    [256, 16, 64],
    [33, 512, 479],
    [400, 1, 256],
];

/// The same parameters on either backend.
fn parameters(backend: Arc<dyn Backend>, [n, k]: [usize; 2]) -> (Parameters, [DenseId; 2]) {
    let mut params = Parameters::new(backend);
    let weight = params.add_dense("w", random(&[n, k], 1));
    let bias = params.add_dense("b", random(&[n], 2));
    (params, [weight, bias])
}

/// What a layer computes, and gradients that are written or added to.
struct Layer {
    y: Tensor,
    dx: Tensor,
    dw: Tensor,
    db: Tensor,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    act: Activation,
    bias: bool,
    beta: Beta,
    wants_dx: bool,
}

fn layer(backend: Arc<dyn Backend>, [m, n, k]: [usize; 3], case: Case) -> Layer {
    let (params, [w, b]) = parameters(backend.clone(), [n, k]);
    let (x, mut dy, mut y) = (random(&[m, k], 3), random(&[m, n], 4), random(&[m, n], 5));
    let (mut dx, mut dw, mut db) = (random(&[m, k], 6), random(&[n, k], 7), random(&[n], 8));
    let (weight, bias) = (params.get(w), case.bias.then(|| params.get(b)));
    backend.linear(&x, weight, bias, case.act, &mut y);
    let grads = LinearGrads {
        x: case.wants_dx.then_some((&mut dx, case.beta)),
        weight: (&mut dw, case.beta),
        bias: case.bias.then_some((&mut db, case.beta)),
    };
    backend.linear_backward(&x, &y, &mut dy, weight, case.act, grads);
    Layer { y, dx, dw, db }
}

fn compare(what: &str, a: &Layer, b: &Layer, [m, n, k]: [usize; 3]) {
    // Sums of so many products of numbers up to 1, each rounded.
    let tolerance = |terms: usize| 1e-6 * (terms as f32).sqrt().max(1.0);
    close(&format!("{what}: y"), a.y.as_slice(), b.y.as_slice(), tolerance(k));
    close(&format!("{what}: dx"), a.dx.as_slice(), b.dx.as_slice(), tolerance(n));
    close(&format!("{what}: dw"), a.dw.as_slice(), b.dw.as_slice(), tolerance(m));
    close(&format!("{what}: db"), a.db.as_slice(), b.db.as_slice(), tolerance(m));
}

const CASES: [Case; 3] = [
    Case { act: Activation::Relu, bias: true, beta: Beta::Zero, wants_dx: true },
    Case { act: Activation::None, bias: true, beta: Beta::One, wants_dx: true },
    Case { act: Activation::Relu, bias: false, beta: Beta::One, wants_dx: false },
];

#[test]
fn layers_of_all_shapes() {
    let Some(gpu) = gpu() else { return };
    for shape in SHAPES {
        for case in CASES {
            let (a, b) = (layer(gpu.clone(), shape, case), layer(Arc::new(cpu()), shape, case));
            compare(&format!("{shape:?}, {case:?}"), &a, &b, shape);
        }
    }
    sound(&gpu);
}

#[test]
fn what_every_adapter_has_is_enough() {
    let Some(gpu) = open(&WgpuOptions { core_only: true, ..WgpuOptions::default() }) else { return };
    for shape in [[13, 1, 13], [3, 4, 257], [40, 1, 256], [5, 3, 64]] {
        let (a, b) = (layer(gpu.clone(), shape, CASES[0]), layer(Arc::new(cpu()), shape, CASES[0]));
        compare(&format!("{shape:?}"), &a, &b, shape);
    }
    sound(&gpu);
}

#[test]
fn a_batch_of_no_sample_has_gradients_of_zero() {
    let Some(gpu) = gpu() else { return };
    for n in [1, 5] {
        let empty = layer(gpu.clone(), [0, n, 3], CASES[0]);
        assert!(empty.y.is_empty() && empty.dx.is_empty());
        assert!(empty.dw.as_slice().iter().chain(empty.db.as_slice()).all(|&v| v == 0.0));
    }
    sound(&gpu);
}

#[test]
fn the_same_bits_each_time() {
    let Some(gpu) = gpu() else { return };
    for shape in [[300, 65, 13], [400, 1, 100]] {
        let [a, b] = [0, 1].map(|_| layer(gpu.clone(), shape, CASES[0]));
        for (a, b) in [(a.y, b.y), (a.dx, b.dx), (a.dw, b.dw), (a.db, b.db)] {
            close(&format!("{shape:?}"), a.as_slice(), b.as_slice(), 0.0);
        }
    }
}

#[test]
fn nan_and_infinity_go_through_relu() {
    let Some(gpu) = gpu() else { return };
    for n in [1, 5] {
        let mut params = Parameters::new(gpu.clone());
        let w = params.add_dense("w", Tensor::from_slice(&[n, 1], &vec![1.0; n]));
        let x = Tensor::from_slice(&[4, 1], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0]);
        let mut y = Tensor::zeros(&[4, n]);
        gpu.linear(&x, params.get(w), None, Activation::Relu, &mut y);
        let column: Vec<f32> = y.as_slice().iter().copied().step_by(n).collect();
        assert!(column[0].is_nan(), "{column:?}");
        assert_eq!(column[1..], [f32::INFINITY, 0.0, 0.0]);
    }
}

#[test]
fn gradients() {
    let Some(gpu) = gpu() else { return };
    for (act, m, n, k) in [(Activation::None, 3, 5, 4), (Activation::Relu, 4, 6, 3), (Activation::Relu, 3, 1, 5)] {
        let (mut params, [w, b]) = parameters(gpu.clone(), [n, k]);
        let options = GradCheck { kinks: true, ..GradCheck::default() };
        gradcheck(&mut params, &[random(&[m, k], 3)], options, |tape, params, x| {
            ops::linear(tape, params, x[0], w, Some(b), act)
        });
    }
    sound(&gpu);
}

#[test]
fn a_quantized_layer_is_the_processor_s() {
    let Some(gpu) = gpu() else { return };
    let (m, n, k) = (5, 33, 17);
    let quantization = Quantization { weights: Some(dlrm::backend::WeightFormat::Int8), ..Quantization::default() };
    let run = |backend: Arc<dyn Backend>| {
        let (params, [w, b]) = parameters(backend.clone(), [n, k]);
        let params = params.quantized(quantization).unwrap();
        let mut y = Tensor::zeros(&[m, n]);
        backend.linear(&random(&[m, k], 3), params.get(w), Some(params.get(b)), Activation::Relu, &mut y);
        y
    };
    close("int8", run(gpu.clone()).as_slice(), run(Arc::new(cpu())).as_slice(), 0.0);
    sound(&gpu);
}

#[test]
fn a_steady_layer_makes_nothing() {
    let Some(gpu) = open(&WgpuOptions::default()) else { return };
    let (params, [w, b]) = parameters(gpu.clone(), [65, 13]);
    let (x, mut dy) = (random(&[300, 13], 3), random(&[300, 65], 4));
    let (mut y, mut dw, mut db) = (Tensor::zeros(&[300, 65]), Tensor::zeros(&[65, 13]), Tensor::zeros(&[65]));
    let mut step = || {
        gpu.linear(&x, params.get(w), Some(params.get(b)), Activation::Relu, &mut y);
        let grads = LinearGrads { x: None, weight: (&mut dw, Beta::Zero), bias: Some((&mut db, Beta::Zero)) };
        gpu.linear_backward(&x, &y, &mut dy, params.get(w), Activation::Relu, grads);
        gpu.submit();
        gpu.counts()
    };
    let (before, after) = (step(), step());
    assert_eq!((after.bind_groups, after.buffers), (before.bind_groups, before.buffers));
    assert_eq!(after.dispatches - before.dispatches, 4, "Y; dW and db by slices; each added up");
    assert_eq!(after.submissions - before.submissions, 1);
    sound(&gpu);
}
