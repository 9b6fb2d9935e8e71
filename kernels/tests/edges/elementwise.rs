//! What goes number by number.

use crate::common::Random;
use crate::pages::{Edged, Place, everywhere};
use crate::{cases, unwritten};
use dlrm_kernels::elementwise::*;
use dlrm_kernels::optim::{AdamStep, adagrad, adam, sgd};
use dlrm_kernels::probe::{read, write};

const LENGTHS: [usize; 14] = [0, 1, 2, 7, 8, 9, 13, 15, 16, 17, 33, 64, 100, 415];

#[test]
fn lanewise_operations_stay_inside() {
    for (isa, n) in cases(&LENGTHS) {
        let mut random = Random(8);
        let [x, y, z] = [(); 3].map(|()| random.values(n));
        let held = |place: Place| [&x, &y, &z].map(|values| Edged::new(place, values));
        let what = |operation: &str| format!("{operation} of {n} on {}", isa.name());
        everywhere(what("relu_backward"), |place| {
            let [x, mut y, _] = held(place);
            relu_backward(isa, &x, &mut y);
            vec![y]
        });
        everywhere(what("add_assign"), |place| {
            let [x, mut y, _] = held(place);
            add_assign(isa, &mut y, &x);
            vec![y]
        });
        everywhere(what("axpy"), |place| {
            let [x, mut y, _] = held(place);
            axpy(isa, -0.3, &x, &mut y);
            vec![y]
        });
        everywhere(what("mul_add"), |place| {
            let [x, y, mut z] = held(place);
            mul_add(isa, &x, &y, &mut z);
            vec![z]
        });
        everywhere(what("dot"), |place| {
            let [x, y, _] = held(place);
            vec![Edged::new(place, &[dot(isa, &x, &y)])]
        });
        everywhere(what("read and write"), |place| {
            let [x, mut y, _] = held(place);
            let sum = read(isa, &x);
            write(isa, &mut y, 7.0);
            // The order of the sum depends on nothing but the length.
            vec![Edged::new(place, &[sum]), y]
        });
    }
}

#[test]
fn losses_stay_inside() {
    for n in LENGTHS {
        let mut random = Random(9);
        let (x, y) = (random.values(n), random.values(n));
        everywhere(format!("sigmoid, clamp and losses of {n}"), |place| {
            let (x, y) = (Edged::new(place, &x), Edged::new(place, &y));
            let mut out = [(); 4].map(|()| unwritten(place, n));
            sigmoid(&x, &mut out[0]);
            clamp(&x, 0.5, &mut out[1]);
            bce_with_logits_backward(&x, &y, Some([0.5, 2.0]), 0.1, &mut out[2]);
            mse_with_logits_backward(&x, &y, 0.1, &mut out[3]);
            let sums = [bce_with_logits(&x, &y, None), mse_with_logits(&x, &y)].map(|sum| sum as f32);
            out.into_iter().chain([Edged::new(place, &sums)]).collect()
        });
    }
}

#[test]
fn dense_updates_stay_inside() {
    let step = AdamStep { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, step: 3 };
    for (isa, n) in cases(&LENGTHS) {
        let mut random = Random(5);
        let [w, g] = [(); 2].map(|()| random.values(n));
        let positive: Vec<f32> = g.iter().map(|g| g * g).collect();
        everywhere(format!("sgd, adagrad and adam of {n} on {}", isa.name()), |place| {
            let g = Edged::new(place, &g);
            let mut w = [(); 3].map(|()| Edged::new(place, &w));
            let mut state = [(); 3].map(|()| Edged::new(place, &positive));
            sgd(isa, &mut w[0], &g, 0.1);
            let [sum, m, v] = &mut state;
            adagrad(isa, &mut w[1], &g, sum, 0.1, 1e-10);
            adam(isa, &mut w[2], &g, m, v, step);
            w.into_iter().chain(state).collect()
        });
    }
}
