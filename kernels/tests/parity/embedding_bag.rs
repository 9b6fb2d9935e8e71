//! Pooled lookup and its gradients on every instruction set: the same bits as the plain loops.

use crate::common::{Guarded, Random, assert_bits};
use dlrm_kernels::embedding_bag::*;
use dlrm_kernels::reference;
use dlrm_kernels::{Isa, Scratch};

const DIMS: [usize; 16] = [1, 2, 7, 8, 13, 16, 17, 31, 32, 33, 64, 100, 128, 130, 256, 415];
pub const ROWS: usize = 37;

struct Case {
    name: &'static str,
    indices: Vec<u32>,
    offsets: Vec<u32>,
}

fn cases() -> Vec<Case> {
    let mut random = Random(9);
    let mut draw = |n: usize| (0..n).map(|_| random.below(ROWS) as u32).collect::<Vec<_>>();
    let ragged: Vec<u32> = vec![0, 0, 3, 4, 4, 40, 41, 141, 141];
    vec![
        Case { name: "no bag", indices: vec![], offsets: vec![0] },
        Case { name: "empty bags", indices: vec![], offsets: vec![0, 0, 0, 0] },
        Case { name: "one lookup a bag", indices: draw(65), offsets: (0..=65).collect() },
        Case { name: "ragged, empty first and last", indices: draw(141), offsets: ragged },
        Case { name: "the same row again and again", indices: vec![5; 50], offsets: vec![0, 20, 20, 50] },
        Case { name: "bags inside a batch", indices: draw(90), offsets: vec![11, 13, 13, 50, 77] },
    ]
}

/// Calls `check(isa, what, case's bags, pooling, dim)` for every case, weighted and not.
pub fn for_each(mut check: impl FnMut(Isa, &str, Bags, Pooling, usize)) {
    for case in cases() {
        let weights = Random(3).values(case.indices.len());
        for (isa, dim) in Isa::available().flat_map(|isa| DIMS.map(|dim| (isa, dim))) {
            for (weights, pooling) in
                [None, Some(&weights[..])].into_iter().flat_map(|w| [(w, Pooling::Sum), (w, Pooling::Mean)])
            {
                let what = format!("{}, D {dim}, weights {}, {pooling:?}", case.name, weights.is_some());
                let bags = Bags { indices: &case.indices, offsets: &case.offsets, weights };
                check(isa, &what, bags, pooling, dim);
            }
        }
    }
}

#[test]
fn forward_has_the_bits_of_the_plain_loop() {
    for_each(|isa, what, bags, pooling, dim| {
        let table = Random(1).values(ROWS * dim);
        for stride in [dim, dim + 5] {
            let len = bags.num_bags().checked_sub(1).map_or(0, |last| last * stride + dim);
            let mut expected = vec![f32::NAN; len];
            reference::embedding_bag(&table, dim, bags, pooling, &mut expected, stride);
            let mut out = Guarded::new(len);
            embedding_bag(isa, &table, dim, bags, pooling, &mut out, stride);
            out.check(what, isa);
            assert_bits(what, isa, &out, &expected);
        }
    });
}

#[test]
fn backward_has_the_bits_of_the_plain_loop() {
    let mut segments = RowSegments::default();
    for_each(|isa, what, bags, pooling, dim| {
        let stride = dim + 3;
        let grad_out = Random(2).values(bags.num_bags() * stride);
        let (rows, expected) = reference::embedding_bag_backward(bags, pooling, &grad_out, stride, dim);
        coalesce(isa, bags, pooling, &mut segments, &mut Scratch::new());
        assert_eq!(segments.rows(), rows, "{what}");
        let mut values = Guarded::new(rows.len() * dim);
        let grad = RowGradient::new(&segments, &grad_out, stride, dim);
        embedding_bag_backward(isa, grad, &mut values);
        values.check(what, isa);
        assert_bits(what, isa, &values, &expected);

        let from = rows.len() / 3;
        let mut values = Guarded::new((rows.len() - from) * dim);
        let some = RowGradient { range: [from, rows.len()], ..grad };
        embedding_bag_backward(isa, some, &mut values);
        assert_bits(what, isa, &values, &expected[from * dim..]);
    });
}

#[test]
fn weight_gradient_has_the_bits_of_the_plain_loop() {
    for_each(|isa, what, bags, pooling, dim| {
        let table = Random(1).values(ROWS * dim);
        let stride = dim + 1;
        let grad_out = Random(2).values(bags.num_bags() * stride);
        let mut expected = vec![0.0; bags.lookups().len()];
        reference::per_sample_weight_backward(&table, dim, bags, pooling, &grad_out, stride, &mut expected);
        let mut out = Guarded::new(expected.len());
        per_sample_weight_backward(isa, &table, dim, bags, pooling, &grad_out, stride, &mut out);
        out.check(what, isa);
        assert_bits(what, isa, &out, &expected);
    });
}

#[test]
fn pieces_have_the_same_bits_as_the_whole() {
    for_each(|isa, what, bags, pooling, dim| {
        let table = Random(1).values(ROWS * dim);
        let mut whole = vec![0.0; bags.num_bags() * dim];
        embedding_bag(isa, &table, dim, bags, pooling, &mut whole, dim);
        for b in 0..bags.num_bags() {
            let mut row = vec![f32::NAN; dim];
            embedding_bag(isa, &table, dim, bags.slice(b..b + 1), pooling, &mut row, dim);
            assert_bits(what, isa, &row, &whole[b * dim..][..dim]);
        }
    });
}

#[test]
fn halves_share_out_rows_and_lookups() {
    // Row 3 has a thousand lookups, rows 0 to 9 one more each.
    let indices: Vec<u32> = (0..10).chain(std::iter::repeat_n(3, 1000)).collect();
    let offsets: Vec<u32> = (0..=indices.len() as u32).collect();
    let mut segments = RowSegments::default();
    coalesce(
        Isa::scalar(),
        Bags { indices: &indices, offsets: &offsets, weights: None },
        Pooling::Sum,
        &mut segments,
        &mut Scratch::new(),
    );
    let grad_out = vec![0.0; indices.len()];
    let all = RowGradient::new(&segments, &grad_out, 1, 1);
    assert_eq!(all.len(), 10 + 1010);
    let [low, high] = all.halves();
    assert_eq!((low.rows(), high.rows()), (&[0, 1, 2, 3][..], &[4, 5, 6, 7, 8, 9][..]));
    let [low, high] = low.halves();
    assert_eq!((low.rows(), high.rows()), (&[0, 1, 2][..], &[3][..]));
    let [low, high] = high.halves();
    assert!(low.is_empty() && high.rows() == [3]);
}
