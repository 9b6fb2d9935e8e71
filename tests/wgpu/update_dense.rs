//! Optimizer steps on dense parameters.

use crate::support::{close, cpu, gpu, random, sound};
use dlrm::backend::Backend;
use dlrm::gradients::Gradients;
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::{Parameters, Tensor};
use std::sync::Arc;

const RULES: [UpdateRule; 4] = [UpdateRule::Sgd, UpdateRule::ADAGRAD, UpdateRule::ROW_WISE_ADAGRAD, UpdateRule::ADAM];

/// Weights and biases after three steps, of which the second is off; one of them has no gradient.
fn steps(backend: Arc<dyn Backend>, rule: UpdateRule) -> Vec<Tensor> {
    let shapes: [&[usize]; 6] = [&[1, 1], &[33, 7], &[257], &[1], &[40, 64], &[5]];
    let mut params = Parameters::new(backend);
    let ids: Vec<_> = (1..).zip(shapes).map(|(seed, shape)| params.add_dense("p", random(shape, seed))).collect();
    let mut optimizer = Optimizer::new(rule, &params);
    let mut grads = Gradients::new(&params);
    for (seed, found) in [(10, Some(0.0)), (20, Some(1.0)), (30, None)] {
        grads.clear();
        for ((id, shape), seed) in ids.iter().zip(shapes).zip(seed..).take(5) {
            let (grad, _) = grads.contribute(*id, shape);
            grad.copy_from_slice(random(shape, seed).as_slice());
            // None at all, and some of every size: the first steps of Adagrad and Adam take them all alike.
            let numbers = grad.as_mut_slice().iter_mut().enumerate();
            numbers.for_each(|(i, g)| *g *= [0.0, 1.0, 1e-3, 1e-6][i % 4]);
        }
        let found = found.map(|found| Tensor::from_slice(&[1], &[found]));
        optimizer.step_unless(found.as_ref(), &mut params, &grads, 0.1);
    }
    params.dense().iter().map(|p| p.value().clone()).collect()
}

#[test]
fn every_rule() {
    let Some(gpu) = gpu() else { return };
    for rule in RULES {
        let (values, expected) = (steps(gpu.clone(), rule), steps(Arc::new(cpu()), rule));
        for (value, expected) in values.iter().zip(&expected) {
            close(&format!("{rule:?} {:?}", value.shape()), value.as_slice(), expected.as_slice(), 1e-6);
        }
        assert_eq!(values[5].as_slice(), random(&[5], 6).as_slice(), "no gradient, no change");
        assert_ne!(values[4].as_slice(), random(&[40, 64], 5).as_slice());
    }
    sound(&gpu);
}
