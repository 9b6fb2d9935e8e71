//! The profiling backend counts what the formulas say, and changes no bit.

use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::nn::{Dlrm, DlrmConfig, WeightedPooling};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::profile::{Entry, Event, Profiled, Trace, reference_operators};
use dlrm::roofline::{Cost, Rows};
use dlrm::train::Trainer;
use dlrm::{Batch, JaggedTensor, Parameters, Stream, Tensor};
use std::sync::Arc;
use std::time::Duration;

const B: usize = 6;

/// Bags of one id, and of none to four; some rows come several times.
fn batch() -> Batch {
    let mut all_rows = JaggedTensor::default();
    (0..B as u32).for_each(|i| all_rows.push_bag(&[0, 1, 2, 3, 4][..(i % 3) as usize * 2]));
    Batch {
        dense: (0..B * 13).map(|i| (i as f32 * 0.37).sin()).collect(),
        dense_features: 13,
        sparse: vec![JaggedTensor::one_per_bag(vec![7, 3, 7, 7, 0, 9]), all_rows],
        labels: vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
    }
}

fn config() -> DlrmConfig {
    DlrmConfig { bottom_mlp: vec![8, 16], top_mlp: vec![5, 1], ..DlrmConfig::criteo_kaggle(vec![10, 5]) }
}

fn trainer(params: Parameters, config: &DlrmConfig, rule: UpdateRule) -> Trainer<Dlrm> {
    let mut params = params;
    let model = Dlrm::new(config, &mut params, &mut Stream::native(5)).unwrap();
    Trainer::new(model, params, rule, LrPolicy::constant(0.1), LossKind::BCE)
}

/// The entries of the second of two steps.
fn entries(config: &DlrmConfig, rule: UpdateRule) -> Vec<Entry> {
    let profiled = Arc::new(Profiled::new(Arc::new(Cpu::new(1))));
    let mut trainer = trainer(Parameters::new(profiled.clone()), config, rule);
    trainer.step(&batch()).unwrap();
    profiled.take();
    trainer.step(&batch()).unwrap();
    profiled.take()
}

#[track_caller]
fn find<'a>(entries: &'a [Entry], operator: &str, layer: Option<[usize; 3]>) -> &'a Entry {
    let entry = entries.iter().find(|e| e.operator == operator && e.layer == layer);
    entry.unwrap_or_else(|| panic!("{operator} {layer:?}: not in {entries:?}"))
}

#[test]
fn a_step_is_counted_call_by_call() {
    let entries = entries(&config(), UpdateRule::Sgd);
    // The interaction has 16 numbers in front and 3 pairs.
    let layers = [[B, 8, 13], [B, 16, 8], [B, 5, 19], [B, 1, 5]];
    for layer @ [m, n, k] in layers {
        let (flops, streamed) = (2 * m * n * k, 4 * (m * n + n * k + m * k));
        // No one needs the gradient of the dense features; the last layer has no ReLU to mask.
        let (inputs, mask) = (usize::from(k != 13), usize::from(n != 1));
        let back = 4 * (m * n * (1 + mask) + (n * k + m * k) * (1 + inputs) + n);
        for (operator, flops, streamed) in
            [("linear", flops, streamed), ("linear_backward", (1 + inputs) * flops, back)]
        {
            let Entry { calls, cost, .. } = find(&entries, operator, Some(layer));
            let expected = Cost { flops: flops as u64, streamed: streamed as u64, ..Cost::default() };
            assert_eq!((*calls, *cost), (1, expected), "{operator} {layer:?}");
        }
    }
    assert_eq!(entries.iter().filter(|e| e.layer.is_some()).count(), 8);
    let weights: usize = layers.iter().map(|[_, n, k]| n * k).sum();
    let biases: usize = layers.iter().map(|[_, n, _]| n).sum();
    // 6 and 12 lookups, of 4 and 4 different rows.
    let streamed = |numbers: usize| 4 * numbers as u64;
    let (pooled, pairs) = (2 * B * 16, 3 * B * 16);
    let none = Rows::default();
    for (operator, calls, flops, bytes, read, updated) in [
        ("embedding_bags", 1, 18 * 16, streamed(pooled + 18), Rows::new(18, 16), none),
        ("embedding_bags_backward", 1, 0, streamed(3 * 18), none, none),
        ("interaction", 1, 2 * pairs, streamed(B * 16 + pooled + B * 19), none, none),
        ("interaction_backward", 1, 4 * pairs, streamed(2 * B * 16 + 2 * pooled + B * 19), none, none),
        ("loss", 1, 0, streamed(2 * B), none, none),
        ("loss_backward", 1, 0, streamed(3 * B), none, none),
        // Each weight and bias, and the pooled rows.
        ("check_finite", 4 + 4 + 1, 0, streamed(weights + biases + pooled), none, none),
        ("update_dense", 1, 2 * (weights + biases), streamed(5 * weights + 3 * biases), none, none),
        ("update_tables", 1, (18 + 2 * 8) * 16, streamed(2 * 8 + 18 + 18 * 16), none, Rows::new(8, 16)),
    ] {
        let entry = find(&entries, operator, None);
        let cost = Cost { flops: flops as u64, streamed: bytes, rows_read: read, rows_updated: updated };
        assert_eq!((entry.calls, entry.cost), (calls, cost), "{operator}");
    }
    assert_eq!(entries.len(), 8 + 9);
}

#[test]
fn what_the_rules_remember_is_updated_too() {
    for (rule, of_state) in [
        (UpdateRule::ROW_WISE_ADAGRAD, Rows::new(8, 1)),
        (UpdateRule::ADAGRAD, Rows::new(8, 16)),
        (UpdateRule::ADAM, Rows::new(16, 16)),
    ] {
        let mut expected = Rows::new(8, 16);
        expected += of_state;
        assert_eq!(find(&entries(&config(), rule), "update_tables", None).cost.rows_updated, expected, "{rule:?}");
    }
}

#[test]
fn learned_weights_are_rows_of_one_number() {
    let config = DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..config() };
    let entries = entries(&config, UpdateRule::Sgd);
    let cost = |operator| find(&entries, operator, None).cost;
    assert_eq!(cost("gather_weights").rows_read, Rows::new(18, 1));
    assert_eq!(cost("embedding_bags").flops, 2 * 18 * 16);
    let back = cost("gather_weights_backward");
    assert_eq!((back.flops, back.rows_read), (2 * 18 * 16, Rows::new(18, 16)));
}

#[test]
fn the_layers_and_the_interaction_are_those_of_the_step_s_limit() {
    let entries = entries(&config(), UpdateRule::Sgd);
    let products = entries.iter().filter(|e| e.layer.is_some() || e.operator.starts_with("interaction"));
    // The limit has a gradient of the dense features as well.
    let first = 2 * B * 8 * 13;
    let flops: u64 = products.map(|e| e.cost.flops).sum();
    assert_eq!(flops + first as u64, Cost::of_step(&config(), B, 1).flops);
}

#[test]
fn no_bit_changes() {
    let config = DlrmConfig { weighted_pooling: Some(WeightedPooling::Learned), ..config() };
    for threads in [1, 2] {
        let cpu = Arc::new(Cpu::new(threads));
        let bits =
            [Parameters::new(cpu.clone()), Parameters::new(Arc::new(Profiled::new(cpu.clone())))].map(|params| {
                let mut trainer = trainer(params, &config, UpdateRule::ADAGRAD);
                let losses: Vec<u32> = (0..5).map(|_| trainer.step(&batch()).unwrap().to_bits()).collect();
                let params = trainer.params();
                let dense = params.dense().iter().flat_map(|p| p.value().as_slice());
                let values = dense.chain(params.tables().iter().flat_map(|t| t.values()));
                (losses, values.map(|v| v.to_bits()).collect::<Vec<_>>())
            });
        assert!(bits[0] == bits[1], "{threads} threads");
    }
}

#[test]
fn a_trace_has_every_call_in_its_phase() {
    let profiled = Arc::new(Profiled::with_trace(Arc::new(Cpu::new(2))));
    let mut trainer = trainer(Parameters::new(profiled.clone()), &config(), UpdateRule::Sgd);
    profiled.take();
    profiled.take_trace();
    (0..3).for_each(|_| _ = trainer.step(&batch()).unwrap());
    let (entries, trace) = (profiled.take(), profiled.take_trace());
    assert_eq!((trace.threads.len(), trace.left_out), (1, 0));

    // Each operation's calls are those of the table, to the nanosecond.
    for entry in &entries {
        let calls = trace.events.iter().filter(|e| !e.is_phase && e.name == entry.operator);
        let same = entries.iter().filter(|e| e.operator == entry.operator);
        let (count, time) = same.fold((0, Duration::ZERO), |(n, time), e| (n + e.calls, time + e.time));
        assert_eq!((calls.clone().count() as u64, calls.map(|e| e.time).sum::<Duration>()), (count, time), "{entry:?}");
        // The reference's programs do not look whether gradients are finite.
        let known = reference_operators(entry.operator).is_some();
        assert_eq!(known, entry.operator != "check_finite", "{}", entry.operator);
    }
    // Phases follow one another, and calls in them; the last call ends with its phase.
    let end = |e: &Event| e.start + e.time;
    let (phases, calls): (Vec<&Event>, Vec<&Event>) = trace.events.iter().partition(|e| e.is_phase);
    let names: Vec<&str> = phases.iter().map(|e| e.name).collect();
    assert_eq!(names, ["forward", "backward", "update"].repeat(3));
    for events in [&phases, &calls] {
        assert!(events.windows(2).all(|pair| end(pair[0]) <= pair[1].start), "{events:?}");
    }
    let inside = |phase: &Event| {
        let inside = calls.iter().filter(|call| phase.start <= call.start && end(call) <= end(phase));
        let last = inside.clone().next_back().unwrap();
        assert_eq!(end(last), end(phase));
        inside.count()
    };
    assert_eq!(phases.iter().map(|phase| inside(phase)).sum::<usize>(), calls.len());
    let linear = calls.iter().find(|e| e.name == "linear").unwrap();
    let shapes: Vec<(&str, Vec<usize>)> = linear.shapes.iter().map(|(name, shape)| (*name, shape.to_vec())).collect();
    assert_eq!(shapes, [("x", vec![B, 13]), ("weight", vec![8, 13]), ("y", vec![B, 8])]);
}

#[test]
fn a_trace_is_bounded() {
    let profiled = Profiled::with_trace(Arc::new(Cpu::new(1)));
    let (x, mut y) = (Tensor::zeros(&[1]), Tensor::zeros(&[1]));
    (0..Trace::MOST_EVENTS + 7).for_each(|_| profiled.sigmoid(&x, &mut y));
    let trace = profiled.take_trace();
    assert_eq!((trace.events.len(), trace.left_out), (Trace::MOST_EVENTS, 7));
    profiled.sigmoid(&x, &mut y);
    let next = profiled.take_trace();
    assert_eq!((next.events.len(), next.left_out, next.threads), (1, 0, trace.threads));
    assert_eq!(Profiled::new(Arc::new(Cpu::new(1))).take_trace(), Trace::default());
}
