//! Optimizer updates on every instruction set: the reference implementation's golden values, the
//! same bits as the plain loops, and rows against whole parameters.

use crate::common::{Guarded, Random, assert_bits, assert_close};
use dlrm_kernels::embedding_bag::{Bags, Pooling, RowGradient, RowSegments, coalesce};
use dlrm_kernels::optim::*;
use dlrm_kernels::{Isa, Scratch, reference};

const LR: f32 = 0.1;
const EPS: f32 = 1e-10;

/// Two steps on a table of 4 × 2: bags {0, 2} and {2, 3}, gradients (1, -2) and (0.5, 3).
#[test]
fn golden_values_of_the_reference_implementation() {
    let golden: [(&str, [f32; 8]); 3] = [
        ("sgd", [-0.1, 0.6, 0.3, 0.4, 0.2, 0.4, 0.6, 0.2]),
        ("adagrad", [-0.0707107, 0.3707107, 0.3, 0.4, 0.3292893, 0.4292893, 0.5292893, 0.6292893]),
        ("rowwise", [-0.0079669, 0.4159338, 0.3, 0.4, 0.2991253, 0.4660836, 0.6603106, 0.5618634]),
    ];
    let bags = Bags { indices: &[0, 2, 2, 3], offsets: &[0, 2, 4], weights: None };
    let mut segments = RowSegments::default();
    coalesce(Isa::scalar(), bags, Pooling::Sum, &mut segments, &mut Scratch::new());
    for isa in Isa::available() {
        let grad = RowGradient::new(&segments, &[1.0, -2.0, 0.5, 3.0], 2, 2);
        for (name, expected) in golden {
            let mut table = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
            let (mut state, mut row_state) = ([0.0; 8], [0.0; 4]);
            for _ in 0..2 {
                match name {
                    "sgd" => sgd_rows(isa, &mut table, grad, LR),
                    "adagrad" => adagrad_rows(isa, &mut table, &mut state, grad, LR, EPS),
                    _ => rowwise_adagrad_rows(isa, &mut table, &mut row_state, grad, LR, EPS),
                }
            }
            // The golden values have seven decimals.
            assert_close(name, isa, &table, &expected, 1e-6);
        }
    }
}

const LENGTHS: [usize; 9] = [0, 1, 7, 13, 16, 17, 33, 100, 415];

fn adam_step(step: u64) -> AdamStep {
    AdamStep { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, step }
}

#[test]
fn dense_updates_agree_with_the_plain_loops() {
    for (isa, n) in Isa::available().flat_map(|isa| LENGTHS.map(|n| (isa, n))) {
        let mut random = Random(5);
        let (w, g) = (random.values(n), random.values(n));

        let (mut found, mut expected) = (Guarded::filled(&w), w.clone());
        sgd(isa, &mut found, &g, LR);
        reference::sgd(&mut expected, &g, LR);
        found.check("sgd", isa);
        assert_bits("sgd", isa, &found, &expected);

        let (mut found, mut state) = (Guarded::filled(&w), Guarded::filled(&vec![0.0; n]));
        let (mut expected, mut expected_state) = (w.clone(), vec![0.0; n]);
        for _ in 0..3 {
            adagrad(isa, &mut found, &g, &mut state, LR, EPS);
            reference::adagrad(&mut expected, &g, &mut expected_state, LR, EPS);
        }
        found.check("adagrad", isa);
        state.check("adagrad", isa);
        assert_bits("adagrad", isa, &found, &expected);
        assert_bits("adagrad state", isa, &state, &expected_state);

        let (mut found, mut m, mut v) = (Guarded::filled(&w), vec![0.0; n], vec![0.0; n]);
        let (mut expected, mut expected_m, mut expected_v) = (w.clone(), vec![0.0; n], vec![0.0; n]);
        for step in 1..=3 {
            adam(isa, &mut found, &g, &mut m, &mut v, adam_step(step));
            reference::adam(&mut expected, &g, &mut expected_m, &mut expected_v, adam_step(step));
        }
        found.check("adam", isa);
        // Three steps of at most lr = 0.01. The kernel moves a correction from the root to eps and
        // takes powers in f64; 1 - 0.999 in f32 is off by 1e-5 of itself.
        assert_close("adam", isa, &found, &expected, 1e-6);
    }
}

#[test]
fn row_updates_agree_with_the_plain_loops() {
    let mut segments = RowSegments::default();
    let weights = Random(7).values(7);
    // Rows that one bag each looked up, rows that several did, and weights.
    let cases: [([u32; 7], Option<&[f32]>); 3] = [
        ([10, 11, 14, 15, 29, 39, 12], None),
        ([39, 10, 10, 14, 10, 39, 10], None),
        ([12, 10, 12, 14, 11, 39, 12], Some(&weights)),
    ];
    for (indices, weights) in cases {
        let bags = Bags { indices: &indices, offsets: &[0, 1, 2, 3, 3, 6, 7], weights };
        coalesce(Isa::scalar(), bags, Pooling::Sum, &mut segments, &mut Scratch::new());
        for (isa, dim) in Isa::available().flat_map(|isa| [1, 2, 7, 16, 33, 64, 415].map(|dim| (isa, dim))) {
            row_updates_of(bags, &segments, isa, dim);
        }
    }
}

fn row_updates_of(bags: Bags, segments: &RowSegments, isa: Isa, dim: usize) {
    let mut random = Random(6);
    let (table, grad_out) = (random.values(30 * dim), random.values(bags.num_bags() * (dim + 2)));
    let grad = RowGradient { base_row: 10, ..RowGradient::new(segments, &grad_out, dim + 2, dim) };
    let (rows, values) = reference::embedding_bag_backward(bags, Pooling::Sum, &grad_out, dim + 2, dim);
    let for_each_row = |update: &mut dyn FnMut(usize, &[f32])| {
        rows.iter().zip(values.chunks_exact(dim)).for_each(|(&row, g)| update(row as usize - 10, g));
    };

    let (mut found, mut expected) = (Guarded::filled(&table), table.clone());
    sgd_rows(isa, &mut found, grad, LR);
    for_each_row(&mut |r, g| reference::sgd(&mut expected[r * dim..][..dim], g, LR));
    found.check("sgd_rows", isa);
    assert_bits("sgd_rows", isa, &found, &expected);

    let (mut found, mut state) = (Guarded::filled(&table), Guarded::filled(&vec![0.0; 30 * dim]));
    let (mut expected, mut expected_state) = (table.clone(), vec![0.0; 30 * dim]);
    for _ in 0..2 {
        adagrad_rows(isa, &mut found, &mut state, grad, LR, EPS);
        for_each_row(&mut |r, g| {
            let at = r * dim..(r + 1) * dim;
            reference::adagrad(&mut expected[at.clone()], g, &mut expected_state[at], LR, EPS);
        });
    }
    found.check("adagrad_rows", isa);
    state.check("adagrad_rows", isa);
    assert_bits("adagrad_rows", isa, &found, &expected);
    assert_bits("adagrad_rows state", isa, &state, &expected_state);

    let (mut found, mut state) = (Guarded::filled(&table), Guarded::filled(&[0.0; 30]));
    let (mut expected, mut expected_state) = (table.clone(), vec![0.0; 30]);
    for _ in 0..2 {
        rowwise_adagrad_rows(isa, &mut found, &mut state, grad, LR, EPS);
        for_each_row(&mut |r, g| {
            let w = &mut expected[r * dim..][..dim];
            reference::rowwise_adagrad(w, g, &mut expected_state[r], LR, EPS);
        });
    }
    found.check("rowwise_adagrad_rows", isa);
    state.check("rowwise_adagrad_rows", isa);
    assert_bits("rowwise_adagrad_rows", isa, &found, &expected);
    assert_bits("rowwise_adagrad_rows state", isa, &state, &expected_state);

    let (mut found, mut m, mut v) = (Guarded::filled(&table), vec![0.0; 30 * dim], vec![0.0; 30 * dim]);
    let (mut expected, mut expected_m, mut expected_v) = (table.clone(), m.clone(), v.clone());
    for step in [1, 7] {
        adam_rows(isa, &mut found, &mut m, &mut v, grad, adam_step(step));
        for_each_row(&mut |r, g| {
            let at = r * dim..(r + 1) * dim;
            let (m, v) = (&mut expected_m[at.clone()], &mut expected_v[at.clone()]);
            reference::sparse_adam(&mut expected[at], g, m, v, adam_step(step));
        });
    }
    found.check("adam_rows", isa);
    // As for the dense update above.
    assert_close("adam_rows", isa, &found, &expected, 1e-6);
}
