//! The interaction of features.

use crate::common::Random;
use crate::pages::{Edged, everywhere};
use crate::{cases, unwritten};
use dlrm_kernels::Scratch;
use dlrm_kernels::interaction::*;

/// B, tables, D.
const SHAPES: [[usize; 3]; 14] = [
    [1, 1, 1],
    [3, 0, 4],
    [2, 1, 16],
    [5, 3, 2],
    [2, 7, 13],
    [3, 8, 64],
    [2, 12, 17],
    [2, 13, 33],
    [2, 15, 16],
    [2, 17, 8],
    [3, 26, 16],
    [2, 26, 128],
    [2, 33, 31],
    [1, 100, 7],
];

#[test]
fn dot_stays_inside() {
    for (isa, [batch, tables, dim]) in cases(&SHAPES) {
        for (with_dense, itself) in [(true, false), (true, true), (false, false), (false, true)] {
            if !with_dense && tables == 0 {
                continue; // no feature at all
            }
            let what = format!("interaction_dot {batch} {tables} {dim} {with_dense} {itself} on {}", isa.name());
            everywhere(what, |place| {
                let (mut random, scratch) = (Random(11), &mut Scratch::new());
                let dense = Edged::new(place, &random.values(batch * dim));
                let pooled = Edged::new(place, &random.values(batch * tables * dim));
                let dense = with_dense.then_some(&dense[..]);
                let mut out = unwritten(place, batch * interaction_dot_dim(dim, tables, with_dense, itself));
                interaction_dot(isa, dense, &pooled, tables, dim, itself, &mut out, scratch);

                let grad = Edged::new(place, &random.values(out.len()));
                let mut to_dense = unwritten(place, if with_dense { batch * dim } else { 0 });
                let mut to_pooled = unwritten(place, pooled.len());
                let to = with_dense.then_some(&mut to_dense[..]);
                interaction_dot_backward(isa, dense, &pooled, &grad, tables, dim, itself, to, &mut to_pooled, scratch);
                vec![out, to_dense, to_pooled]
            });
        }
    }
}

#[test]
fn cat_stays_inside() {
    for [batch, tables, dim] in SHAPES {
        everywhere(format!("interaction_cat {batch} {tables} {dim}"), |place| {
            let mut random = Random(11);
            let dense = Edged::new(place, &random.values(batch * dim));
            let pooled = Edged::new(place, &random.values(batch * tables * dim));
            let mut out = unwritten(place, dense.len() + pooled.len());
            interaction_cat(Some(&dense), &pooled, tables, dim, &mut out);
            let (mut to_dense, mut to_pooled) = (unwritten(place, dense.len()), unwritten(place, pooled.len()));
            interaction_cat_backward(&out, tables, dim, Some(&mut to_dense), &mut to_pooled);
            vec![out, to_dense, to_pooled]
        });
    }
}
