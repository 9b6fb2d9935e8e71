//! Losses where they could overflow, their gradients against differences, and the lanewise
//! operations on every instruction set.

use crate::common::{Guarded, Random, assert_bits};
use dlrm_kernels::elementwise::*;
use dlrm_kernels::{Isa, reference};

#[test]
fn bce_is_stable_at_both_ends() {
    // ln(1 + e^-100) is 3.7e-44: the loss of a right answer is that, of a wrong one 100.
    let cases: [(f32, f32, f64); 9] = [
        (100.0, 1.0, 3.720_075_976_020_836e-44),
        (100.0, 0.0, 100.0),
        (-100.0, 1.0, 100.0),
        (-100.0, 0.0, 3.720_075_976_020_836e-44),
        (1000.0, 1.0, 0.0),
        (1000.0, 0.0, 1000.0),
        (-1000.0, 1.0, 1000.0),
        (0.0, 1.0, std::f64::consts::LN_2),
        (0.5, 0.25, 0.849_077_100_165_402_3),
    ];
    for (x, y, expected) in cases {
        let loss = bce_with_logits(&[x], &[y], None);
        assert!((loss - expected).abs() <= 1e-6 * expected, "bce({x}, {y}) is {loss}, expected {expected}");
        let mut dx = [f32::NAN];
        bce_with_logits_backward(&[x], &[y], None, 1.0, &mut dx);
        let sigma = 1.0 / (1.0 + f64::from(-x).exp());
        assert!((f64::from(dx[0]) - (sigma - f64::from(y))).abs() < 1e-7, "d bce({x}, {y}) is {}", dx[0]);
    }
}

#[test]
fn the_sigmoid_never_leaves_its_range() {
    let x = [f32::NEG_INFINITY, -1000.0, -100.0, -1.0, 0.0, 1.0, 100.0, 1000.0, f32::INFINITY];
    let mut out = [f32::NAN; 9];
    sigmoid(&x, &mut out);
    let expected = [0.0, 0.0, 3.8e-44, 0.268_941_43, 0.5, 0.731_058_6, 1.0, 1.0, 1.0];
    for (found, expected) in out.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-7, "{found}, expected {expected}");
    }
}

#[test]
fn clamped_values_end_at_the_bound() {
    let mut out = [f32::NAN; 6];
    clamp(&[-7.0, -2.0, 0.5, 2.0, f32::INFINITY, f32::NAN], 2.0, &mut out);
    assert_eq!(out[..5], [-2.0, -2.0, 0.5, 2.0, 2.0]);
    assert!(out[5].is_nan());
}

#[test]
fn loss_gradients_agree_with_differences() {
    let weights = Some([0.5, 2.0]);
    for (x, y) in [-30.0, -2.0, -0.1, 0.0, 0.7, 3.0, 30.0].into_iter().flat_map(|x| [(x, 0.0), (x, 1.0), (x, 0.3)]) {
        // Central difference of step h: its error is h²/6 of the third derivative, at most 2e-5
        // here, and the rounding of x ± h in f32, at most 4e-6 / h.
        let h = 1.0 / 64.0;
        let mut dx = [f32::NAN];
        bce_with_logits_backward(&[x], &[y], weights, 0.5, &mut dx);
        let loss = |x: f32| bce_with_logits(&[x], &[y], weights);
        let difference = 0.5 * (loss(x + h) - loss(x - h)) / (2.0 * f64::from(h));
        assert!((f64::from(dx[0]) - difference).abs() < 5e-5, "bce({x}, {y}): {} and {difference}", dx[0]);
        mse_with_logits_backward(&[x], &[y], 0.5, &mut dx);
        let loss = |x: f32| mse_with_logits(&[x], &[y]);
        let difference = 0.5 * (loss(x + h) - loss(x - h)) / (2.0 * f64::from(h));
        assert!((f64::from(dx[0]) - difference).abs() < 5e-5, "mse({x}, {y}): {} and {difference}", dx[0]);
    }
}

#[test]
fn losses_sum_over_samples_and_weigh_classes() {
    let (x, y) = ([0.3, -1.2, 2.0], [1.0, 0.0, 1.0]);
    let each = |i: usize| bce_with_logits(&x[i..=i], &y[i..=i], None);
    assert_eq!(bce_with_logits(&x, &y, None), each(0) + each(1) + each(2));
    assert_eq!(bce_with_logits(&x, &y, Some([0.5, 2.0])), 2.0 * each(0) + 0.5 * each(1) + 2.0 * each(2));
    assert_eq!(bce_with_logits(&[], &[], None), 0.0);
}

#[test]
fn lanewise_operations_have_the_bits_of_the_plain_loops() {
    for (isa, n) in Isa::available().flat_map(|isa| [0, 1, 7, 13, 16, 17, 33, 64, 100, 415].map(|n| (isa, n))) {
        let mut random = Random(8);
        let (x, y) = (random.values(n), random.values(n));
        let plain = |f: fn(f32, f32) -> f32| x.iter().zip(&y).map(|(&x, &y)| f(x, y)).collect::<Vec<_>>();

        let mut found = Guarded::filled(&y);
        relu_backward(isa, &x, &mut found);
        found.check("relu_backward", isa);
        assert_bits("relu_backward", isa, &found, &plain(|x, y| if x > 0.0 { y } else { 0.0 }));

        let mut found = Guarded::filled(&y);
        add_assign(isa, &mut found, &x);
        found.check("add_assign", isa);
        assert_bits("add_assign", isa, &found, &plain(|x, y| y + x));

        let mut found = Guarded::filled(&y);
        axpy(isa, -0.3, &x, &mut found);
        found.check("axpy", isa);
        assert_bits("axpy", isa, &found, &plain(|x, y| y + -0.3 * x));

        let z = random.values(n);
        let mut found = Guarded::filled(&z);
        mul_add(isa, &x, &y, &mut found);
        found.check("mul_add", isa);
        let expected: Vec<f32> = plain(|x, y| x * y).iter().zip(&z).map(|(xy, z)| z + xy).collect();
        assert_bits("mul_add", isa, &found, &expected);

        assert_bits("dot", isa, &[dot(isa, &x, &y)], &[reference::dot16(&x, &y)]);
    }
}

#[test]
fn relu_backward_passes_nothing_at_zero_and_hides_no_nan_gradient() {
    for isa in Isa::available() {
        let mut dy = [1.0, 1.0, 1.0, f32::NAN, 2.0];
        relu_backward(isa, &[0.0, -0.0, f32::NAN, 1.0, 3.0], &mut dy);
        assert_bits("relu_backward", isa, &dy, &[0.0, 0.0, 0.0, f32::NAN, 2.0]);
    }
}

#[test]
fn one_number_that_is_not_finite_is_found_wherever_it_stands() {
    let mut random = Random(12);
    for isa in Isa::available() {
        for n in [0, 1, 7, 16, 63, 64, 65, 200] {
            let mut x = random.values(n);
            assert!(all_finite(isa, 1e38, &x), "{n} numbers on {}", isa.name());
            for i in 0..n {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let good = std::mem::replace(&mut x[i], bad);
                    assert!(!all_finite(isa, 1.0, &x), "{bad} at {i} of {n} on {}", isa.name());
                    x[i] = good;
                }
                let good = std::mem::replace(&mut x[i], -2e38);
                let found = [1.0, 1.7, 1.8].map(|factor| all_finite(isa, factor, &x));
                assert_eq!(found, [true, true, false], "at {i} of {n} on {}", isa.name());
                x[i] = good;
            }
        }
    }
}
