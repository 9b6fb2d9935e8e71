//! Linear layers of 8-bit and f16 weights on every instruction set, against the plain loops.

use crate::common::{Guarded, Random, assert_bits, assert_close, sum_tolerance};
use dlrm_kernels::gemm::{Activation, linear, pack_forward_panel, packed_len, panel_width};
use dlrm_kernels::quantized::*;
use dlrm_kernels::{Isa, Scratch, reference};
use half::f16;

/// M × N × K: one row and one column, tails of every kind, tiles of every height, a layer of a model.
const SHAPES: [[usize; 3]; 14] = [
    [0, 3, 5],
    [1, 1, 1],
    [1, 16, 4],
    [2, 17, 3],
    [3, 31, 13],
    [4, 32, 64],
    [5, 33, 65],
    [12, 48, 30],
    [13, 64, 16],
    [23, 9, 127],
    [27, 40, 257],
    [128, 1, 256],
    [64, 512, 13],
    [37, 100, 1030],
];

struct Case {
    what: String,
    shape: [usize; 3],
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Option<Vec<f32>>,
    activation: Activation,
}

fn for_each(mut check: impl FnMut(Isa, &Case)) {
    for (isa, shape) in Isa::available().flat_map(|isa| SHAPES.map(|shape| (isa, shape))) {
        for (bias, activation) in [(false, Activation::None), (true, Activation::Relu), (true, Activation::None)] {
            let [m, n, k] = shape;
            let what = format!("{m} x {n} x {k}, bias {bias}, {activation:?}");
            // After ReLU as after an interaction: rows of one sign, and of both.
            let x = Random(1).values(m * k).into_iter().enumerate();
            let x = x.map(|(i, v)| if i / k % 2 == 0 { v } else { v.max(0.0) }).collect();
            let bias = bias.then(|| Random(3).values(n));
            check(isa, &Case { what, shape, x, w: Random(2).values(n * k), bias, activation });
        }
    }
}

/// The layer of `case`, with rows from `from` to `to` alone.
fn int8(isa: Isa, case: &Case, from: usize, to: usize) -> Guarded {
    let [_, n, k] = case.shape;
    let mut packed = vec![0xdead_beef; int8_len(isa, n, k)];
    pack_int8(isa, &case.w, n, k, &mut packed);
    let mut y = Guarded::new((to - from) * n);
    let (x, bias, scratch) = (&case.x[from * k..to * k], case.bias.as_deref(), &mut Scratch::new());
    linear_int8(isa, x, &packed, bias, case.activation, &mut y, to - from, n, k, scratch);
    y.check(&case.what, isa);
    y
}

fn f16(isa: Isa, case: &Case) -> Guarded {
    let [m, n, k] = case.shape;
    let mut packed = vec![0x7e00; f16_len(isa, n, k)];
    pack_f16(isa, &case.w, n, k, &mut packed);
    let mut y = Guarded::new(m * n);
    let scratch = &mut Scratch::new();
    linear_f16(isa, &case.x, &packed, case.bias.as_deref(), case.activation, &mut y, m, n, k, scratch);
    y.check(&case.what, isa);
    y
}

#[test]
fn int8_has_the_bits_of_the_plain_loop() {
    for_each(|isa, case| {
        let [m, n, _] = case.shape;
        let mut expected = vec![f32::NAN; m * n];
        let relu = case.activation == Activation::Relu;
        reference::linear_int8(&case.x, &case.w, case.bias.as_deref(), relu, &mut expected, case.shape);
        assert_bits(&case.what, isa, &int8(isa, case, 0, m), &expected);
    });
}

#[test]
fn int8_is_near_the_f32_layer() {
    for_each(|isa, case| {
        let [m, n, k] = case.shape;
        let mut expected = vec![f32::NAN; m * n];
        let relu = case.activation == Activation::Relu;
        reference::linear(&case.x, &case.w, case.bias.as_deref(), relu, &mut expected, case.shape);
        // Numbers in [-1, 1]: X is off by a step of 2/255 at most, W by half a step of 1/127.
        let tolerance = k as f32 * (2.0 / 255.0 + 1.01 * 0.5 / 127.0) + sum_tolerance(k);
        assert_close(&case.what, isa, &int8(isa, case, 0, m), &expected, tolerance);
    });
}

#[test]
fn int8_rows_do_not_depend_on_their_batch() {
    for_each(|isa, case| {
        let [m, n, _] = case.shape;
        let whole = int8(isa, case, 0, m);
        for i in [0, m / 2, m.saturating_sub(1)].into_iter().filter(|&i| i < m) {
            assert_bits(&case.what, isa, &int8(isa, case, i, i + 1), &whole[i * n..][..n]);
        }
    });
}

#[test]
fn f16_is_the_f32_layer_of_rounded_weights() {
    for_each(|isa, case| {
        let [m, n, k] = case.shape;
        let rounded: Vec<f32> = case.w.iter().map(|&v| f16::from_f32(v).to_f32()).collect();
        let mut panels = vec![0.0; packed_len(isa, n, k)];
        for (i, panel) in panels.chunks_mut(k * panel_width(isa)).enumerate() {
            pack_forward_panel(isa, &rounded, n, k, i, panel);
        }
        let (mut expected, scratch) = (vec![f32::NAN; m * n], &mut Scratch::new());
        linear(isa, &case.x, &panels, case.bias.as_deref(), case.activation, &mut expected, m, n, k, scratch);
        match k {
            // The f32 layer adds longer sums in blocks.
            1025.. => assert_close(&case.what, isa, &f16(isa, case), &expected, sum_tolerance(k)),
            _ => assert_bits(&case.what, isa, &f16(isa, case), &expected),
        }
    });
}

/// The largest products there are, in a row of them: pairs of them do not fit an i16.
#[test]
fn int8_does_not_saturate() {
    for isa in Isa::available() {
        let k = 64;
        for w in [1.0, -1.0] {
            let case = Case {
                what: format!("all {w}"),
                shape: [3, 2, k],
                x: vec![1.0; 3 * k],
                w: vec![w; 2 * k],
                bias: None,
                activation: Activation::None,
            };
            assert_close(&case.what, isa, &int8(isa, &case, 0, 3), &[w * k as f32; 6], 1e-4);
        }
    }
}

#[test]
fn int8_keeps_zeros_and_spreads_what_is_not_finite() {
    for isa in Isa::available() {
        let (n, k) = (3, 21);
        let mut x = vec![0.0; 4 * k];
        x[k + 3] = f32::NAN;
        x[2 * k + 20] = f32::INFINITY;
        x[3 * k] = 1.0;
        let case = Case {
            what: "rows that are 0, NaN, infinite, one number".into(),
            shape: [4, n, k],
            x,
            w: vec![0.5; n * k],
            bias: Some(vec![2.0; n]),
            activation: Activation::Relu,
        };
        let y = int8(isa, &case, 0, 4);
        assert_eq!(y[..n], [2.0; 3], "{}", isa.name());
        assert!(y[n..3 * n].iter().all(|v| v.is_nan()), "{}: {:?}", isa.name(), &y[..]);
        assert_close(&case.what, isa, &y[3 * n..], &[2.5; 3], 1e-6);
        let zero = Case { w: vec![0.0; n * k], x: vec![1.0; 4 * k], ..case };
        assert_eq!(int8(isa, &zero, 0, 4)[..], [2.0; 12], "{}", isa.name());
    }
}
