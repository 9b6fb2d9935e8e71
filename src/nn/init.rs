//! The reference's initial values (`create_mlp` and `create_emb` of `dlrm_s_pytorch.py`).

use super::sharded::Shard;
use crate::parameters::{DenseId, Parameters, TableId};
use crate::random::{Draws, Stream};
use crate::tensor::Tensor;

/// Weight `N × K` from `N(0, √(2 / (N + K)))`, then bias `N` from `N(0, √(1 / N))`.
///
/// The paper leaves initialisation open; the bias of the reference is random, not zero.
pub(super) fn linear(params: &mut Parameters, name: &str, k: usize, n: usize, stream: &mut Stream) -> [DenseId; 2] {
    let weight = xavier_normal(params, format!("{name}.weight"), n, k, stream);
    let bias = normal(params, &[n], (1.0 / n as f64).sqrt(), stream);
    [weight, params.add_dense(format!("{name}.bias"), bias)]
}

/// Weight `N × K` from `N(0, √(2 / (N + K)))`: `torch.nn.init.xavier_normal_`.
pub(super) fn xavier_normal(params: &mut Parameters, name: String, n: usize, k: usize, stream: &mut Stream) -> DenseId {
    let weight = normal(params, &[n, k], (2.0 / (n + k) as f64).sqrt(), stream);
    params.add_dense(name, weight)
}

/// Weight `N × K` from `U(−√(6 / (N + K)), √(6 / (N + K)))`: `torch.nn.init.xavier_uniform_`.
pub(super) fn xavier_uniform(
    params: &mut Parameters,
    name: String,
    n: usize,
    k: usize,
    stream: &mut Stream,
) -> DenseId {
    let mut weight = params.zeros(&[n, k]);
    let bound = (6.0 / (n + k) as f64).sqrt();
    stream.fill_uniform(weight.as_mut_slice(), -bound, bound);
    params.add_dense(name, weight)
}

fn normal(params: &Parameters, shape: &[usize], sd: f64, stream: &mut Stream) -> Tensor {
    let mut t = params.zeros(shape);
    stream.fill_normal(t.as_mut_slice(), 0.0, sd);
    t
}

/// Table of `rows × dim` from `U(−√(1/rows), √(1/rows))`.
///
/// A native stream gives each table a key, from which the backend's threads draw in parallel;
/// NumPy's can only be drawn from in order.
pub(super) fn table(params: &mut Parameters, name: String, rows: usize, dim: usize, stream: &mut Stream) -> TableId {
    let bound = (1.0 / rows as f64).sqrt();
    uniform_table(params, name, rows, dim, [-bound, bound], stream)
}

/// What table `t` is called.
pub(super) fn table_name(t: usize) -> String {
    format!("emb_l.{t}.weight")
}

/// The part of a [`table`] of `rows × dim` that a rank has, with the values that it has in the whole one; without a key
/// it is left as it is.
pub(super) fn shard(params: &mut Parameters, shard: &Shard, rows: usize, dim: usize, key: Option<u64>) -> TableId {
    let id = params.add_table(table_name(shard.table), shard.rows.len(), shard.width());
    let Some(key) = key else { return id };
    let bound = (1.0 / rows as f64).sqrt();
    let table = params.tables_mut().last_mut().expect("just added");
    let mut draws = Draws::new(key);
    for (row, to) in shard.rows.clone().zip(table.values_mut().chunks_mut(shard.width())) {
        draws.fill_uniform(row * dim + shard.columns.start, to, -bound, bound);
    }
    id
}

/// Table of `rows × dim` from `U(low, high)`.
pub(super) fn uniform_table(
    params: &mut Parameters,
    name: String,
    rows: usize,
    dim: usize,
    [low, high]: [f64; 2],
    stream: &mut Stream,
) -> TableId {
    let id = params.add_table(name, rows, dim);
    let backend = params.backend().clone();
    let table = params.tables_mut().last_mut().expect("just added");
    match stream.parallel_key() {
        Some(key) => backend.fill_uniform(table, key, low, high),
        None => stream.fill_uniform(table.values_mut(), low, high),
    }
    id
}
