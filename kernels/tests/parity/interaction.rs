//! Feature interaction on every instruction set: the reference implementation's golden values,
//! and the plain loops.

use crate::common::{Guarded, Random, assert_bits, assert_close, sum_tolerance};
use dlrm_kernels::interaction::*;
use dlrm_kernels::reference;
use dlrm_kernels::{Isa, Scratch};

#[test]
fn golden_values_of_the_reference_implementation() {
    let (dense, pooled) = ([1.0, 2.0], [3.0, 5.0, 7.0, 11.0, 13.0, 17.0]);
    let dot = [1.0, 2.0, 13.0, 29.0, 76.0, 47.0, 124.0, 278.0];
    let itself = [1.0, 2.0, 5.0, 13.0, 34.0, 29.0, 76.0, 170.0, 47.0, 124.0, 278.0, 458.0];
    let cat = [1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0];
    for isa in Isa::available() {
        for (diagonal, expected) in [(false, &dot[..]), (true, &itself)] {
            let mut out = vec![0.0; interaction_dot_dim(2, 3, true, diagonal)];
            interaction_dot(isa, Some(&dense), &pooled, 3, 2, diagonal, &mut out, &mut Scratch::new());
            assert_eq!(out, expected, "{}", isa.name());
        }
    }
    let mut out = [0.0; 8];
    interaction_cat(Some(&dense), &pooled, 3, 2, &mut out);
    assert_eq!(out, cat);
    let (mut grad_dense, mut grad_pooled) = ([0.0; 2], [0.0; 6]);
    interaction_cat_backward(&cat, 3, 2, Some(&mut grad_dense), &mut grad_pooled);
    assert_eq!((grad_dense, grad_pooled), (dense, pooled));
}

/// B, tables, D.
const SHAPES: [[usize; 3]; 17] = [
    [1, 1, 1],
    [3, 0, 4],
    [0, 3, 4],
    [2, 1, 16],
    [5, 3, 2],
    [2, 7, 13],
    [3, 8, 64],
    [2, 11, 16],
    [2, 12, 17],
    [2, 13, 33],
    [2, 15, 16],
    [2, 16, 16],
    [2, 17, 8],
    [3, 26, 16],
    [2, 26, 128],
    [2, 33, 31],
    [1, 100, 7],
];

#[test]
fn dot_agrees_with_the_plain_loops() {
    let mut scratch = Scratch::new();
    for isa in Isa::available() {
        for (shape, with_dense, itself) in
            SHAPES.into_iter().flat_map(|s| [(s, false, false), (s, false, true), (s, true, false), (s, true, true)])
        {
            let [batch, tables, dim] = shape;
            let what = format!("{shape:?}, dense {with_dense}, itself {itself}");
            if !with_dense && tables == 0 {
                continue; // no feature at all
            }
            let mut random = Random(11);
            let (dense, pooled) = (random.values(batch * dim), random.values(batch * tables * dim));
            let dense = with_dense.then_some(&dense[..]);
            let out_len = batch * interaction_dot_dim(dim, tables, with_dense, itself);

            let expected = reference::interaction_dot(dense, &pooled, shape, itself);
            let mut out = Guarded::new(out_len);
            interaction_dot(isa, dense, &pooled, tables, dim, itself, &mut out, &mut scratch);
            out.check(&what, isa);
            assert_close(&what, isa, &out, &expected, sum_tolerance(dim));

            let grad_out = random.values(out_len);
            let (expected_dense, expected_pooled) =
                reference::interaction_dot_backward(dense, &pooled, &grad_out, shape, itself);
            let (mut grad_dense, mut grad_pooled) = (Guarded::new(expected_dense.len()), Guarded::new(pooled.len()));
            interaction_dot_backward(
                isa,
                dense,
                &pooled,
                &grad_out,
                tables,
                dim,
                itself,
                with_dense.then_some(&mut grad_dense),
                &mut grad_pooled,
                &mut scratch,
            );
            grad_dense.check(&what, isa);
            grad_pooled.check(&what, isa);
            // A sum over F features, the diagonal doubled, and the copied gradient.
            let tolerance = sum_tolerance(tables + 3);
            assert_close(&what, isa, &grad_dense, &expected_dense, tolerance);
            assert_close(&what, isa, &grad_pooled, &expected_pooled, tolerance);
        }
    }
}

#[test]
fn pieces_have_the_same_bits_as_the_whole() {
    let [batch, tables, dim] = [7, 26, 16];
    let out_dim = interaction_dot_dim(dim, tables, true, false);
    let mut random = Random(12);
    let (dense, pooled) = (random.values(batch * dim), random.values(batch * tables * dim));
    for isa in Isa::available() {
        let mut scratch = Scratch::new();
        let mut whole = vec![0.0; batch * out_dim];
        interaction_dot(isa, Some(&dense), &pooled, tables, dim, false, &mut whole, &mut scratch);
        for (b, expected) in whole.chunks(out_dim).enumerate() {
            let (dense, pooled) = (&dense[b * dim..][..dim], &pooled[b * tables * dim..][..tables * dim]);
            let mut row = vec![f32::NAN; out_dim];
            interaction_dot(isa, Some(dense), pooled, tables, dim, false, &mut row, &mut scratch);
            assert_bits("interaction_dot in pieces", isa, &row, expected);
        }
    }
}
