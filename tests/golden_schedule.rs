//! The learning-rate policy against the public reference's scheduler.

use dlrm::optim::schedule::LrPolicy;

/// `base, warmup_steps, decay_start_step, decay_steps`, and the learning rates of steps 1, 2, ...:
/// `optimizer.param_groups[0]["lr"]` before each step of an SGD under `LRPolicyScheduler`, with
/// `"%.17g"` less trailing noise.
#[rustfmt::skip]
const CASES: [(f64, [u64; 3], &[f64]); 9] = [
    // A stall at base·(W-1)/W, then a jump.
    (1.0, [4, 6, 5], &[0.25, 0.5, 0.75, 0.75, 0.75, 1.0, 0.64, 0.36, 0.16, 0.04, 0.04, 0.04]),
    (0.1, [7, 9, 3], &[0.014285714285714287, 0.02857142857142857, 0.042857142857142864, 0.05714285714285714,
        0.07142857142857144, 0.08571428571428573, 0.08571428571428573, 0.08571428571428573, 0.1,
        0.044444444444444446, 0.011111111111111112, 0.011111111111111112]),
    (1.0, [2, 2, 3], &[0.5, 1.0, 0.4444444444444444, 0.1111111111111111, 0.1111111111111111]),
    (1.0, [4, 4, 4], &[0.25, 0.5, 0.75, 1.0, 0.5625, 0.25, 0.0625, 0.0625, 0.0625]),
    // No decay: nothing to stall for.
    (0.3, [3, 5, 0], &[0.1, 0.2, 0.3, 0.3, 0.3, 0.3]),
    (0.1, [0, 0, 0], &[0.1, 0.1, 0.1]),
    // No warm-up; the decay starts before the first step; the floor.
    (1e-6, [0, 0, 9], &[7.901234567901234e-7, 6.049382716049383e-7, 4.444444444444444e-7, 3.08641975308642e-7,
        1.9753086419753084e-7, 1.111111111111111e-7, 1e-7, 1e-7, 1e-7, 1e-7]),
    (1.0, [0, 1, 2], &[1.0, 0.25, 0.25, 0.25]),
    (0.3, [1, 1, 3], &[0.3, 0.13333333333333333, 0.03333333333333333, 0.03333333333333333]),
];

/// 2 ulp: the constants are decimal, the square is not computed by the same function.
#[test]
fn learning_rates_are_the_references() {
    for (base, [warmup_steps, decay_start_step, decay_steps], want) in CASES {
        let policy = LrPolicy { base, warmup_steps, decay_start_step, decay_steps, stall: true };
        policy.validate().unwrap();
        for (step, &want) in (1..).zip(want) {
            let lr = policy.lr(step);
            assert!((lr - want).abs() <= 2.0 * f64::EPSILON * want, "{policy:?}: step {step} has {lr:?}, not {want:?}");
        }
    }
}

/// The reference fails at its first step here: it has no rate to stall at.
#[test]
fn without_warmup_the_rate_is_base_until_the_decay() {
    for warmup_steps in [0, 1] {
        for stall in [false, true] {
            let policy = LrPolicy { base: 2.0, warmup_steps, decay_start_step: 5, decay_steps: 2, stall };
            assert_eq!([1, 4, 5, 6, 7, 1000].map(|t| policy.lr(t)), [2.0, 2.0, 2.0, 0.5, 0.5, 0.5]);
        }
    }
    assert_eq!([1, u64::MAX].map(|t| LrPolicy::constant(2.0).lr(t)), [2.0; 2]);
}

/// Without the stall: the reference's rates of warm-up and decay, and `base` between them.
#[test]
fn a_smooth_policy_neither_stalls_nor_jumps() {
    for (base, [warmup_steps, decay_start_step, decay_steps], _) in CASES {
        let smooth = LrPolicy { base, warmup_steps, decay_start_step, decay_steps, stall: false };
        let reference = LrPolicy { stall: true, ..smooth };
        for step in 1..=20 {
            let between = (warmup_steps..decay_start_step).contains(&step);
            let want = if between { base } else { reference.lr(step) };
            assert_eq!(smooth.lr(step), want, "{smooth:?}: step {step}");
        }
    }
    let policy = LrPolicy { base: 1.0, warmup_steps: 4, decay_start_step: 6, decay_steps: 5, stall: false };
    let rates = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.64, 0.36, 0.16, 0.04, 0.04];
    for (step, want) in (1..).zip(rates) {
        assert!((policy.lr(step) - want).abs() < 1e-15, "step {step}: {}", policy.lr(step));
    }
}

#[test]
fn a_warm_up_alone_needs_no_decay() {
    let policy = LrPolicy { base: 0.4, warmup_steps: 4, decay_start_step: 0, decay_steps: 0, stall: false };
    policy.validate().unwrap();
    assert_eq!([1, 2, 4, 5, 1000].map(|t| policy.lr(t)), [0.1, 0.2, 0.4, 0.4, 0.4]);
}

#[test]
fn decay_before_the_end_of_the_warmup_is_refused() {
    for (decay_steps, stall) in [(0, true), (3, true), (3, false)] {
        let policy = LrPolicy { base: 1.0, warmup_steps: 4, decay_start_step: 3, decay_steps, stall };
        let error = policy.validate().unwrap_err().to_string();
        for part in ["--lr-warmup-steps 4", "--lr-decay-start-step 3", &format!("--lr-decay-steps {decay_steps}")] {
            assert!(error.contains(part), "{error:?} should contain {part:?}");
        }
    }
}
