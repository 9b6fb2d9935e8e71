//! The model of the paper (Naumov et al. 2019, arXiv 1906.00091) in one file, to be read beside it: forward, backward and
//! SGD in plain loops over `f64`, sample by sample, with nothing but the standard library. `tests/one_file.rs` checks its
//! derivatives, and holds the crate, with its tape, kernels and threads, equal to it.
//!
//! ```sh
//! cargo run --release --example dlrm_in_one_file
//! ```

use std::collections::BTreeMap;

/// A vector.
pub type Vector = Vec<f64>;
/// A matrix, as its rows.
pub type Matrix = Vec<Vector>;

/// One row of data.
pub struct Sample {
    /// Continuous features.
    pub dense: Vector,
    /// A list of ids for each categorical feature (section 2.1.1: "multi-hot"); it may be empty.
    pub ids: Vec<Vec<usize>>,
    /// Whether there was a click: 1 or 0.
    pub label: f64,
}

/// One layer of an MLP (section 2.1.4).
#[derive(Clone)]
pub struct Layer {
    /// `W`, a row for each output.
    pub weight: Matrix,
    /// `b`.
    pub bias: Vector,
}

/// What is learned (section 2.2, figure 1).
#[derive(Clone)]
pub struct Dlrm {
    /// `W` of section 2.1.1 for each categorical feature: a row of `D` numbers for each id.
    pub tables: Vec<Matrix>,
    /// From the continuous features to `D` numbers.
    pub bottom: Vec<Layer>,
    /// From what the interaction gives to one number, the logit.
    pub top: Vec<Layer>,
}

/// What the way back needs of the way forward, for one sample.
pub struct Forward {
    /// The input of the bottom MLP, then what each layer made of it.
    bottom: Vec<Vector>,
    /// `v₀`, which the bottom MLP made, then the pooled vector of each table.
    vectors: Matrix,
    /// The input of the top MLP, then what each layer made of it.
    top: Vec<Vector>,
}

/// The gradient of the loss by everything that is learned.
pub struct Gradients {
    /// By a row of a table, named by table and id: of all other rows it is zero.
    pub rows: BTreeMap<(usize, usize), Vector>,
    /// By the bottom MLP.
    pub bottom: Vec<Layer>,
    /// By the top MLP.
    pub top: Vec<Layer>,
}

/// Equation 5: `y = σ(W_k σ(… σ(W₁ x + b₁) …) + b_k)` with ReLU for `σ`, and none after the last layer if `last_relu` is
/// false. All that lies between is kept.
fn mlp(layers: &[Layer], x: Vector, last_relu: bool) -> Vec<Vector> {
    let mut values = vec![x];
    for (l, layer) in layers.iter().enumerate() {
        let x = &values[l];
        let relu = last_relu || l + 1 < layers.len();
        let output = |(row, b): (&Vector, &f64)| {
            let y = dot(row, x) + b;
            if relu { y.max(0.0) } else { y }
        };
        values.push(layer.weight.iter().zip(&layer.bias).map(output).collect());
    }
    values
}

/// From `dy`, the gradient by the last of `values`, to the gradient by the first; those by weights are added to `grads`.
///
/// With `y = relu(W x + b)`: `dz = dy` where `y > 0` and else 0; `dW = dz xᵀ`, `db = dz`, `dx = Wᵀ dz`.
fn mlp_backward(layers: &[Layer], values: &[Vector], mut dy: Vector, last_relu: bool, grads: &mut [Layer]) -> Vector {
    for (l, layer) in layers.iter().enumerate().rev() {
        let (x, y) = (&values[l], &values[l + 1]);
        let relu = last_relu || l + 1 < layers.len();
        let mut dx = vec![0.0; x.len()];
        for n in 0..dy.len() {
            let dz = if relu && y[n] <= 0.0 { 0.0 } else { dy[n] };
            add_scaled(&mut grads[l].weight[n], dz, x);
            grads[l].bias[n] += dz;
            add_scaled(&mut dx, dz, &layer.weight[n]);
        }
        dy = dx;
    }
    dy
}

/// Section 2.1.1: the sum of the rows that `ids` name. For one id that is `wᵀ = eᵀW` (equation 1), for a batch of lists
/// `S = AᵀW` (equation 2), where column `b` of `A` counts the ids of sample `b`.
fn pooled(table: &Matrix, ids: &[usize], dim: usize) -> Vector {
    let mut sum = vec![0.0; dim];
    ids.iter().for_each(|&id| add_scaled(&mut sum, 1.0, &table[id]));
    sum
}

/// Section 2.2: `[v₀, v₁·v₀, v₂·v₀, v₂·v₁, …]`, the dot products of all pairs, as in the second-order term of a
/// factorization machine (section 2.1.3, equation 4), beside what the bottom MLP made.
fn interaction(vectors: &Matrix) -> Vector {
    let mut z = vectors[0].clone();
    for i in 1..vectors.len() {
        z.extend((0..i).map(|j| dot(&vectors[i], &vectors[j])));
    }
    z
}

/// Of `dz` by each vector: from `z = vᵢ·vⱼ` come `dvᵢ = dz vⱼ` and `dvⱼ = dz vᵢ`, and the front goes to `v₀` as it is.
fn interaction_backward(vectors: &Matrix, dz: &[f64]) -> Matrix {
    let dim = vectors[0].len();
    let mut dv = vec![vec![0.0; dim]; vectors.len()];
    dv[0].copy_from_slice(&dz[..dim]);
    let mut pairs = dz[dim..].iter();
    for i in 1..vectors.len() {
        for (j, &dz) in (0..i).zip(&mut pairs) {
            add_scaled(&mut dv[i], dz, &vectors[j]);
            add_scaled(&mut dv[j], dz, &vectors[i]);
        }
    }
    dv
}

/// The probability of a click (section 2.2: "a sigmoid function to give a probability").
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

impl Dlrm {
    /// Initial values, which the paper leaves open, as in its implementation: tables of `n` rows from
    /// `U(−√(1/n), √(1/n))`, layers from `k` to `n` numbers with weights from `N(0, √(2/(n + k)))` and biases from
    /// `N(0, √(1/n))`. `bottom[0]` is the number of continuous features, the last of it is `D`.
    pub fn new(rows: &[usize], bottom: &[usize], top: &[usize], random: &mut Random) -> Self {
        let dim = bottom[bottom.len() - 1];
        let table = |&n: &usize| {
            let bound = (1.0 / n as f64).sqrt();
            (0..n).map(|_| (0..dim).map(|_| bound * (2.0 * random.uniform() - 1.0)).collect()).collect()
        };
        let tables: Vec<Matrix> = rows.iter().map(table).collect();
        let vectors = 1 + tables.len();
        let width = dim + vectors * (vectors - 1) / 2;
        let bottom = layers(bottom, random);
        Dlrm { tables, bottom, top: layers(&[&[width], top].concat(), random) }
    }

    /// Section 2.2: the logit of one sample, with what led to it.
    pub fn forward(&self, sample: &Sample) -> Forward {
        let bottom = mlp(&self.bottom, sample.dense.clone(), true);
        let v0 = bottom[bottom.len() - 1].clone();
        let dim = v0.len();
        let mut vectors = vec![v0];
        vectors.extend(self.tables.iter().zip(&sample.ids).map(|(table, ids)| pooled(table, ids, dim)));
        let top = mlp(&self.top, interaction(&vectors), false);
        Forward { bottom, vectors, top }
    }

    /// The mean loss of a batch, `−(y ln p + (1 − y) ln(1 − p))` with `p = σ(logit)`.
    pub fn loss(&self, batch: &[Sample]) -> f64 {
        batch.iter().map(|s| cross_entropy(self.forward(s).logit(), s.label)).sum::<f64>() / batch.len() as f64
    }

    /// The same, and its gradient: every function above backwards, last to first.
    pub fn loss_and_gradients(&self, batch: &[Sample]) -> (f64, Gradients) {
        let mut loss = 0.0;
        let mut grads = Gradients { rows: BTreeMap::new(), bottom: zeros(&self.bottom), top: zeros(&self.top) };
        for sample in batch {
            let forward = self.forward(sample);
            let logit = forward.logit();
            loss += cross_entropy(logit, sample.label) / batch.len() as f64;
            // Sigmoid and cross entropy together have a short derivative.
            let d_logit = (sigmoid(logit) - sample.label) / batch.len() as f64;
            let dz = mlp_backward(&self.top, &forward.top, vec![d_logit], false, &mut grads.top);
            let dv = interaction_backward(&forward.vectors, &dz);
            mlp_backward(&self.bottom, &forward.bottom, dv[0].clone(), true, &mut grads.bottom);
            // Equation 2 backwards: dW = A dS. Each id gets the gradient of the sum that its row went into.
            for (t, ids) in sample.ids.iter().enumerate() {
                for &id in ids {
                    let row = grads.rows.entry((t, id)).or_insert_with(|| vec![0.0; dv[0].len()]);
                    add_scaled(row, 1.0, &dv[t + 1]);
                }
            }
        }
        (loss, grads)
    }

    /// A step of SGD (section 5.1): `w −= lr dw`. Of the tables only rows that were looked up change, so a step takes as
    /// long for a thousand rows as for a billion.
    pub fn sgd(&mut self, grads: &Gradients, lr: f64) {
        for (&(table, id), row) in &grads.rows {
            add_scaled(&mut self.tables[table][id], -lr, row);
        }
        let layers = self.bottom.iter_mut().chain(&mut self.top);
        for (layer, grad) in layers.zip(grads.bottom.iter().chain(&grads.top)) {
            add_scaled(&mut layer.bias, -lr, &grad.bias);
            layer.weight.iter_mut().zip(&grad.weight).for_each(|(row, dw)| add_scaled(row, -lr, dw));
        }
    }
}

impl Forward {
    /// The one number that comes out of the top MLP.
    pub fn logit(&self) -> f64 {
        self.top[self.top.len() - 1][0]
    }
}

/// From the logit `x`: `ln(1 + eˣ) − y x`, so written that nothing overflows.
fn cross_entropy(x: f64, y: f64) -> f64 {
    x.max(0.0) - y * x + (-x.abs()).exp().ln_1p()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `y += a x`.
fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

fn layers(widths: &[usize], random: &mut Random) -> Vec<Layer> {
    let layer = |pair: &[usize]| {
        let (k, n) = (pair[0], pair[1]);
        let (of_weight, of_bias) = ((2.0 / (n + k) as f64).sqrt(), (1.0 / n as f64).sqrt());
        let mut normal = |sd: f64, len: usize| (0..len).map(|_| sd * random.normal()).collect::<Vector>();
        Layer { weight: (0..n).map(|_| normal(of_weight, k)).collect(), bias: normal(of_bias, n) }
    };
    widths.windows(2).map(layer).collect()
}

fn zeros(layers: &[Layer]) -> Vec<Layer> {
    let zeros = |layer: &Layer| Layer {
        weight: layer.weight.iter().map(|row| vec![0.0; row.len()]).collect(),
        bias: vec![0.0; layer.bias.len()],
    };
    layers.iter().map(zeros).collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014): random enough, and short.
pub struct Random(pub u64);

impl Random {
    /// From 0 to below 1.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Users, items and one continuous feature. Who likes what is a matter of two hidden traits of each, so of a dot product:
/// what section 2.1.2 factorizes a matrix for. With each row comes its true probability of a click.
fn generate(count: usize, random: &mut Random) -> Vec<(Sample, f64)> {
    let mut traits = |n: usize| (0..n).map(|_| [random.normal(), random.normal()]).collect::<Vec<_>>();
    let (users, items) = (traits(50), traits(40));
    let row = |_| {
        let [user, item] = [50, 40].map(|n| (random.uniform() * n as f64) as usize);
        let mood = random.normal();
        let probability = sigmoid(mood - 1.0 + 1.5 * dot(&users[user], &items[item]));
        let label = f64::from(random.uniform() < probability);
        (Sample { dense: vec![mood], ids: vec![vec![user], vec![item]], label }, probability)
    };
    (0..count).map(row).collect()
}

fn main() {
    let mut random = Random(1);
    let (rows, probabilities): (Vec<Sample>, Vec<f64>) = generate(200_000, &mut random).into_iter().unzip();
    let mut model = Dlrm::new(&[50, 40], &[1, 16, 4], &[16, 1], &mut random);
    let (train, test) = rows.split_at(180_000);
    let least: f64 = probabilities[180_000..].iter().map(|p| -p * p.ln() - (1.0 - p) * (1.0 - p).ln()).sum();
    println!("{:>8}{:>14}", "rows", "loss on test");
    for (step, batch) in train.chunks(32).enumerate() {
        if step % 1000 == 0 {
            println!("{:>8}{:>14.4}", 32 * step, model.loss(test));
        }
        let (_, grads) = model.loss_and_gradients(batch);
        model.sgd(&grads, 0.2);
    }
    println!("{:>8}{:>14.4}", train.len(), model.loss(test));
    println!("{:>8}{:>14.4}, for whoever knows the probabilities", "least", least / test.len() as f64);
}
