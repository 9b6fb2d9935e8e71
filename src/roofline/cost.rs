//! Amounts of work.

use crate::backend::Interaction;
use crate::nn::DlrmConfig;
use serde::Serialize;
use std::ops::AddAssign;

/// The work of an operation or a step, as shapes alone tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Floating-point operations; a multiply-add counts as two, a comparison as none.
    pub flops: u64,
    /// Bytes read or written front to back: activations, weights, gradients, ids.
    pub streamed: u64,
    /// Rows of tables read in random order.
    pub rows_read: Rows,
    /// Rows of tables changed in place in random order.
    pub rows_updated: Rows,
}

/// Rows in random order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many.
    pub count: u64,
    /// Their bytes in all.
    pub bytes: u64,
}

impl Rows {
    /// `count` rows of `dim` numbers.
    pub fn new(count: usize, dim: usize) -> Self {
        Rows { count: count as u64, bytes: (count * dim * size_of::<f32>()) as u64 }
    }

    /// The mean length of a row in bytes; 0 if there is none.
    pub fn row_bytes(self) -> f64 {
        self.bytes as f64 / self.count.max(1) as f64
    }

    fn share(self, parts: u64) -> Self {
        Rows { count: self.count / parts, bytes: self.bytes / parts }
    }
}

impl AddAssign for Rows {
    fn add_assign(&mut self, other: Rows) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.flops += other.flops;
        self.streamed += other.streamed;
        self.rows_read += other.rows_read;
        self.rows_updated += other.rows_updated;
    }
}

impl Cost {
    /// What the forward pass of a model cannot do without, for `batch` samples with `lookups` ids
    /// a table: the products of the layers and of the interaction, and the rows looked up. Compressed tables count
    /// as whole ones.
    pub fn of_forward(config: &DlrmConfig, batch: usize, lookups: usize) -> Self {
        let (tables, dim) = (config.num_embeddings.len(), config.embedding_dim);
        let multiply_adds = weights(config) + interaction(config);
        Cost {
            flops: 2 * (batch * multiply_adds) as u64,
            rows_read: Rows::new(batch * tables * lookups, dim),
            ..Cost::default()
        }
    }

    /// As [`of_forward`](Self::of_forward), for a training step: each product has two more in the
    /// backward pass, and each row looked up is updated once. (The first layer can do without one
    /// of them, and rows looked up twice without one update: a few per cent at most.)
    pub fn of_step(config: &DlrmConfig, batch: usize, lookups: usize) -> Self {
        let forward = Cost::of_forward(config, batch, lookups);
        Cost { flops: 3 * forward.flops, rows_updated: forward.rows_read, ..forward }
    }

    /// One of `parts` equal parts, rounded down.
    pub(crate) fn share(self, parts: u64) -> Self {
        Cost {
            flops: self.flops / parts,
            streamed: self.streamed / parts,
            rows_read: self.rows_read.share(parts),
            rows_updated: self.rows_updated.share(parts),
        }
    }
}

/// Numbers in the weight matrices of both MLPs, and of the cross layers between them.
fn weights(config: &DlrmConfig) -> usize {
    layer_weights(config).iter().sum()
}

/// The same of the bottom MLP, and of what follows the interaction.
pub(super) fn layer_weights(config: &DlrmConfig) -> [usize; 2] {
    let width = config.interaction_width();
    let sum = |layers: Vec<[usize; 2]>| layers.iter().map(|[k, n]| k * n).sum::<usize>();
    let bottom = sum(mlp(config.dense_features, &config.bottom_mlp));
    [bottom, sum(cross(config)) + sum(mlp(width, &config.top_mlp))]
}

/// Numbers that each layer learns, those with a bias, in the order in which a sample goes through them.
pub(super) fn layers(config: &DlrmConfig) -> Vec<usize> {
    let all = [mlp(config.dense_features, &config.bottom_mlp), mlp(config.interaction_width(), &config.top_mlp)];
    let [bottom, top] = all.map(|layers| layers.into_iter().map(|[k, n]| (k + 1) * n).collect::<Vec<_>>());
    // The second of a cross layer's two has the bias.
    let cross = cross(config).into_iter().enumerate().map(|(i, [k, n])| (k + i % 2) * n).collect();
    [bottom, cross, top].concat()
}

/// Inputs and outputs of the layers of an MLP.
fn mlp(input: usize, widths: &[usize]) -> Vec<[usize; 2]> {
    std::iter::once(&input).chain(widths).zip(widths).map(|(&k, &n)| [k, n]).collect()
}

/// The same of the cross layers, each of which is two.
fn cross(config: &DlrmConfig) -> Vec<[usize; 2]> {
    let width = config.interaction_width();
    let layers = config.cross.map(|cross| [[width, cross.rank], [cross.rank, width]].repeat(cross.layers));
    layers.unwrap_or_default()
}

/// Multiply-adds of the interaction of one sample.
pub(super) fn interaction(config: &DlrmConfig) -> usize {
    let has_dense = config.dense_features > 0;
    config.interaction.pairs(has_dense, config.num_embeddings.len()) * config.embedding_dim
}

impl Interaction {
    /// How many dot products it takes for a sample of `tables` pooled vectors, with or without a
    /// dense one.
    pub(crate) fn pairs(self, has_dense: bool, tables: usize) -> usize {
        match self {
            Interaction::Cat => 0,
            // Without numbers in front, the width is the number of pairs.
            _ => self.width(has_dense, tables, 0),
        }
    }
}
