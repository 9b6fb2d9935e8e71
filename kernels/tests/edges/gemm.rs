//! A linear layer's products and their packed operands.

use crate::common::Random;
use crate::pages::{Edged, Place, everywhere};
use crate::{cases, unwritten};
use dlrm_kernels::gemm::*;
use dlrm_kernels::{Isa, Scratch};

/// M, N, K: odd sizes in each place, tiles ± 1, one row, blocks of samples and of inputs.
const SHAPES: [[usize; 3]; 24] = [
    [1, 1, 1],
    [7, 13, 16],
    [13, 16, 7],
    [16, 7, 13],
    [17, 33, 64],
    [33, 65, 17],
    [100, 1, 256],
    [12, 32, 13],
    [23, 48, 101],
    [11, 100, 415],
    [5, 415, 100],
    [257, 24, 40],
    [3, 16, 1100],
    [0, 5, 5],
    [5, 0, 5],
    [5, 5, 0],
    [45, 100, 513],
    [1030, 33, 5],
    [20, 530, 3],
    [1, 512, 13],
    [1, 33, 1101],
    [1, 700, 1024],
    [1, 2, 300],
    [2, 15, 31],
];

fn packed(isa: Isa, place: Place, w: &[f32], n: usize, k: usize) -> Edged<f32> {
    let mut all = unwritten(place, packed_len(isa, n, k));
    for (panel, out) in all.chunks_mut((panel_width(isa) * k).max(1)).enumerate() {
        let (w, mut one) = (Edged::new(place, w), unwritten(place, out.len()));
        pack_forward_panel(isa, &w, n, k, panel, &mut one);
        out.copy_from_slice(&one);
    }
    all
}

fn packed_backward(isa: Isa, place: Place, w: &[f32], n: usize, k: usize) -> Edged<f32> {
    let mut all = unwritten(place, packed_backward_len(isa, n, k));
    for (panel, out) in all.chunks_mut((panel_width(isa) * n).max(1)).enumerate() {
        let (w, mut one) = (Edged::new(place, w), unwritten(place, out.len()));
        pack_backward_panel(isa, &w, n, k, panel, &mut one);
        out.copy_from_slice(&one);
    }
    all
}

#[test]
fn linear_stays_inside() {
    for (isa, [m, n, k]) in cases(&SHAPES) {
        let mut random = Random(1);
        let (x, w, b) = (random.values(m * k), random.values(n * k), random.values(n));
        for (bias, activation) in [(false, Activation::None), (true, Activation::Relu)] {
            everywhere(format!("linear {m}x{n}x{k} {activation:?} on {}", isa.name()), |place| {
                let (x, packed, b) = (Edged::new(place, &x), packed(isa, place, &w, n, k), Edged::new(place, &b));
                let mut y = unwritten(place, m * n);
                let bias = bias.then_some(&b[..]);
                linear(isa, &x, &packed, bias, activation, &mut y, m, n, k, &mut Scratch::new());
                vec![y]
            });
        }
    }
}

#[test]
fn linear_backward_input_stays_inside() {
    for (isa, [m, n, k]) in cases(&SHAPES) {
        let mut random = Random(2);
        let (dy, w, old) = (random.values(m * n), random.values(n * k), random.values(m * k));
        for beta in [Beta::Zero, Beta::One] {
            everywhere(format!("linear_backward_input {m}x{n}x{k} {beta:?} on {}", isa.name()), |place| {
                let (dy, packed) = (Edged::new(place, &dy), packed_backward(isa, place, &w, n, k));
                let mut dx = Edged::new(place, &old);
                linear_backward_input(isa, &dy, &packed, &mut dx, m, n, k, beta, &mut Scratch::new());
                vec![dx]
            });
        }
    }
}

#[test]
fn linear_backward_weight_stays_inside() {
    for (isa, [m, n, k]) in cases(&SHAPES) {
        let mut random = Random(3);
        let (dy, x, old, old_db) = (random.values(m * n), random.values(m * k), random.values(n * k), random.values(n));
        for (beta, bias, rows) in [(Beta::Zero, true, 0..n), (Beta::One, false, 0..n), (Beta::One, true, n / 3..n)] {
            let what = format!("linear_backward_weight {m}x{n}x{k} {beta:?} {rows:?} on {}", isa.name());
            everywhere(what, |place| {
                let (dy, x) = (Edged::new(place, &dy), Edged::new(place, &x));
                let mut dw = Edged::new(place, &old[..rows.len() * k]);
                let mut db = Edged::new(place, &old_db[..rows.len()]);
                let to = bias.then_some((&mut db[..], beta));
                linear_backward_weight(isa, &dy, &x, &mut dw, to, m, n, k, rows.clone(), beta, &mut Scratch::new());
                vec![dw, db]
            });
        }
    }
}
