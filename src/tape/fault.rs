//! Where a number that is not finite came from: looked for when a step has gone wrong, and not before.

use super::{Bags, GradSlot, Tape, Uses, Var};
use crate::error::{Fault, Pass};
use crate::gradients::Gradients;
use crate::parameters::{DenseId, Parameters, TableId};
use crate::tensor::Tensor;

/// The first number that is not finite, and its place.
fn first(values: &[f32]) -> Option<(usize, f32)> {
    values.iter().copied().enumerate().find(|(_, x)| !x.is_finite())
}

/// Place `i` of a tensor, by dimension: `[3, 17]`.
fn place(tensor: &Tensor, mut i: usize) -> String {
    let mut at: Vec<usize> = tensor.shape().iter().rev().map(|&n| (i % n, i /= n).0).collect();
    at.reverse();
    format!("{at:?}")
}

impl Tape {
    /// The first value on the tape that is not finite, in the order in which they were computed.
    pub fn forward_fault(&self, params: &Parameters) -> Option<Fault> {
        let found = |var: usize| first(self.values[var].as_slice()).map(|(i, value)| (Var(var), i, value));
        let (var, i, value) = (0..self.len).find_map(found)?;
        let made = Fault {
            pass: Pass::Forward,
            operator: self.nodes[var.0].name().into(),
            parameter: None,
            row: None,
            number: format!("output {}", place(&self.values[var.0], i)),
            value,
        };
        Some(match self.nodes[var.0].uses() {
            Uses::Nothing => made,
            Uses::Dense(ids) => in_parameters(params, ids).map_or_else(
                || Fault { parameter: ids[0].map(|id| params.get(id).name().to_owned()), ..made.clone() },
                |(name, number, value)| Fault { parameter: Some(name), number, value, ..made.clone() },
            ),
            Uses::Tables(..) => self.in_pooled(params, var, i).map_or_else(
                || made.clone(),
                |(table, row)| Fault { parameter: Some(params.table(table).name().to_owned()), row, ..made.clone() },
            ),
        })
    }

    /// The first gradient that is not finite, in the order in which a backward pass from `var` with `seed` makes them:
    /// of what a node gives on, first the gradients of its parameters. Makes that pass again.
    ///
    /// # Panics
    /// As [`backward_from`](Self::backward_from).
    pub fn backward_fault(&mut self, var: Var, seed: &[f32], params: &Parameters) -> Option<Fault> {
        let mut found = None;
        let fault = |operator: &'static str, parameter, row, number, value| {
            let parameter = Some(parameter).filter(|name: &String| !name.is_empty());
            Fault { pass: Pass::Backward, operator: operator.into(), parameter, row, number, value }
        };
        let mut grads = Gradients::new(params);
        let tape = &*self;
        let names: Vec<(&str, Uses)> = tape.nodes[..tape.len].iter().map(|node| (node.name(), node.uses())).collect();
        let mut input = None;
        self.backward_while(var, seed, params, &mut grads, |at, before, grads| {
            let (operator, uses) = names[at];
            found = in_gradients(params, grads, uses)
                .map(|(name, row, number, value)| fault(operator, name, row, number, value));
            input = first_of(before).filter(|_| found.is_none()).map(|(of, i, value)| (at, of, i, value));
            found.is_none() && input.is_none()
        });
        let Some((at, of, i, value)) = input else { return found };
        let number = format!("gradient {} of the output of {}", place(&self.values[of], i), names[of].0);
        let (parameter, row) = match names[of].1 {
            Uses::Tables(..) => self.in_pooled(params, Var(of), i),
            _ => None,
        }
        .map_or_else(
            || (own_name(params, names[at].1).unwrap_or_default(), None),
            |(table, row)| (params.table(table).name().to_owned(), row),
        );
        Some(fault(names[at].0, parameter, row, number, value))
    }

    /// Of number `i` of pooled rows: its table, and the row that is to blame if there is one, or else the only one in
    /// the bag.
    fn in_pooled(&self, params: &Parameters, var: Var, i: usize) -> Option<(TableId, Option<u32>)> {
        let Uses::Tables(TableId(tables), bags) = self.nodes[var.0].uses() else { return None };
        let shape = self.values[var.0].shape();
        let (lists, dim) = (bags.count, self.values[var.0].cols() / bags.count);
        let (b, t) = (i / (lists * dim), i / dim % lists);
        let (table, bag) = (TableId(tables + t), self.bag_lists(bags)[t].bag(b));
        debug_assert!(b < shape[0]);
        let bad = |&&row: &&u32| params.table(table).row(row as usize).iter().any(|x| !x.is_finite());
        Some((table, bag.iter().find(bad).or(bag.first().filter(|_| bag.len() == 1)).copied()))
    }
}

/// The first number that is not finite in parameters themselves.
fn in_parameters(params: &Parameters, ids: [Option<DenseId>; 2]) -> Option<(String, String, f32)> {
    ids.into_iter().flatten().find_map(|id| {
        let parameter = params.get(id);
        let (i, value) = first(parameter.value().as_slice())?;
        Some((parameter.name().to_owned(), format!("number {} of it", place(parameter.value(), i)), value))
    })
}

/// The first number that is not finite in the gradients of what an operation uses.
fn in_gradients(params: &Parameters, grads: &Gradients, uses: Uses) -> Option<(String, Option<u32>, String, f32)> {
    match uses {
        Uses::Nothing => None,
        Uses::Dense(ids) => ids.into_iter().flatten().find_map(|id| {
            let grad = grads.dense(id)?;
            let (i, value) = first(grad.as_slice())?;
            Some((params.get(id).name().to_owned(), None, format!("number {} of its gradient", place(grad, i)), value))
        }),
        Uses::Tables(TableId(from), bags) => (from..from + bags.count).find_map(|t| {
            let (table, (rows, values)) = (params.table(TableId(t)), grads.table(TableId(t)));
            let (i, value) = first(&values)?;
            let (row, number) = (rows[i / table.embedding_dim()], i % table.embedding_dim());
            Some((table.name().to_owned(), Some(row), format!("number {number} of its gradient"), value))
        }),
    }
}

/// The first number that is not finite in the gradients of several batches together.
pub(crate) fn in_sums(params: &Parameters, grads: &Gradients) -> Option<Fault> {
    let dense = (0..params.dense().len()).map(|i| Uses::Dense([Some(DenseId(i)), None]));
    let tables = (0..params.tables().len()).map(|t| Uses::Tables(TableId(t), Bags { first: 0, count: 1 }));
    let (name, row, number, value) = dense.chain(tables).find_map(|uses| in_gradients(params, grads, uses))?;
    let operator = "the sum over batches".into();
    Some(Fault { pass: Pass::Backward, operator, parameter: Some(name), row, number, value })
}

/// The first gradient of a node that is not finite, of the last node that has one.
fn first_of(slots: &[GradSlot]) -> Option<(usize, usize, f32)> {
    let filled = slots.iter().enumerate().rev().filter(|(_, grad)| grad.slot.filled);
    filled.into_iter().find_map(|(of, grad)| first(grad.slot.value.as_slice()).map(|(i, value)| (of, i, value)))
}

/// The name of an operation's first dense parameter.
fn own_name(params: &Parameters, uses: Uses) -> Option<String> {
    match uses {
        Uses::Dense([Some(id), _]) => Some(params.get(id).name().to_owned()),
        _ => None,
    }
}
