//! What a linear model makes of the same batches: the mark that a deeper one has to beat.

use crate::batch::Batch;
use crate::data::source::BatchSource;
use crate::error::Result;

/// Logistic regression: `p = σ(b + Σ_j v_j x_j + Σ_t Σ_(i in bag t) w_t,i)`, one weight a dense
/// feature and one an id.
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
