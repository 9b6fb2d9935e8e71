//! The three products of a linear layer on every instruction set: against the plain loops, with
//! NaN-filled outputs between canaries, and cut into pieces against the whole.

use crate::common::{Guarded, Random, assert_bits, assert_close, sum_tolerance};
use dlrm_kernels::gemm::*;
use dlrm_kernels::reference;
use dlrm_kernels::{Isa, Scratch};

/// M, N, K: each odd size in each place, tile sizes ± 1, blocks of samples, and zeros.
const SHAPES: [[usize; 3]; 36] = [
    [1, 1, 1],
    [7, 13, 16],
    [13, 16, 7],
    [16, 7, 13],
    [17, 33, 64],
    [33, 64, 17],
    [64, 17, 33],
    [100, 1, 256],
    [12, 32, 13],
    [13, 31, 1],
    [23, 48, 100],
    [11, 100, 415],
    [5, 415, 100],
    [415, 5, 33],
    [257, 24, 40],
    [300, 65, 8],
    [24, 512, 13],
    [3, 16, 1100],
    [2, 40, 4100],
    [9, 700, 300],
    [0, 5, 5],
    [5, 0, 5],
    [5, 5, 0],
    [4, 256, 512],
    [45, 100, 513],
    [30, 66, 1030],
    [1030, 33, 5],
    [20, 530, 3],
    [29, 1025, 70],
    [1, 512, 13],
    [1, 256, 512],
    [1, 100, 367],
    [1, 33, 1100],
    [1, 130, 1100],
    [1, 700, 1024],
    [1, 2, 300],
];

fn pack_forward(isa: Isa, w: &[f32], n: usize, k: usize) -> Vec<f32> {
    let mut packed = vec![f32::NAN; packed_len(isa, n, k)];
    for (panel, out) in packed.chunks_mut((panel_width(isa) * k).max(1)).enumerate() {
        pack_forward_panel(isa, w, n, k, panel, out);
    }
    packed
}

fn pack_backward(isa: Isa, w: &[f32], n: usize, k: usize) -> Vec<f32> {
    let mut packed = vec![f32::NAN; packed_backward_len(isa, n, k)];
    for (panel, out) in packed.chunks_mut((panel_width(isa) * n).max(1)).enumerate() {
        pack_backward_panel(isa, w, n, k, panel, out);
    }
    packed
}

#[test]
fn linear_agrees_with_the_plain_loop() {
    for (isa, [m, n, k]) in cases() {
        let mut random = Random(1);
        let (x, w, b) = (random.values(m * k), random.values(n * k), random.values(n));
        let packed = pack_forward(isa, &w, n, k);
        for (bias, activation) in
            [(None, Activation::None), (Some(&b[..]), Activation::None), (Some(&b[..]), Activation::Relu)]
        {
            let what = format!("linear {m}x{n}x{k} {} {activation:?}", bias.is_some());
            let mut expected = vec![0.0; m * n];
            reference::linear(&x, &w, bias, activation == Activation::Relu, &mut expected, [m, n, k]);
            let mut y = Guarded::new(m * n);
            linear(isa, &x, &packed, bias, activation, &mut y, m, n, k, &mut Scratch::new());
            y.check(&what, isa);
            assert_close(&what, isa, &y, &expected, sum_tolerance(k));
        }
    }
}

#[test]
fn linear_backward_input_agrees_with_the_plain_loop() {
    for (isa, [m, n, k]) in cases() {
        let what = format!("linear_backward_input {m}x{n}x{k}");
        let mut random = Random(2);
        let (dy, w, old) = (random.values(m * n), random.values(n * k), random.values(m * k));
        let packed = pack_backward(isa, &w, n, k);
        let mut expected = vec![0.0; m * k];
        reference::linear_backward_input(&dy, &w, &mut expected, [m, n, k]);
        let mut dx = Guarded::new(m * k);
        linear_backward_input(isa, &dy, &packed, &mut dx, m, n, k, Beta::Zero, &mut Scratch::new());
        dx.check(&what, isa);
        assert_close(&what, isa, &dx, &expected, sum_tolerance(n));

        let sum: Vec<f32> = dx.iter().zip(&old).map(|(new, old)| old + new).collect();
        let mut dx = Guarded::filled(&old);
        linear_backward_input(isa, &dy, &packed, &mut dx, m, n, k, Beta::One, &mut Scratch::new());
        dx.check(&what, isa);
        assert_close(&what, isa, &dx, &sum, sum_tolerance(n) + f32::EPSILON * (n as f32 + 1.0));
    }
}

#[test]
fn linear_backward_weight_agrees_with_the_plain_loop() {
    for (isa, [m, n, k]) in cases() {
        let what = format!("linear_backward_weight {m}x{n}x{k}");
        let mut random = Random(3);
        let (dy, x, old) = (random.values(m * n), random.values(m * k), random.values(n * k));
        let mut expected = vec![0.0; n * k];
        reference::linear_backward_weight(&dy, &x, &mut expected, [m, n, k]);
        let mut scratch = Scratch::new();
        let mut dw = Guarded::new(n * k);
        linear_backward_weight(isa, &dy, &x, &mut dw, None, m, n, k, 0..n, Beta::Zero, &mut scratch);
        dw.check(&what, isa);
        assert_close(&what, isa, &dw, &expected, sum_tolerance(m));

        let sum: Vec<f32> = expected.iter().zip(&old).map(|(new, old)| old + new).collect();
        let mut dw = Guarded::filled(&old);
        linear_backward_weight(isa, &dy, &x, &mut dw, None, m, n, k, 0..n, Beta::One, &mut scratch);
        dw.check(&what, isa);
        assert_close(&what, isa, &dw, &sum, sum_tolerance(m) + f32::EPSILON * (m as f32 + 1.0));
    }
}

#[test]
fn bias_sums_agree_with_the_plain_loop() {
    for (isa, [m, n, k]) in cases() {
        let what = format!("bias sums {m}x{n}x{k}");
        let mut random = Random(4);
        let (dy, x, old) = (random.values(m * n), random.values(m * k), random.values(n));
        let mut expected = vec![0.0; n];
        reference::column_sums(&dy, m, n, &mut expected);
        let mut dw = Guarded::new(n * k);
        let mut scratch = Scratch::new();
        let mut db = Guarded::new(n);
        let to = Some((&mut db[..], Beta::Zero));
        linear_backward_weight(isa, &dy, &x, &mut dw, to, m, n, k, 0..n, Beta::Zero, &mut scratch);
        db.check(&what, isa);
        assert_close(&what, isa, &db, &expected, sum_tolerance(m));
        if m <= 1024 {
            // One block of samples: the sums run in order on every set.
            assert_bits(&what, isa, &db, &expected);
        }

        let sum: Vec<f32> = expected.iter().zip(&old).map(|(new, old)| old + new).collect();
        let mut db = Guarded::filled(&old);
        let to = Some((&mut db[..], Beta::One));
        linear_backward_weight(isa, &dy, &x, &mut dw, to, m, n, k, 0..n, Beta::Zero, &mut scratch);
        db.check(&what, isa);
        assert_close(&what, isa, &db, &sum, sum_tolerance(m) + f32::EPSILON * (m as f32 + 1.0));
    }
}

#[test]
fn pieces_have_the_same_bits_as_the_whole() {
    // Read in place, a narrow weight gradient, and packed both ways.
    for shape in [[301, 77, 83], [301, 530, 5], [101, 530, 600], [7, 200, 1030]] {
        pieces_of(shape);
    }
}

fn pieces_of([m, n, k]: [usize; 3]) {
    let mut random = Random(5);
    let (x, w, b, dy) = (random.values(m * k), random.values(n * k), random.values(n), random.values(m * n));
    for isa in Isa::available() {
        let (packed, packed_backward) = (pack_forward(isa, &w, n, k), pack_backward(isa, &w, n, k));
        let (mut y, mut dx, mut dw, mut db) = (vec![0.0; m * n], vec![0.0; m * k], vec![0.0; n * k], vec![0.0; n]);
        linear(isa, &x, &packed, Some(&b), Activation::Relu, &mut y, m, n, k, &mut Scratch::new());
        linear_backward_input(isa, &dy, &packed_backward, &mut dx, m, n, k, Beta::Zero, &mut Scratch::new());
        let mut scratch = Scratch::new();
        let to = Some((&mut db[..], Beta::Zero));
        linear_backward_weight(isa, &dy, &x, &mut dw, to, m, n, k, 0..n, Beta::Zero, &mut scratch);
        for piece in [1, 5, 12, 64, 100] {
            for from in (0..m).step_by(piece) {
                let rows = from..m.min(from + piece);
                let mut part = vec![0.0; rows.len() * n];
                let x = &x[rows.start * k..rows.end * k];
                linear(isa, x, &packed, Some(&b), Activation::Relu, &mut part, rows.len(), n, k, &mut scratch);
                assert_bits("linear in pieces", isa, &part, &y[rows.start * n..rows.end * n]);
                let mut part = vec![0.0; rows.len() * k];
                let dy = &dy[rows.start * n..rows.end * n];
                linear_backward_input(isa, dy, &packed_backward, &mut part, rows.len(), n, k, Beta::Zero, &mut scratch);
                assert_bits("linear_backward_input in pieces", isa, &part, &dx[rows.start * k..rows.end * k]);
            }
            for from in (0..n).step_by(piece) {
                let rows = from..n.min(from + piece);
                let mut part = vec![0.0; rows.len() * k];
                let mut part_db = vec![0.0; rows.len()];
                let to = Some((&mut part_db[..], Beta::Zero));
                linear_backward_weight(isa, &dy, &x, &mut part, to, m, n, k, rows.clone(), Beta::Zero, &mut scratch);
                assert_bits("linear_backward_weight in pieces", isa, &part, &dw[rows.start * k..rows.end * k]);
                assert_bits("bias sums in pieces", isa, &part_db, &db[rows]);
            }
        }
    }
}

fn cases() -> impl Iterator<Item = (Isa, [usize; 3])> {
    Isa::available().flat_map(|isa| SHAPES.map(|shape| (isa, shape)))
}
