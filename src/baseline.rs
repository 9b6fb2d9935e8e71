//! What a linear model makes of the same batches: the mark that a deeper one has to beat.

use crate::batch::Batch;
use crate::data::source::BatchSource;
use crate::error::Result;

/// Logistic regression: `p = σ(b + Σ_j v_j x_j + Σ_t Σ_(i in bag t) w_t,i)`, one weight a dense
/// feature and one an id: what predictive models were before they had embeddings (paper section 1).
///
/// Trained sample by sample with Adagrad (Duchi et al. 2011) on the log loss, from weights of 0.
/// Weights of lookups in weighted bags count as factors.
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    lr: f32,
    bias: Weight,
    dense: Vec<Weight>,
    sparse: Vec<Vec<Weight>>,
}

/// A weight and the sum of squares of its gradients.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    value: f32,
    squares: f32,
}

impl Weight {
    fn step(&mut self, lr: f32, gradient: f32) {
        self.squares += gradient * gradient;
        self.value -= lr * gradient / (self.squares.sqrt() + 1e-10);
    }
}

impl LogisticRegression {
    /// A model of weights 0 for `dense_features` and tables of `num_embeddings` rows, to be
    /// trained with learning rate `lr`.
    pub fn new(dense_features: usize, num_embeddings: &[usize], lr: f32) -> Self {
        let sparse = num_embeddings.iter().map(|&n| vec![Weight::default(); n]).collect();
        LogisticRegression { lr, bias: Weight::default(), dense: vec![Weight::default(); dense_features], sparse }
    }

    /// Trains on what `source` has left of its pass.
    ///
    /// # Errors
    /// Those of `source`, and [`Error::Batch`](crate::Error::Batch) if a batch does not fit.
    pub fn train(&mut self, source: &mut dyn BatchSource) -> Result<()> {
        let mut batch = Batch::default();
        while source.next_batch(&mut batch)? {
            self.check(&batch)?;
            for b in 0..batch.len() {
                let gradient = sigmoid(self.logit(&batch, b)) - batch.labels[b];
                self.step(&batch, b, gradient);
            }
        }
        Ok(())
    }

    /// Appends to `probabilities` the probability of a click for each sample of `batch`.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) if the batch does not fit.
    pub fn predict(&self, batch: &Batch, probabilities: &mut Vec<f32>) -> Result<()> {
        self.check(batch)?;
        probabilities.extend((0..batch.len()).map(|b| sigmoid(self.logit(batch, b))));
        Ok(())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(self.dense.len(), self.sparse.iter().map(Vec::len))
    }

    fn logit(&self, batch: &Batch, b: usize) -> f32 {
        let dense = self.dense.iter().zip(dense_row(batch, b)).map(|(w, x)| w.value * x).sum::<f32>();
        let sparse = (0..self.sparse.len()).flat_map(|t| lookups(batch, t, b).map(move |(id, x)| (t, id, x)));
        self.bias.value + dense + sparse.map(|(t, id, x)| self.sparse[t][id].value * x).sum::<f32>()
    }

    /// One step, given the loss's gradient by the logit of sample `b`.
    fn step(&mut self, batch: &Batch, b: usize, gradient: f32) {
        self.bias.step(self.lr, gradient);
        for (weight, x) in self.dense.iter_mut().zip(dense_row(batch, b)) {
            weight.step(self.lr, gradient * x);
        }
        for (t, weights) in self.sparse.iter_mut().enumerate() {
            lookups(batch, t, b).for_each(|(id, x)| weights[id].step(self.lr, gradient * x));
        }
    }
}

fn dense_row(batch: &Batch, b: usize) -> &[f32] {
    &batch.dense[b * batch.dense_features..][..batch.dense_features]
}

/// Ids of sample `b` in table `t`, each with its weight.
fn lookups(batch: &Batch, t: usize, b: usize) -> impl Iterator<Item = (usize, f32)> {
    let bags = &batch.sparse[t];
    let range = bags.offsets()[b] as usize..bags.offsets()[b + 1] as usize;
    range.map(|i| (bags.values()[i] as usize, bags.weights().map_or(1.0, |w| w[i])))
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::Position;
    use crate::jagged::JaggedTensor;
    use ndarray::{arr1, arr2};

    /// The same batch, some times a pass.
    struct Repeated {
        batch: Batch,
        left: usize,
    }

    impl BatchSource for Repeated {
        fn rows(&self) -> usize {
            self.left * self.batch.len()
        }

        fn position(&self) -> Position {
            Position::default()
        }

        fn seek(&mut self, _: Position) -> Result<()> {
            Ok(())
        }

        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
            batch.clone_from(&self.batch);
            self.left = self.left.saturating_sub(1);
            Ok(self.left > 0)
        }
    }

    /// Clicks follow the dense feature, but not for those with id 2.
    fn batch() -> Batch {
        let sparse =
            JaggedTensor::new(vec![0, 1, 2, 0, 2, 1], vec![0, 2, 3, 3, 6], Some(vec![1.0, 1.0, 1.0, 1.0, 2.0, 1.0]));
        Batch::new(
            arr2(&[[1.0], [1.0], [-1.0], [1.0]]).view(),
            vec![sparse.unwrap()],
            arr1(&[1.0, 0.0, 0.0, 0.0]).view(),
        )
        .unwrap()
    }

    #[test]
    fn one_step_is_worked_out_by_hand() {
        // Adagrad's first step is the learning rate in the direction of each gradient's sign. At
        // weights 0 the first sample's gradient by the logit is 0.5 - 1 < 0.
        let mut model = LogisticRegression::new(1, &[3], 0.1);
        let batch = batch();
        model.step(&batch, 0, -0.5);
        assert_eq!([model.bias.value, model.dense[0].value], [0.1, 0.1]);
        assert_eq!(model.sparse[0].iter().map(|w| w.value).collect::<Vec<_>>(), [0.1, 0.1, 0.0]);
        let mut probabilities = Vec::new();
        model.predict(&batch, &mut probabilities).unwrap();
        let expected = [0.4, 0.2, 0.0, 0.4].map(sigmoid);
        for (p, e) in probabilities.iter().zip(expected) {
            assert!((p - e).abs() < 1e-6, "{probabilities:?}, not {expected:?}"); // a few roundings of f32
        }
    }

    #[test]
    fn what_is_linear_is_learned() {
        let mut model = LogisticRegression::new(1, &[3], 0.5);
        model.train(&mut Repeated { batch: batch(), left: 200 }).unwrap();
        let mut probabilities = Vec::new();
        model.predict(&batch(), &mut probabilities).unwrap();
        for (p, label) in probabilities.iter().zip(batch().labels) {
            assert!((p - label).abs() < 0.1, "{probabilities:?}");
        }
    }

    #[test]
    fn a_batch_that_does_not_fit_is_an_error() {
        let message = |model: LogisticRegression| model.predict(&batch(), &mut Vec::new()).unwrap_err().to_string();
        let table = message(LogisticRegression::new(1, &[2], 0.1));
        assert_eq!(table, "batch: table 0, sample 1: id 2, but the table has 2 rows");
        let dense = message(LogisticRegression::new(2, &[3], 0.1));
        assert_eq!(dense, "batch: 1 dense features a sample, the model takes 2");
    }
}
