//! Updates of the rows that were looked up.

use crate::cases;
use crate::common::Random;
use crate::pages::{Edged, everywhere};
use dlrm_kernels::Scratch;
use dlrm_kernels::embedding_bag::{Bags, Pooling, RowGradient, RowSegments, coalesce};
use dlrm_kernels::optim::*;
use dlrm_kernels::probe::{RowList, read_rows, update_rows};

#[test]
fn row_updates_stay_inside() {
    let step = AdamStep { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, step: 3 };
    // Rows 10 to 39, the first and the last of them too; some of one bag, some of several.
    let (indices, offsets) = ([39, 10, 12, 14, 11, 39, 12], [0, 1, 2, 3, 3, 6, 7]);
    let weights = Random(7).values(7);
    for (isa, dim) in cases(&[1, 2, 7, 8, 16, 17, 33, 64, 130, 415]) {
        for weights in [None, Some(&weights[..])] {
            let what = format!("row updates, D {dim}, weights {} on {}", weights.is_some(), isa.name());
            everywhere(what, |place| {
                let (mut random, scratch) = (Random(6), &mut Scratch::new());
                let mut segments = RowSegments::default();
                let bags = Bags { indices: &indices, offsets: &offsets, weights };
                coalesce(isa, bags, Pooling::Sum, &mut segments, scratch);
                let values = random.values(30 * dim);
                let positive: Vec<f32> = values.iter().map(|v| v * v).collect();
                let grad_out = Edged::new(place, &random.values((bags.num_bags() - 1) * (dim + 2) + dim));
                let grad = RowGradient { base_row: 10, ..RowGradient::new(&segments, &grad_out, dim + 2, dim) };
                let mut tables = [(); 4].map(|()| Edged::new(place, &values));
                let mut states = [(); 3].map(|()| Edged::new(place, &positive));
                let mut row_state = Edged::new(place, &positive[..30]);
                sgd_rows(isa, &mut tables[0], grad, 0.1);
                let [sum, m, v] = &mut states;
                adagrad_rows(isa, &mut tables[1], sum, grad, 0.1, 1e-10);
                rowwise_adagrad_rows(isa, &mut tables[2], &mut row_state, grad, 0.1, 1e-10);
                adam_rows(isa, &mut tables[3], m, v, grad, step);
                tables.into_iter().chain(states).chain([row_state]).collect()
            });
        }
    }
}

#[test]
fn rows_of_probes_stay_inside() {
    for (isa, dim) in cases(&[16, 32, 64, 128]) {
        everywhere(format!("read_rows and update_rows, D {dim} on {}", isa.name()), |place| {
            let mut table = Edged::new(place, &Random(2).values(5 * dim));
            let rows = Edged::new(place, &[4u32, 0, 4, 2, 0, 1, 4]);
            let sum = read_rows(isa, &table, dim, RowList::new(&rows));
            update_rows(isa, &mut table, dim, RowList::new(&rows), 0.5);
            vec![Edged::new(place, &[sum]), table]
        });
    }
}
