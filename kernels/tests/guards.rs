//! A programmer's mistake stops at the edge, before anything is read or written, and the message
//! names the operation, the argument and both shapes.

use dlrm_kernels::elementwise::{add_assign, bce_with_logits, dot, mul_add, relu_backward};
use dlrm_kernels::embedding_bag::*;
use dlrm_kernels::gemm::*;
use dlrm_kernels::interaction::*;
use dlrm_kernels::optim::*;
use dlrm_kernels::probe::{RowList, read_rows, update_rows};
use dlrm_kernels::quantized::{RowFormat, int8_len, linear_f16, linear_int8, pack_int8, quantize_rows};
use dlrm_kernels::{Isa, Scratch};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Call<'a> = Box<dyn FnOnce() + 'a>;

fn message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("a panic");
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| payload.downcast_ref::<&str>().unwrap().to_string())
}

fn bags<'a>(indices: &'a [u32], offsets: &'a [u32]) -> Bags<'a> {
    Bags { indices, offsets, weights: None }
}

fn pool(isa: Isa, table: &[f32], dim: usize, bags: Bags, out: &mut [f32]) {
    embedding_bag(isa, table, dim, bags, Pooling::Sum, out, dim);
}

fn pool_quantized(isa: Isa, table: &[u8], bags: Bags, out: &mut [f32]) {
    embedding_bag_quantized(isa, RowFormat::Int8, table, 2, bags, Pooling::Sum, out, 2);
}

#[test]
fn wrong_shapes_are_named() {
    for isa in Isa::available() {
        let packed = vec![0.0; packed_len(isa, 4, 3)];
        let mut of_rows = RowSegments::default();
        of_rows.set_one_each([9, 11].into_iter());
        let grad = RowGradient { base_row: 10, ..RowGradient::new(&of_rows, &[0.0; 4], 2, 2) };
        let cases: Vec<(&str, Call)> = vec![
            (
                "linear: x has 5 values, expected 2 x 3",
                Box::new(|| {
                    linear(isa, &[0.0; 5], &packed, None, Activation::None, &mut [0.0; 8], 2, 4, 3, &mut Scratch::new())
                }),
            ),
            (
                "linear: y has 7 values, expected 2 x 4",
                Box::new(|| {
                    linear(isa, &[0.0; 6], &packed, None, Activation::None, &mut [0.0; 7], 2, 4, 3, &mut Scratch::new())
                }),
            ),
            (
                "linear: bias has 1 values, expected 1 x 4",
                Box::new(|| {
                    linear(
                        isa,
                        &[0.0; 6],
                        &packed,
                        Some(&[0.0]),
                        Activation::None,
                        &mut [0.0; 8],
                        2,
                        4,
                        3,
                        &mut Scratch::new(),
                    )
                }),
            ),
            (
                "linear_backward_input: dy has 1 values, expected 2 x 4",
                Box::new(|| {
                    linear_backward_input(isa, &[0.0], &packed, &mut [0.0; 6], 2, 4, 3, Beta::Zero, &mut Scratch::new())
                }),
            ),
            (
                "linear_backward_weight: rows 3..5 of 4",
                Box::new(|| {
                    let (dw, scratch) = (&mut [0.0; 6], &mut Scratch::new());
                    linear_backward_weight(isa, &[0.0; 8], &[0.0; 6], dw, None, 2, 4, 3, 3..5, Beta::Zero, scratch);
                }),
            ),
            (
                "linear_backward_weight: db_rows has 3 values, expected 1 x 2",
                Box::new(|| {
                    let (dw, db) = (&mut [0.0; 6], Some((&mut [0.0; 3][..], Beta::Zero)));
                    let scratch = &mut Scratch::new();
                    linear_backward_weight(isa, &[0.0; 8], &[0.0; 6], dw, db, 2, 4, 3, 2..4, Beta::Zero, scratch);
                }),
            ),
            (
                "pack_forward_panel: w has 11 values, expected 4 x 3",
                Box::new(|| pack_forward_panel(isa, &[0.0; 11], 4, 3, 0, &mut [])),
            ),
            (
                "embedding_bag: index 5, but the table has 5 rows of 2",
                Box::new(|| pool(isa, &[0.0; 10], 2, bags(&[0, 5], &[0, 2]), &mut [0.0; 2])),
            ),
            (
                "embedding_bag: table has 11 values, expected 5 x 2",
                Box::new(|| pool(isa, &[0.0; 11], 2, bags(&[0], &[0, 1]), &mut [0.0; 2])),
            ),
            (
                "embedding_bag: offsets end at 3, but there are 2 indices",
                Box::new(|| pool(isa, &[0.0; 10], 2, bags(&[0, 1], &[0, 3]), &mut [0.0; 2])),
            ),
            (
                "embedding_bag: offsets fall",
                Box::new(|| pool(isa, &[0.0; 10], 2, bags(&[0, 1], &[0, 2, 1]), &mut [0.0; 4])),
            ),
            (
                "embedding_bag: offsets is empty, expected B + 1 entries",
                Box::new(|| pool(isa, &[0.0; 10], 2, bags(&[], &[]), &mut [])),
            ),
            (
                "embedding_bag: out has 3 values, expected 2 rows of 2, 2 apart",
                Box::new(|| pool(isa, &[0.0; 10], 2, bags(&[0, 1], &[0, 1, 2]), &mut [0.0; 3])),
            ),
            (
                "embedding_bag: out has rows of 0 values 0 apart",
                Box::new(|| pool(isa, &[], 0, bags(&[], &[0]), &mut [])),
            ),
            (
                "embedding_bag_quantized: index 5, but the table has 5 rows of 2",
                Box::new(|| pool_quantized(isa, &[0; 50], bags(&[0, 5], &[0, 2]), &mut [0.0; 2])),
            ),
            (
                "embedding_bag_quantized: table has 49 values, expected 4 x 10",
                Box::new(|| pool_quantized(isa, &[0; 49], bags(&[0], &[0, 1]), &mut [0.0; 2])),
            ),
            (
                "linear_int8: packed has 3 values, expected 1 x",
                Box::new(|| {
                    let (y, scratch) = (&mut [0.0; 8], &mut Scratch::new());
                    linear_int8(isa, &[0.0; 6], &[0; 3], None, Activation::None, y, 2, 4, 3, scratch);
                }),
            ),
            (
                "linear_f16: packed has 3 values, expected 1 x",
                Box::new(|| {
                    let (y, scratch) = (&mut [0.0; 8], &mut Scratch::new());
                    linear_f16(isa, &[0.0; 6], &[0; 3], None, Activation::None, y, 2, 4, 3, scratch);
                }),
            ),
            (
                "pack_int8: 66312 inputs, expected at most 66311",
                Box::new(|| {
                    let (w, mut out) = (vec![0.0; 66_312], vec![0; int8_len(isa, 1, 66_312)]);
                    pack_int8(isa, &w, 1, 66_312, &mut out);
                }),
            ),
            (
                "quantize_rows: values has 5 values, expected 2 x 2",
                Box::new(|| quantize_rows(RowFormat::Int8, &[0.0; 5], 2, &mut [0; 20])),
            ),
            (
                "quantize_rows: out has 19 values, expected 2 x 10",
                Box::new(|| quantize_rows(RowFormat::Int8, &[0.0; 4], 2, &mut [0; 19])),
            ),
            (
                "embedding_bag_backward: grad_out has 3 values, expected 2 rows of 2, 2 apart",
                Box::new(|| {
                    let grad = RowGradient { grad_out: &[0.0; 3], ..grad };
                    embedding_bag_backward(isa, grad, &mut [0.0; 4]);
                }),
            ),
            (
                "interaction_dot: out has 1 values, expected 1 x 3",
                Box::new(|| {
                    let (dense, pooled) = ([0.0; 2], [0.0; 2]);
                    interaction_dot(isa, Some(&dense), &pooled, 1, 2, false, &mut [0.0], &mut Scratch::new());
                }),
            ),
            (
                "interaction_cat: pooled has 3 values, expected 1 x 4",
                Box::new(|| interaction_cat(Some(&[0.0; 2]), &[0.0; 3], 2, 2, &mut [0.0; 6])),
            ),
            (
                "bce_with_logits: y has 1 values, expected 1 x 2",
                Box::new(|| assert!(bce_with_logits(&[0.0; 2], &[0.0], None).is_finite())),
            ),
            (
                "relu_backward: dy has 2 values, expected 1 x 3",
                Box::new(|| relu_backward(isa, &[0.0; 3], &mut [0.0; 2])),
            ),
            ("add_assign: x has 2 values, expected 1 x 3", Box::new(|| add_assign(isa, &mut [0.0; 3], &[0.0; 2]))),
            ("mul_add: b has 2 values, expected 1 x 3", Box::new(|| mul_add(isa, &[0.0; 3], &[0.0; 2], &mut [0.0; 3]))),
            ("dot: b has 2 values, expected 1 x 3", Box::new(|| assert!(dot(isa, &[0.0; 3], &[0.0; 2]).is_finite()))),
            (
                "sgd_rows: rows 9 to 11 leave table, which has 3 rows from 10 on",
                Box::new(|| sgd_rows(isa, &mut [0.0; 6], grad, 0.1)),
            ),
            (
                "set_one_each: rows are not ascending and unique",
                Box::new(|| RowSegments::default().set_one_each([11, 11].into_iter())),
            ),
            (
                "read_rows: row 5, but the table has 5 rows of 16",
                Box::new(|| assert!(read_rows(isa, &[0.0; 80], 16, RowList::new(&[0, 5, 1])).is_finite())),
            ),
            (
                "update_rows: rows of 20 values, expected 16, 32, 64 or 128",
                Box::new(|| update_rows(isa, &mut [0.0; 80], 20, RowList::new(&[0]), 0.1)),
            ),
        ];
        for (expected, call) in cases {
            // How long packed operands are depends on the set.
            let (message, open) = (message(call), expected.ends_with(" x"));
            assert!(message == expected || open && message.starts_with(expected), "{}: {message}", isa.name());
        }
    }
}

#[test]
fn nothing_is_written_before_the_indices_are_checked() {
    for isa in Isa::available() {
        let mut out = [7.0; 4];
        let text = message(|| pool(isa, &[1.0; 10], 2, bags(&[0, 9], &[0, 1, 2]), &mut out));
        assert_eq!(text, "embedding_bag: index 9, but the table has 5 rows of 2");
        assert_eq!(out, [7.0; 4], "{}", isa.name());
    }
}

#[test]
fn a_row_beyond_the_state_is_refused() {
    for isa in Isa::available() {
        let mut of_rows = RowSegments::default();
        of_rows.set_one_each(std::iter::once(12));
        let grad = RowGradient { base_row: 10, ..RowGradient::new(&of_rows, &[0.0; 2], 2, 2) };
        let text = message(|| rowwise_adagrad_rows(isa, &mut [0.0; 6], &mut [0.0; 2], grad, 0.1, 0.0));
        assert_eq!(text, "rowwise_adagrad_rows: rows 12 to 12 leave state, which has 2 rows from 10 on");
    }
}

/// Sizes that wrap around would pass for small ones, and the kernels would leave their slices.
#[test]
fn sizes_beyond_all_memory_are_refused() {
    for isa in Isa::available() {
        let far = 1 << 63;
        let text = message(|| {
            embedding_bag(isa, &[0.0; 2], 1, bags(&[0, 1, 0], &[0, 1, 2, 3]), Pooling::Sum, &mut [0.0], far);
        });
        assert_eq!(text, "embedding_bag: out has 1 values, expected 3 rows of 1, 9223372036854775808 apart");
        let text = message(|| {
            interaction_dot(isa, Some(&[0.0; 2]), &[], far, 2, false, &mut [0.0; 2], &mut Scratch::new());
        });
        assert_eq!(text, "interaction_dot: 9223372036854775808 tables of 2 values");
        let most = [
            packed_len(isa, far, 2),
            packed_len(isa, usize::MAX, 1),
            int8_len(isa, far, 64),
            int8_len(isa, usize::MAX, usize::MAX),
        ];
        assert_eq!(most, [usize::MAX; 4], "{}", isa.name());
    }
    assert!(interaction_dot_dim(2, 1 << 33, true, true) > isize::MAX as usize / size_of::<f32>());
}
