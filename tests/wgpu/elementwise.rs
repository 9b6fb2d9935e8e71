//! Sums and products number by number, and columns in and out.

use crate::support::{close, cpu, gpu, random, sound};
use dlrm::Tensor;
use dlrm::backend::{Backend, Beta};

const SHAPES: [[usize; 2]; 8] = [[0, 3], [1, 1], [1, 5], [7, 1], [3, 17], [33, 16], [16, 65], [257, 40]];
const BETAS: [Beta; 2] = [Beta::Zero, Beta::One];

/// Calls `op(backend, beta, y)` on both backends, with the same `y` of that shape.
#[track_caller]
fn both(what: &str, y_shape: &[usize], tolerance: f32, op: impl Fn(&dyn Backend, Beta, &mut Tensor)) {
    let Some(gpu) = gpu() else { return };
    for beta in BETAS {
        let mut y = random(y_shape, 2);
        let mut expected = y.clone();
        op(&*gpu, beta, &mut y);
        op(&cpu(), beta, &mut expected);
        close(&format!("{what} {beta:?}"), y.as_slice(), expected.as_slice(), tolerance);
    }
    sound(&gpu);
}

#[test]
fn add_to() {
    for [m, n] in SHAPES {
        for x in [random(&[m, n], 1), random(&[1, n], 1)] {
            both(&format!("{m}x{n}"), &[m, n], 0.0, |backend, beta, y| backend.add_to(&x, y, beta));
        }
    }
}

#[test]
fn mul() {
    for [m, n] in SHAPES {
        let a = random(&[m, n], 1);
        for b in [random(&[m, n], 3), random(&[m, 1], 3)] {
            both(&format!("{m}x{n}"), &[m, n], 1e-6, |backend, beta, y| backend.mul(&a, &b, y, beta));
        }
    }
}

#[test]
fn dot_rows() {
    // The last has more workgroups than there may be along a side.
    for [m, n] in SHAPES.into_iter().chain([[70_001, 3]]) {
        let (a, b) = (random(&[m, n], 1), random(&[m, n], 3));
        both(&format!("{m}x{n}"), &[m, 1], 1e-5, |backend, beta, y| backend.dot_rows(&a, &b, y, beta));
        both(&format!("{m}x{n}, itself"), &[m, 1], 1e-5, |backend, beta, y| backend.dot_rows(&a, &a, y, beta));
    }
}

#[test]
fn sum_rows() {
    for [m, n] in SHAPES {
        let x = random(&[m, n], 1);
        both(&format!("{m}x{n}"), &[n], 1e-5, |backend, beta, y| backend.sum_rows(&x, y, beta));
    }
}

#[test]
fn columns() {
    for [m, n] in SHAPES {
        for (first, width) in [(0, n), (n - 1, 1), (n / 3, n / 2 + 1)] {
            let width = width.min(n - first);
            let (part, whole) = (random(&[m, width], 1), random(&[m, n], 3));
            let what = format!("{m}x{n}, {first} and {width} on");
            both(&what, &[m, n], 0.0, |backend, _, y| backend.put_columns(&part, first, y));
            both(&what, &[m, width], 0.0, |backend, beta, y| backend.take_columns(&whole, first, y, beta));
        }
    }
}

/// What a mistake says, and the mistake.
type Wrong<'a> = (&'a str, &'a dyn Fn(&dyn Backend));

#[test]
fn shapes_that_do_not_fit_are_the_same_mistakes() {
    let Some(gpu) = gpu() else { return };
    let wrong: [Wrong<'_>; 5] = [
        ("add_to: X [2, 2], Y [2, 3]", &|b| b.add_to(&random(&[2, 2], 1), &mut random(&[2, 3], 1), Beta::Zero)),
        ("mul: A [2, 3], B [3], Y [2, 3]", &|b| {
            b.mul(&random(&[2, 3], 1), &random(&[3], 1), &mut random(&[2, 3], 1), Beta::Zero);
        }),
        ("dot_rows: A [2, 3], B [2, 3], Y [3]", &|b| {
            b.dot_rows(&random(&[2, 3], 1), &random(&[2, 3], 1), &mut random(&[3], 1), Beta::Zero);
        }),
        ("sum_rows: X [2, 3], Y [2]", &|b| b.sum_rows(&random(&[2, 3], 1), &mut random(&[2], 1), Beta::Zero)),
        ("put_columns: X [2, 3] from column 2 of [2, 4] on", &|b| {
            b.put_columns(&random(&[2, 3], 1), 2, &mut random(&[2, 4], 1));
        }),
    ];
    for (message, op) in wrong {
        for backend in [&*gpu as &dyn Backend, &cpu()] {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| op(backend))).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), message);
        }
    }
    sound(&gpu);
}
