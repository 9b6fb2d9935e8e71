//! Pooled lookup and its gradients.

use crate::common::Random;
use crate::pages::{Edged, everywhere};
use crate::{cases, unwritten};
use dlrm_kernels::Scratch;
use dlrm_kernels::embedding_bag::*;
use dlrm_kernels::quantized::{RowFormat, dequantize_rows, quantize_rows};

const DIMS: [usize; 15] = [1, 2, 7, 8, 13, 16, 17, 31, 33, 64, 100, 128, 130, 256, 415];
const ROWS: usize = 37;

/// Indices and offsets: empty bags first and last, one lookup a bag, the last row often.
fn bags() -> [(Vec<u32>, Vec<u32>); 4] {
    let mut random = Random(9);
    let mut draw = |n: usize| (0..n).map(|_| random.below(ROWS) as u32).collect::<Vec<_>>();
    let last = ROWS as u32 - 1;
    [
        (vec![], vec![0, 0]),
        (draw(65), (0..=65).collect()),
        (draw(41), vec![0, 0, 3, 4, 4, 40, 41, 41]),
        (vec![last, 0, last, last, 0], vec![1, 3, 5]),
    ]
}

#[test]
fn lookups_and_their_gradients_stay_inside() {
    for (indices, offsets) in bags() {
        for (isa, dim) in cases(&DIMS) {
            for (weighted, pooling) in [(false, Pooling::Sum), (true, Pooling::Mean), (true, Pooling::Sum)] {
                let lookups = indices.len();
                let what = format!("{lookups} lookups, D {dim}, {pooling:?}, weights {weighted} on {}", isa.name());
                everywhere(what, |place| {
                    let mut random = Random(1);
                    let table = Edged::new(place, &random.values(ROWS * dim));
                    let [indices, offsets] = [&indices, &offsets].map(|list| Edged::new(place, list));
                    let weights = Edged::new(place, &random.values(lookups));
                    let bags = Bags { indices: &indices, offsets: &offsets, weights: weighted.then_some(&weights[..]) };
                    let stride = dim + 3;
                    let len = (bags.num_bags() - 1) * stride + dim;
                    let mut out = unwritten(place, len);
                    embedding_bag(isa, &table, dim, bags, pooling, &mut out, stride);

                    let grad_out = Edged::new(place, &random.values(len));
                    let mut weight_grad = unwritten(place, bags.lookups().len());
                    per_sample_weight_backward(isa, &table, dim, bags, pooling, &grad_out, stride, &mut weight_grad);

                    let (mut segments, mut scratch) = (RowSegments::default(), Scratch::new());
                    coalesce(isa, bags, pooling, &mut segments, &mut scratch);
                    let mut values = unwritten(place, segments.rows().len() * dim);
                    let grad = RowGradient::new(&segments, &grad_out, stride, dim);
                    embedding_bag_backward(isa, grad, &mut values);
                    let out: Vec<f32> = (0..bags.num_bags()).flat_map(|b| out[b * stride..][..dim].to_vec()).collect();
                    vec![Edged::new(place, &out), weight_grad, values]
                });
            }
        }
    }
}

#[test]
fn lookups_of_fewer_bits_stay_inside() {
    for (indices, offsets) in bags() {
        for ((isa, dim), format) in cases(&DIMS).flat_map(|case| RowFormat::ALL.map(|format| (case, format))) {
            let what = format!("{} lookups of {}, D {dim} on {}", indices.len(), format.name(), isa.name());
            everywhere(what, |place| {
                let values = Edged::new(place, &Random(1).values(ROWS * dim));
                let mut bytes = Edged::new(place, &vec![0xa5u8; ROWS * format.row_bytes(dim)]);
                quantize_rows(format, &values, dim, &mut bytes);
                let mut back = unwritten(place, values.len());
                dequantize_rows(format, &bytes, dim, &mut back);
                let [indices, offsets] = [&indices, &offsets].map(|list| Edged::new(place, list));
                let bags = Bags { indices: &indices, offsets: &offsets, weights: None };
                let mut out = unwritten(place, bags.num_bags() * dim);
                embedding_bag_quantized(isa, format, &bytes, dim, bags, Pooling::Sum, &mut out, dim);
                vec![back, out]
            });
        }
    }
}
