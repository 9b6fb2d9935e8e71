//! Two steps of each optimizer on a small table, and the numbers that PyTorch and the reference's
//! `RWSAdagrad` gave for them.

use dlrm::backend::{Cpu, Pooling};
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::parameters::DenseId;
use dlrm::{Gradients, JaggedTensor, Parameters, Tape, Tensor, Var, ops};
use std::sync::Arc;

const W0: [f32; 8] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

/// `W0` as a table after two steps of `rule` with lr 0.1: bags {0, 2} and {2, 3}, and the output's
/// gradients (1, −2) and (0.5, 3).
fn table_after_two_steps(rule: UpdateRule) -> Vec<f32> {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let table = params.add_table("t", 4, 2);
    params.tables_mut()[0].values_mut().copy_from_slice(&W0);
    let mut optimizer = Optimizer::new(rule, &params);
    let (mut tape, mut grads) = (Tape::new(params.backend().clone()), Gradients::new(&params));
    let lists = [JaggedTensor::new(vec![0, 2, 2, 3], vec![0, 2, 4], None).unwrap()];
    for _ in 0..2 {
        tape.clear();
        grads.clear();
        let bags = tape.bags(&lists);
        let out: Var = ops::embedding_bags(&mut tape, &params, table, Pooling::Sum, bags, None);
        tape.backward_from(out, &[1.0, -2.0, 0.5, 3.0], &params, &mut grads);
        assert_eq!(grads.table(table).0, [0, 2, 3]);
        optimizer.step(&mut params, &grads, 0.1);
    }
    params.table(table).values().to_vec()
}

#[test]
fn tables() {
    let cases: [(UpdateRule, [f32; 8]); 3] = [
        (UpdateRule::Sgd, [-0.1, 0.6, 0.3, 0.4, 0.2, 0.4, 0.6, 0.2]),
        (UpdateRule::ADAGRAD, [-0.0707107, 0.3707107, 0.3, 0.4, 0.3292893, 0.4292893, 0.5292893, 0.6292893]),
        (UpdateRule::ROW_WISE_ADAGRAD, [-0.0079669, 0.4159338, 0.3, 0.4, 0.2991253, 0.4660836, 0.6603106, 0.5618634]),
    ];
    for (rule, expected) in cases {
        let got = table_after_two_steps(rule);
        let close = got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-6);
        assert!(close, "{rule:?}: {got:?}, expected {expected:?}");
    }
}

/// Lazy Adam by its formula in `f64`: row 1 is not looked up and stays.
#[test]
fn adam_on_rows() {
    let got = table_after_two_steps(UpdateRule::ADAM);
    let grads = [1.0, -2.0, 0.0, 0.0, 1.5, 1.0, 0.5, 3.0];
    for (i, (&w0, g)) in W0.iter().zip(grads).enumerate() {
        let (mut w, mut m, mut v) = (f64::from(w0), 0.0f64, 0.0f64);
        for t in 1..=2 {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let root = (v / (1.0 - 0.999f64.powi(t))).sqrt();
            w -= 0.1 / (1.0 - 0.9f64.powi(t)) * m / (root + 1e-8);
        }
        assert!((f64::from(got[i]) - w).abs() < 1e-6, "element {i}: {} and {w}", got[i]);
    }
}

/// On a dense parameter, row-wise Adagrad is Adagrad, and both are as on a table of which every
/// row is looked up.
#[test]
fn dense_parameters() {
    for (rule, expected) in [
        (UpdateRule::Sgd, [0.05, 0.3]),
        (UpdateRule::ADAGRAD, [0.0, 0.3]),
        (UpdateRule::ROW_WISE_ADAGRAD, [0.0, 0.3]),
        (UpdateRule::ADAM, [0.0, 0.3]),
    ] {
        let mut params = Parameters::new(Arc::new(Cpu::new(1)));
        let id: DenseId = params.add_dense("w", Tensor::from_slice(&[1, 2], &[0.1, 0.2]));
        let mut optimizer = Optimizer::new(rule, &params);
        let (mut tape, mut grads) = (Tape::new(params.backend().clone()), Gradients::new(&params));
        // Y = X Wᵀ with X = (0.5, -1) and dY = 1: dW = X.
        let x = tape.input(&[1, 2], &[0.5, -1.0]);
        let y = ops::linear(&mut tape, &params, x, id, None, dlrm::backend::Activation::None);
        tape.backward(y, &params, &mut grads);
        optimizer.step(&mut params, &grads, 0.1);
        let got = params.get(id).value().as_slice();
        let close = got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-6);
        assert!(close, "{rule:?}: {got:?}, expected {expected:?}");
    }
}
