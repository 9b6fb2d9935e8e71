//! Pooled embedding lookups in many tables at once.

use crate::backend::Pooling;
use crate::parameters::{Parameters, TableId};
use crate::tape::{Backward, BackwardContext, Bags, Tape, Uses, Var};

/// A weight for each row of each table, that pooling multiplies the row by (the reference's
/// `--weighted-pooling`). The weights are tables themselves, with `D = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowWeights {
    /// The weights of the first table; the others follow it.
    pub first: TableId,
    /// Whether they are learned.
    pub learned: bool,
}

#[derive(Debug)]
struct EmbeddingBagsBackward {
    first: TableId,
    pooling: Pooling,
    bags: Bags,
    row_weights: Option<RowWeights>,
}

/// Looks the ids of `bags` up in as many tables, the first of which is `first`, and pools each
/// bag: `out[b, t] = Σ_{i ∈ bag b of list t} w_i · W_t[i]`, `B × T × D`.
///
/// The output holds the vectors of a sample side by side, as the interaction wants them. With the
/// lookups as a sparse matrix this is `S = AᵀW` (paper section 2.1.1, equation 2), and backward is
/// `dW = A·dS`, nonzero in the rows that were looked up only; see
/// [`TableGrads`](crate::gradients::TableGrads), and [chapter 3 of the guide](crate::guide::ch03_embedding_bags).
///
/// # Panics
/// If there are fewer tables than lists, the tables differ in `D`, the lists in the number of
/// bags, or an id is not below its table's number of rows ([`Batch::check`](crate::Batch::check)
/// finds that before).
pub fn embedding_bags(
    tape: &mut Tape,
    params: &Parameters,
    first: TableId,
    pooling: Pooling,
    bags: Bags,
    row_weights: Option<RowWeights>,
) -> Var {
    let count = tape.num_lists(bags);
    let tables = &params.tables()[first.0..first.0 + count];
    let shape = [tape.bag_lists(bags)[0].num_bags(), count, tables[0].embedding_dim()];
    if let Some(weights) = row_weights.filter(|_| !tape.is_plan()) {
        let weights = &params.tables()[weights.first.0..weights.first.0 + count];
        params.backend().gather_weights(weights, tape.bags_mut(bags));
    }
    let node = EmbeddingBagsBackward { first, pooling, bags, row_weights };
    tape.record(&shape, true, node, |backend, values, out| {
        backend.embedding_bags(tables, pooling, values.bags(bags), out);
    })
}

impl Backward for EmbeddingBagsBackward {
    fn backward(&self, cx: BackwardContext<'_>) {
        let bags = cx.values.bags(self.bags);
        let tables = &cx.params.tables()[self.first.0..self.first.0 + bags.len()];
        let grads = cx.param_grads.tables_mut();
        if let Some(RowWeights { first, learned: true }) = self.row_weights {
            cx.backend.gather_weights_backward(tables, self.pooling, bags, cx.grad_out, grads, first.0);
        }
        cx.backend.embedding_bags_backward(tables, self.pooling, bags, cx.grad_out, grads, self.first.0);
    }

    fn uses(&self) -> Uses {
        Uses::Tables(self.first, self.bags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{GradCheck, gradcheck};
    use crate::jagged::JaggedTensor;
    use crate::ops::tests::{ramp, setup};

    fn lists() -> Vec<JaggedTensor> {
        let list = |bags: &[&[u32]]| {
            let mut j = JaggedTensor::default();
            bags.iter().for_each(|b| j.push_bag(b));
            j
        };
        vec![list(&[&[0, 2], &[], &[1], &[2, 2, 0, 4]]), list(&[&[6], &[6], &[6], &[6]]), list(&[&[], &[], &[], &[]])]
    }

    fn add_tables(params: &mut Parameters, dim: usize) -> TableId {
        let first = TableId(params.tables().len());
        for (t, rows) in [5, 7, 1].into_iter().enumerate() {
            let TableId(id) = params.add_table(format!("t{t}"), rows, dim);
            params.tables_mut()[id].values_mut().copy_from_slice(ramp(&[rows, dim], 0.9).as_slice());
        }
        first
    }

    #[test]
    fn gradients() {
        for dim in [1, 3, 16, 20] {
            for pooling in [Pooling::Sum, Pooling::Mean] {
                let mut params = setup();
                let first = add_tables(&mut params, dim);
                gradcheck(&mut params, &[], GradCheck::default(), |tape, params, _| {
                    let bags = tape.bags(&lists());
                    embedding_bags(tape, params, first, pooling, bags, None)
                });
            }
        }
    }

    #[test]
    fn gradients_with_weights_a_lookup_and_a_row() {
        let weighted: Vec<_> = lists()
            .iter()
            .map(|l| {
                let weights = (0..l.values().len()).map(|i| 0.5 - i as f32).collect();
                JaggedTensor::new(l.values().to_vec(), l.offsets().to_vec(), Some(weights)).unwrap()
            })
            .collect();
        let mut params = setup();
        let first = add_tables(&mut params, 6);
        gradcheck(&mut params, &[], GradCheck::default(), |tape, params, _| {
            let bags = tape.bags(&weighted);
            embedding_bags(tape, params, first, Pooling::Sum, bags, None)
        });
        let mut params = setup();
        let first = add_tables(&mut params, 6);
        let row_weights = RowWeights { first: add_tables(&mut params, 1), learned: true };
        gradcheck(&mut params, &[], GradCheck::default(), |tape, params, _| {
            let bags = tape.bags(&lists());
            embedding_bags(tape, params, first, Pooling::Sum, bags, Some(row_weights))
        });
    }

    #[test]
    fn a_table_used_twice_gets_both_gradients() {
        let mut params = setup();
        let first = add_tables(&mut params, 4);
        gradcheck(&mut params, &[], GradCheck::default(), |tape, params, _| {
            let one = tape.bags(&lists()[..1]);
            let x = embedding_bags(tape, params, first, Pooling::Sum, one, None);
            let all = tape.bags(&lists());
            let pooled = embedding_bags(tape, params, first, Pooling::Mean, all, None);
            crate::ops::interaction(tape, crate::backend::Interaction::Dot, Some(x), pooled)
        });
    }
}
