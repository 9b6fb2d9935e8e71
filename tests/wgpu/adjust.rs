//! What training does to values and gradients besides the model's own operations.

use crate::support::{close, cpu, gpu, random, sound};
use dlrm::Tensor;
use dlrm::backend::{Backend, Beta, Dropout};

const LENS: [usize; 7] = [0, 1, 255, 257, 2047, 2049, 5000];

#[test]
fn dropout_drops_what_it_drops_on_the_processor() {
    let Some(gpu) = gpu() else { return };
    for (rate, first_row) in [(0.0, 0), (0.1, 5), (0.5, 1 << 33), (0.999, u64::from(u32::MAX) - 1)] {
        let mask = Dropout::new(rate, 0xdead_beef_0123_4567, 7, first_row).at(3);
        for shape in [[0, 4], [1, 1], [7, 5], [64, 33], [300, 40]] {
            let x = random(&shape, 1);
            for beta in [Beta::Zero, Beta::One] {
                let mut y = random(&shape, 2);
                let mut expected = y.clone();
                gpu.dropout(mask, &x, &mut y, beta);
                cpu().dropout(mask, &x, &mut expected, beta);
                // A product is a product; with a sum it may be rounded once.
                let tolerance = if beta == Beta::One { 1e-6 } else { 0.0 };
                close(&format!("{mask:?} {shape:?}"), y.as_slice(), expected.as_slice(), tolerance);
            }
        }
    }
    sound(&gpu);
}

#[test]
fn scale() {
    let Some(gpu) = gpu() else { return };
    // The last has more workgroups than there may be along a side.
    for len in LENS.into_iter().chain([256 * 65_536 + 1]) {
        let mut x = random(&[len], 1);
        let mut expected = x.clone();
        gpu.scale(-0.3, &mut x);
        cpu().scale(-0.3, &mut expected);
        close(&format!("{len}"), x.as_slice(), expected.as_slice(), 0.0);
    }
    sound(&gpu);
}

#[test]
fn sum_of_squares() {
    let Some(gpu) = gpu() else { return };
    for len in LENS {
        // Squares of which f32 holds none are summed all the same, and those of either size beside others.
        for factors in [[1.0; 3], [1e-35; 3], [1e37; 3], [1e-20, 1e-12, 1e-10], [1e17, 1e18, 1e20]] {
            let mut x = random(&[len], 1);
            x.as_mut_slice().iter_mut().enumerate().for_each(|(i, x)| *x *= factors[i % 3]);
            let (sum, expected) = (gpu.sum_of_squares(&x), cpu().sum_of_squares(&x));
            assert!((sum - expected).abs() <= 1e-6 * expected, "{len}, {factors:?}: {sum}, not {expected}");
        }
    }
    let odd = |v: f32| gpu.sum_of_squares(&Tensor::from_slice(&[3], &[1.0, v, 2.0]));
    assert_eq!(odd(f32::NEG_INFINITY), f64::INFINITY);
    assert!(odd(f32::NAN).is_nan());
    sound(&gpu);
}

#[test]
fn check_finite() {
    let Some(gpu) = gpu() else { return };
    let odd = [1.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 2e38, -2e38, 1e-40];
    for len in LENS.into_iter().filter(|&len| len > 0) {
        for (i, value) in odd.into_iter().enumerate() {
            for (factor, before) in [(1.0, 0.0), (0.25, 0.0), (2.0, 0.0), (1.0, 1.0)] {
                let mut x = random(&[len], 1);
                x.as_mut_slice()[i * 31 % len] = value;
                let mut found = [Tensor::from_slice(&[1], &[before]), Tensor::from_slice(&[1], &[before])];
                gpu.check_finite(factor, &x, &mut found[0]);
                cpu().check_finite(factor, &x, &mut found[1]);
                assert_eq!(found[0].as_slice(), found[1].as_slice(), "{len}: {factor} · {value}");
            }
        }
    }
    sound(&gpu);
}
