//! The work of each operation, from the shapes of what it is called with.
//!
//! Multiply-adds count as two operations; comparisons, exponentials and logarithms as none. Each
//! array is streamed once, however often a kernel comes back to it.

use crate::backend::{
    Activation, Beta, DenseParameter, Interaction, LinearGrads, Table, TableGrads, Touched, UpdateRule,
};
use crate::jagged::JaggedTensor;
use crate::roofline::{Cost, Rows};
use crate::tensor::Tensor;

/// `numbers` numbers read or written, and nothing computed.
pub(super) fn streamed(numbers: usize) -> Cost {
    Cost { streamed: bytes(numbers), ..Cost::default() }
}

/// `y` from `inputs` by `flops` operations, with one more a number where `y` is added to, and read for it.
pub(super) fn elementwise(inputs: &[&Tensor], y: &Tensor, flops: usize, beta: Beta) -> Cost {
    let added = if beta == Beta::One { y.len() } else { 0 };
    let read: usize = inputs.iter().map(|x| x.len()).sum();
    Cost { flops: (flops + added) as u64, ..streamed(read + y.len() + added) }
}

/// One of a layer's products, of matrices of `M × N`, `N × K` and `M × K`.
pub(super) fn product([m, n, k]: [usize; 3]) -> Cost {
    Cost { flops: 2 * (m * n * k) as u64, ..streamed(m * n + n * k + m * k) }
}

/// The way back through a layer: the products for its parameters and, if it is wanted, for its
/// input. The mask and the sums of the bias go with them.
pub(super) fn linear_backward([m, n, k]: [usize; 3], act: Activation, grads: &LinearGrads<'_>) -> Cost {
    let (inputs, mask) = (usize::from(grads.x.is_some()), usize::from(act == Activation::Relu));
    let numbers = m * n * (1 + mask) + (n * k + m * k) * (1 + inputs) + grads.bias.as_ref().map_or(0, |_| n);
    Cost { flops: (1 + inputs) as u64 * 2 * (m * n * k) as u64, ..streamed(numbers) }
}

/// Pooled lookups, into `out` numbers.
pub(super) fn embedding_bags(tables: &[Table], bags: &[JaggedTensor], out: &Tensor) -> Cost {
    let mut cost = streamed(out.len());
    for (table, list) in tables.iter().zip(bags) {
        let (lookups, dim) = (list.values().len(), table.embedding_dim());
        let weighted = list.weights().is_some();
        cost += Cost {
            flops: ((1 + usize::from(weighted)) * lookups * dim) as u64,
            rows_read: Rows { count: lookups as u64, bytes: (lookups * table.row_bytes()) as u64 },
            ..streamed((1 + usize::from(weighted)) * lookups)
        };
    }
    cost
}

/// Sorting the lookups by row: ids come in and go out once more, each with its bag.
pub(super) fn embedding_bags_backward(bags: &[JaggedTensor]) -> Cost {
    streamed(bags.iter().map(|list| 3 * list.values().len()).sum())
}

/// A weight a lookup.
pub(super) fn gather_weights(bags: &[JaggedTensor]) -> Cost {
    let lookups = bags.iter().map(|list| list.values().len()).sum();
    Cost { rows_read: Rows::new(lookups, 1), ..streamed(2 * lookups) }
}

/// A dot product a lookup, of a row and a gradient.
pub(super) fn gather_weights_backward(tables: &[Table], bags: &[JaggedTensor], grad_out: &Tensor) -> Cost {
    let mut cost = streamed(grad_out.len());
    for (table, list) in tables.iter().zip(bags) {
        let (lookups, dim) = (list.values().len(), table.embedding_dim());
        let flops = 2 * (lookups * dim) as u64;
        cost += Cost { flops, rows_read: Rows::new(lookups, dim), ..streamed(2 * lookups) };
    }
    cost
}

/// The interaction into `out` numbers.
pub(super) fn interaction(kind: Interaction, dense: Option<&Tensor>, pooled: &Tensor, out: &Tensor) -> Cost {
    let [b, tables, dim] = [pooled.shape()[0], pooled.shape()[1], pooled.shape()[2]];
    let flops = 2 * (b * kind.pairs(dense.is_some(), tables) * dim) as u64;
    Cost { flops, ..streamed(dense.map_or(0, Tensor::len) + pooled.len() + out.len()) }
}

/// The way back: each dot product becomes two vectors scaled and added, and each input has a
/// gradient.
pub(super) fn interaction_backward(
    kind: Interaction,
    dense: Option<&Tensor>,
    pooled: &Tensor,
    grad_out: &Tensor,
) -> Cost {
    let forward = interaction(kind, dense, pooled, grad_out);
    let gradients = streamed(dense.map_or(0, Tensor::len) + pooled.len());
    Cost { flops: 2 * forward.flops, streamed: forward.streamed + gradients.streamed, ..forward }
}

/// An optimizer's step on a dense parameter: the gradient is read, the parameter and the state
/// are read and written, and a weight is written twice more where the backend packs it.
pub(super) fn update_dense(rule: UpdateRule, parameter: &DenseParameter) -> Cost {
    let n = parameter.value().len();
    let state: usize = rule.state_lens(false, n, 1).iter().sum();
    let packed = if parameter.packed().forward.is_empty() { 0 } else { 2 * n };
    Cost { flops: flops_an_element(rule) * n as u64, ..streamed(3 * n + 2 * state + packed) }
}

/// An optimizer's step on the touched rows of tables, and of the state beside them: each row's
/// gradient is summed first, over its lookups.
pub(super) fn update_tables(rule: UpdateRule, grads: &dyn TableGrads) -> Cost {
    let mut cost = Cost::default();
    for Touched { rows, lookups, dim } in (0..grads.tables()).filter_map(|t| grads.touched(t)) {
        cost += Cost {
            flops: (lookups * dim) as u64 + flops_an_element(rule) * (rows * dim) as u64,
            rows_updated: Rows::new(rows, dim),
            ..streamed(2 * rows + lookups + lookups * dim)
        };
        let state = rule.state_lens(true, 1, dim).into_iter().filter(|&numbers| numbers > 0);
        state.for_each(|numbers| cost.rows_updated += Rows::new(rows, numbers));
    }
    cost
}

/// Sums of gradients, written out.
pub(super) fn sum_table_grads(grads: &dyn TableGrads) -> Cost {
    let mut cost = Cost::default();
    for Touched { rows, lookups, dim } in (0..grads.tables()).filter_map(|t| grads.touched(t)) {
        cost += Cost { flops: (lookups * dim) as u64, ..streamed(2 * rows + lookups + (lookups + rows) * dim) };
    }
    cost
}

/// A multiple of each row, added to its gradient.
pub(super) fn add_l2(grads: &dyn TableGrads) -> Cost {
    let mut cost = Cost::default();
    for Touched { rows, dim, .. } in (0..grads.tables()).filter_map(|t| grads.touched(t)) {
        cost += Cost { flops: 2 * (rows * dim) as u64, rows_read: Rows::new(rows, dim), ..streamed(2 * rows * dim) };
    }
    cost
}

/// Operations of each rule's formula, for one number.
fn flops_an_element(rule: UpdateRule) -> u64 {
    match rule {
        UpdateRule::Sgd => 2,
        UpdateRule::RowWiseAdagrad { .. } => 4,
        UpdateRule::Adagrad { .. } => 7,
        UpdateRule::Adam { .. } => 13,
    }
}

fn bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}
