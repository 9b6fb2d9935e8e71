//! Activations stored in f16, where the adapter has it; tables are in `f16_tables.rs`, and `storage.rs` is about an adapter
//! that has not.

use crate::support::{close, cpu, half, open, random, sound};
use dlrm::backend::{Activation, Backend, Beta, Counts, Interaction, LossKind, WgpuOptions};
use dlrm::nn::{Dlrm, DlrmConfig};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::parameters::DenseId;
use dlrm::train::Trainer;
use dlrm::{Batch, Gradients, JaggedTensor, Parameters, Stream, Tape, Tensor, ops};
use std::sync::Arc;

/// Samples, and the widths of three layers from input to output.
const SAMPLES: usize = 300;
const WIDTHS: [usize; 4] = [13, 65, 31, 1];

/// Numbers whose sums of so many products with numbers around 1 are around 1 too.
fn scaled(shape: &[usize], terms: usize, seed: u64) -> Tensor {
    let mut tensor = random(shape, seed);
    tensor.as_mut_slice().iter_mut().for_each(|v| *v /= (terms as f32).sqrt());
    tensor
}

/// All values and gradients of three layers.
fn layers(backend: Arc<dyn Backend>, look: impl FnOnce()) -> Vec<(String, Vec<f32>)> {
    let mut params = Parameters::new(backend.clone());
    let weights: Vec<[DenseId; 2]> = (0..3)
        .map(|i| {
            let (n, k) = (WIDTHS[i + 1], WIDTHS[i]);
            [scaled(&[n, k], k, i as u64), random(&[n], 10 + i as u64)].map(|t| params.add_dense(format!("{i}"), t))
        })
        .collect();
    let (mut tape, mut grads) = (Tape::new(backend.clone()), Gradients::new(&params));
    let mut vars = vec![tape.variable(&[SAMPLES, WIDTHS[0]], random(&[SAMPLES, WIDTHS[0]], 20).as_slice())];
    for (i, &[w, b]) in weights.iter().enumerate() {
        // ReLU only where inputs are not rounded: a rounded sum may be on the other side of 0.
        let act = if i == 0 { Activation::Relu } else { Activation::None };
        vars.push(ops::linear(&mut tape, &params, vars[i], w, Some(b), act));
    }
    tape.backward_from(vars[3], scaled(&[SAMPLES, 1], SAMPLES, 21).as_slice(), &params, &mut grads);
    backend.submit();
    look();
    let values = vars.iter().map(|&v| ("value".to_owned(), tape.value(v).as_slice().to_vec()));
    let of_weights =
        weights.iter().flatten().map(|&id| ("weight".to_owned(), grads.dense(id).unwrap().as_slice().to_vec()));
    let of_input = ("input".to_owned(), tape.grad(vars[0]).unwrap().as_slice().to_vec());
    values.chain(of_weights).chain([of_input]).collect()
}

#[test]
fn layers_are_the_same_to_three_digits_in_less_memory() {
    let (Some(half), Some(full)) = (half(None), open(&WgpuOptions::default())) else { return };
    let mut counts = [Counts::default(); 2];
    let got = layers(half.clone(), || counts[0] = half.counts());
    layers(full.clone(), || counts[1] = full.counts());
    for (i, ((what, got), (_, expected))) in got.iter().zip(layers(Arc::new(cpu()), || ())).enumerate() {
        close(&format!("{i}: {what}"), got, &expected, 1e-3);
    }
    let [half_bytes, full_bytes] = counts.map(|counts| counts.buffer_bytes);
    assert_eq!(full_bytes - half_bytes, 2 * (SAMPLES * (WIDTHS[1] + WIDTHS[2])) as u64, "half of 4 bytes a number");
    assert_eq!(counts[0].dispatches, counts[1].dispatches, "nothing is widened");
    sound(&half);
}

#[test]
fn numbers_go_between_both_forms() {
    let Some(gpu) = half(None) else { return };
    let mut params = Parameters::new(gpu.clone());
    let w = params.add_dense("w", random(&[7, 5], 1));
    let x = random(&[3, 5], 2);
    let mut y = Tensor::zeros(&[3, 7]);
    gpu.linear(&x, params.get(w), None, Activation::None, &mut y);
    let stored = y.as_slice().to_vec();
    assert!(stored.iter().all(|v| v.to_bits() & 0x1fff == 0), "10 bits of 23: {stored:?}");

    // What only reads f32, and what adds to it.
    let mut sum = random(&[3, 7], 3);
    let mut expected: Vec<f32> = sum.as_slice().iter().zip(&stored).map(|(a, b)| a + b).collect();
    gpu.add_to(&y, &mut sum, Beta::One);
    close("read", sum.as_slice(), &expected, 0.0);
    gpu.add_to(&sum, &mut y, Beta::One);
    expected.iter_mut().zip(&stored).for_each(|(sum, y)| *sum += y);
    close("added to", y.as_slice(), &expected, 0.0);

    // Numbers from here, which nothing rounds.
    let from_here = random(&[3, 7], 4);
    y.copy_from_slice(from_here.as_slice());
    let mut copy = Tensor::zeros(&[3, 7]);
    gpu.add_to(&y, &mut copy, Beta::Zero);
    close("from here", copy.as_slice(), from_here.as_slice(), 0.0);

    gpu.linear(&x, params.get(w), None, Activation::None, &mut y);
    close("again", y.as_slice(), &stored, 0.0);
    sound(&gpu);
}

#[test]
fn the_interaction_is_rounded_at_the_end() {
    let Some(gpu) = half(None) else { return };
    // The last two are summed in pieces, and side by side: f32.
    for (kind, [b, t, d], rounds) in [
        (Interaction::Dot, [1, 1, 1], true),
        (Interaction::Dot, [130, 3, 4], true),
        (Interaction::DotItself, [9, 26, 16], true),
        (Interaction::Dot, [2, 27, 151], false),
        (Interaction::Cat, [3, 2, 5], false),
    ] {
        let (dense, pooled) = (random(&[b, d], 1), random(&[b, t, d], 2));
        let mut out = Tensor::zeros(&[b, kind.width(true, t, d)]);
        let mut expected = out.clone();
        gpu.interaction(kind, Some(&dense), &pooled, &mut out);
        cpu().interaction(kind, Some(&dense), &pooled, &mut expected);
        close(&format!("{kind:?} {b}x{t}x{d}"), out.as_slice(), expected.as_slice(), 1e-3);
        assert_eq!(out.as_slice().iter().all(|v| v.to_bits() & 0x1fff == 0), rounds, "{kind:?} {b}x{t}x{d}");
    }
    sound(&gpu);
}

fn batch(step: usize) -> Batch {
    let samples = 12;
    let list = |rows: usize| {
        let mut list = JaggedTensor::default();
        (0..samples).for_each(|i| list.push_bag(&[((step + 3 * i) % rows) as u32]));
        list
    };
    Batch {
        dense: (0..3 * samples).map(|i| ((i + step) as f32 * 0.37).sin()).collect(),
        dense_features: 3,
        sparse: vec![list(5), list(7)],
        labels: (0..samples).map(|i| f32::from(u8::from((i + step).is_multiple_of(3)))).collect(),
    }
}

/// The losses of ten steps.
fn ten_steps(backend: Arc<dyn Backend>) -> Vec<f32> {
    let config = DlrmConfig {
        dense_features: 3,
        embedding_dim: 8,
        bottom_mlp: vec![16, 8],
        top_mlp: vec![12, 6, 1],
        ..DlrmConfig::criteo_kaggle(vec![5, 7])
    };
    let mut params = Parameters::new(backend);
    let model = Dlrm::new(&config, &mut params, &mut Stream::native(3)).unwrap();
    let policy = LrPolicy::constant(0.1);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, policy, LossKind::BCE);
    (0..10).map(|step| trainer.step(&batch(step)).unwrap()).collect()
}

#[test]
fn ten_steps_of_a_model_are_the_same_to_two_digits() {
    let Some(gpu) = half(None) else { return };
    let (got, expected) = (ten_steps(gpu.clone()), ten_steps(Arc::new(cpu())));
    close("losses", &got, &expected, 1e-2);
    assert_ne!(got, expected, "numbers are rounded");
    close("again", &ten_steps(gpu.clone()), &got, 0.0);
    sound(&gpu);
}
