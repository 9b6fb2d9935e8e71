//! Tables stored in f16, where the adapter has it.

use crate::embedding::{DIMS, lists, tables};
use crate::support::{close, cpu, half, open, random, sound};
use crate::update_tables::{RULES, Training, bits};
use dlrm::backend::{Backend, Pooling, UpdateRule, UpdateStep, Wgpu, WgpuOptions};
use dlrm::{JaggedTensor, Parameters, Tensor};
use dlrm_kernels::quantized::{RowFormat, dequantize_rows, quantize_rows};
use std::sync::Arc;

/// The nearest numbers of f16.
fn nearest(numbers: &[f32]) -> Vec<f32> {
    let (mut bytes, mut to) = (vec![0; 2 * numbers.len()], vec![0.0; numbers.len()]);
    quantize_rows(RowFormat::F16, numbers, numbers.len(), &mut bytes);
    dequantize_rows(RowFormat::F16, &bytes, numbers.len(), &mut to);
    to
}

/// One table that is on the device alone: a step was made whose gradient is 0.
fn only_there(gpu: &Arc<Wgpu>, dim: usize, values: &[f32]) -> Training {
    let mut training = Training::new(gpu.clone(), &[values.len() / dim], dim, UpdateRule::Sgd);
    training.params.tables_mut()[0].values_mut().copy_from_slice(values);
    push(&mut training, gpu, &[0], &vec![0.0; dim], 0.0, 1);
    training
}

/// So many steps of SGD, each with the same gradients of rows.
fn push(training: &mut Training, gpu: &Arc<Wgpu>, rows: &[u32], grads: &[f32], lr: f32, steps: u64) {
    let tables = training.params.tables_mut();
    let mut grad = Tensor::from_slice(&[rows.len(), 1, grads.len() / rows.len()], grads);
    let bags = [JaggedTensor::one_per_bag(rows.to_vec())];
    gpu.embedding_bags_backward(tables, Pooling::Sum, &bags, &mut grad, &mut *training.grads, 0);
    for t in 1..=steps {
        let step = UpdateStep { rule: UpdateRule::Sgd, lr, t, unless: None };
        gpu.update_tables(step, tables, &*training.grads, &mut training.states);
    }
    training.grads.clear();
}

fn check_forward(gpu: &Arc<Wgpu>, rows: &[usize], dim: usize, bags: usize) {
    let (theirs, ours) = (tables(Arc::new(cpu()), rows, dim), tables(gpu.clone(), rows, dim));
    for weighted in [false, true] {
        let lists = lists(bags, rows, weighted);
        for pooling in [Pooling::Sum, Pooling::Mean] {
            let mut expected = random(&[bags, rows.len(), dim], 1);
            let mut out = random(&[bags, rows.len(), dim], 2);
            cpu().embedding_bags(theirs.tables(), pooling, &lists, &mut expected);
            gpu.embedding_bags(ours.tables(), pooling, &lists, &mut out);
            let what = format!("{rows:?} x {dim}, {bags} bags");
            close(&what, out.as_slice(), expected.as_slice(), 1e-3);
            assert!(bags == 1 || out.as_slice() != expected.as_slice(), "{what}: numbers are rounded");
        }
    }
    sound(gpu);
}

#[test]
fn forward() {
    let Some(gpu) = half(None) else { return };
    for dim in DIMS {
        for (rows, bags) in [(&[5, 700, 1][..], 33), (&[1], 1), (&[40, 3], 257)] {
            check_forward(&gpu, rows, dim, bags);
        }
    }
}

/// At 16 KiB a buffer, 818 rows of 5 numbers, 256 of 16 and 194 of 21: the second table is in several buffers.
#[test]
fn forward_of_tables_that_are_cut() {
    let Some(gpu) = half(Some(16 << 10)) else { return };
    for dim in [5, 16, 21] {
        check_forward(&gpu, &[100, 701, 51, 300], dim, 21);
    }
}

#[test]
fn tables_are_half_the_bytes() {
    let rows = [5, 700, 1];
    // Rows of three numbers of f16 are six bytes, so each table begins at an even one.
    for (dim, in_f16) in [(16, 706), (20, 706), (3, 708)] {
        // Devices that have nothing yet.
        let (Some(half), Some(full)) = (half(None), open(&WgpuOptions::default())) else { return };
        let bytes = [half, full].map(|gpu| {
            let params = tables(gpu.clone(), &rows, dim);
            let mut out = Tensor::zeros(&[9, 3, dim]);
            gpu.embedding_bags(params.tables(), Pooling::Sum, &lists(9, &rows, false), &mut out);
            sound(&gpu);
            gpu.counts().buffer_bytes
        });
        assert_eq!(bytes[1] - bytes[0], (4 * 706 * dim - 2 * in_f16 * dim) as u64, "{dim}");
    }
}

#[test]
fn numbers_go_there_and_back() {
    let Some(gpu) = half(None) else { return };
    for dim in [3, 4] {
        // Beyond the range, at its ends, numbers below 2^-14, halves between two numbers, and an odd row at the end.
        let mut values = vec![1e6, -7e4, f32::INFINITY, 65504.0, -65504.0, f32::NAN, 5.9604645e-8, -4.2e-5, 0.0];
        values.extend([2049.0, 2051.0, -0.1, 0.3, 1.0 / 3.0, 7e-9, -1.0, -0.0, 12345.0, 1e-6, 5.0, 0.7]);
        values.resize(3 * dim * (values.len() / dim / 3), 0.0);
        let mut expected = values.clone();
        expected[..3].copy_from_slice(&[65504.0, -65504.0, 65504.0]);
        let training = only_there(&gpu, dim, &values);
        let before = gpu.counts().bytes_down;
        close("as they are", training.params.tables()[0].values(), &nearest(&expected), 0.0);
        let words = values.len().next_multiple_of(2);
        assert_eq!(gpu.counts().bytes_down - before, 2 * words as u64, "{dim}: from the device");
    }
    sound(&gpu);
}

#[test]
fn a_table_that_is_sent_when_it_is_filled() {
    let Some(gpu) = half(None) else { return };
    let [ours, theirs] = [gpu.clone() as Arc<dyn Backend>, Arc::new(cpu())].map(|backend| {
        let mut params = Parameters::new(backend.clone());
        params.add_table("t", 600_001, 15);
        backend.fill_uniform(&mut params.tables_mut()[0], 5, -0.01, 0.01);
        params
    });
    assert!(bits(ours.tables()[0].values()) == bits(&nearest(theirs.tables()[0].values())));
    assert_eq!(gpu.counts().bytes_down, 2 * (600_001 * 15 + 1));
    sound(&gpu);
}

/// Steps of a twentieth of a unit in the last place, none of which would be left if they were rounded to the nearest.
#[test]
fn many_small_steps_move_a_row_by_their_sum() {
    const STEPS: u64 = 2000;
    const DIM: usize = 64;
    let Some(gpu) = half(None) else { return };
    // Units of numbers around 0.75, below 2^-14, and on both sides of 0.
    let rows = [(0.75f32, 2f32.powi(-11)), (3e-5, 2f32.powi(-24)), (5.0 * 2f32.powi(-24), 2f32.powi(-24)), (0.1, 0.0)];
    let values: Vec<f32> = rows.iter().flat_map(|&(value, _)| [value; DIM]).collect();
    let mut training = only_there(&gpu, DIM, &values);
    let before = training.params.tables()[0].values().to_vec();
    let grads: Vec<f32> = rows[..3].iter().flat_map(|&(_, unit)| [unit; DIM]).collect();
    push(&mut training, &gpu, &[0, 1, 2], &grads, 0.05, STEPS);
    let after = training.params.tables()[0].values();
    for (r, &(_, unit)) in rows[..3].iter().enumerate() {
        let moved: Vec<f32> =
            (r * DIM..(r + 1) * DIM).map(|i| (before[i] - after[i]) / unit / (0.05 * STEPS as f32)).collect();
        // The spread of a number is 0.1, that of the mean an eighth.
        let mean = moved.iter().sum::<f32>() / DIM as f32;
        assert!((mean - 1.0).abs() < 0.05, "row {r}: {mean} of what it should be");
        let worst = moved.iter().map(|moved| (moved - 1.0).abs()).fold(0.0, f32::max);
        assert!(worst > 0.1 && worst < 0.5, "row {r}: {worst}");
    }
    assert_eq!(bits(&after[3 * DIM..]), bits(&before[3 * DIM..]), "a row that was not looked up");
    sound(&gpu);
}

#[test]
fn steps_beyond_the_range_end_there() {
    let Some(gpu) = half(None) else { return };
    let mut training = only_there(&gpu, 4, &[65504.0, -65000.0, 1.0, 65500.0]);
    push(&mut training, &gpu, &[0], &[-1.0, 1e30, f32::NAN, 3.0], 1e3, 3);
    let after = training.params.tables()[0].values();
    assert_eq!(after[..2], [65504.0, -65504.0]);
    assert!(after[2].is_nan() && after[3] < 57_000.0, "{after:?}");
    sound(&gpu);
}

#[test]
fn all_rules_are_the_same_to_two_digits() {
    let Some(gpu) = half(None) else { return };
    for (dim, rows) in [(1, &[5, 701, 1][..]), (3, &[300, 3]), (16, &[9, 400, 70]), (300, &[20, 7])] {
        for rule in RULES {
            let what = format!("{rule:?} {rows:?} x {dim}");
            let ten = |backend: Arc<dyn Backend>| {
                let mut training = Training::new(backend, rows, dim, rule);
                (0..10).for_each(|seed| training.step(Pooling::Mean, &lists(33, rows, seed % 2 == 0), seed));
                training
            };
            let (ours, theirs) = (ten(gpu.clone()), ten(Arc::new(cpu())));
            close(&what, &ours.numbers(), &theirs.numbers(), 1e-2);
            for (ours, theirs) in ours.states.iter().zip(&theirs.states) {
                close(&what, ours.first.as_slice(), theirs.first.as_slice(), 1e-5);
                close(&what, ours.second.as_slice(), theirs.second.as_slice(), 1e-5);
            }
            let values = || ours.params.tables().iter().flat_map(|table| table.values().to_vec());
            assert!(nearest(&values().collect::<Vec<_>>()).into_iter().eq(values()), "{what}: numbers of f16");
        }
    }
    sound(&gpu);
}

#[test]
fn the_same_bits_each_run_and_wherever_tables_are_cut() {
    let (Some(whole), Some(cut)) = (half(None), half(Some(16 << 10))) else { return };
    for (rule, dim) in RULES.into_iter().zip([16, 21, 5, 15]) {
        let rows = [100, 701, 51, 300];
        let run = |gpu: &Arc<Wgpu>| {
            let mut training = Training::new(gpu.clone(), &rows, dim, rule);
            (0..3).for_each(|seed| training.step(Pooling::Sum, &lists(20, &rows, seed == 1), seed));
            sound(gpu);
            bits(&training.numbers())
        };
        let first = run(&whole);
        assert!(first == run(&whole), "{rule:?}: again");
        assert!(first == run(&cut), "{rule:?}: cut");
    }
}

#[test]
fn what_is_read_goes_on_with_the_same_bits() {
    let (Some(first), Some(second)) = (half(None), half(None)) else { return };
    for (rule, dim) in RULES.into_iter().zip([16, 3, 5, 4]) {
        let rows = [100, 701];
        let step = |training: &mut Training, seed| training.step(Pooling::Sum, &lists(20, &rows, false), seed);
        let mut training = Training::new(first.clone(), &rows, dim, rule);
        (0..2).for_each(|seed| step(&mut training, seed));
        let mut other = Training::new(second.clone(), &rows, dim, rule);
        other.t = training.t;
        for (to, from) in other.params.tables_mut().iter_mut().zip(training.params.tables()) {
            to.values_mut().copy_from_slice(from.values());
        }
        for (to, from) in other.states.iter_mut().zip(&training.states) {
            to.first.as_mut_slice().copy_from_slice(from.first.as_slice());
            to.second.as_mut_slice().copy_from_slice(from.second.as_slice());
        }
        [&mut training, &mut other].into_iter().for_each(|training| step(training, 2));
        assert!(bits(&training.numbers()) == bits(&other.numbers()), "{rule:?}");
    }
    sound(&second);
}

#[test]
fn l2_is_of_the_rows_that_are_stored() {
    let Some(gpu) = half(None) else { return };
    let rows = [30, 401];
    let [ours, theirs] = [gpu.clone() as Arc<dyn Backend>, Arc::new(cpu())].map(|backend| {
        let mut training = Training::new(backend.clone(), &rows, 5, UpdateRule::Sgd);
        training.params.tables_mut().iter_mut().for_each(|table| {
            let values = nearest(table.values());
            table.values_mut().copy_from_slice(&values);
        });
        training.backward(Pooling::Sum, &lists(20, &rows, false), 1);
        backend.sum_table_grads(&mut *training.grads);
        backend.add_l2(0.1, training.params.tables(), &mut *training.grads);
        training.gradients()
    });
    assert_eq!(ours.0, theirs.0);
    close("g + l2 w", &ours.1, &theirs.1, 1e-6);
    sound(&gpu);
}
