//! The tape: reverse-mode automatic differentiation in one vector and one loop.
//!
//! Each operation computes its result at once and appends a *node*: a named struct that remembers
//! its inputs and knows its own derivative. A [`Var`] is the node's index, so inputs always stand
//! before outputs, and the backward pass is a loop over the nodes from last to first: when it
//! comes to a node, every use of that node's result has added its share of the gradient.
//!
//! ```text
//! values   x₀   x₁   x₂ = f(x₀, x₁)   x₃ = g(x₂)   …   loss
//! grads    ←————————————————————————————————————————   1
//! ```
//!
//! A step clears the tape and records the same operations again, so everything is reused by
//! position: the value of node 7 goes where the value of node 7 was, and its node over the old
//! one. After the first step nothing is allocated.
//!
//! Parameters are not on the tape: see [`Parameters`]. An operation that uses one writes its
//! gradient into [`Gradients`].
//!
//! A tape for numbers instead of tensors, in 60 lines, is in [chapter 1 of the guide](crate::guide::ch01_tape).

mod fault;
mod plan;

pub(crate) use fault::in_sums;

use crate::backend::{Backend, Beta, Dropout};
use crate::gradients::{Gradients, Slot};
use crate::jagged::JaggedTensor;
use crate::parameters::{DenseId, Parameters, TableId};
use crate::tensor::Tensor;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// The result of an operation on a [`Tape`], until the tape is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Var(usize);

/// Lists of ids on a [`Tape`], one a table, until the tape is cleared.
#[derive(Debug, Clone, Copy)]
pub struct Bags {
    first: usize,
    count: usize,
}

/// Any number of values on a [`Tape`], until it is cleared: what an operation on many remembers.
#[derive(Debug, Clone, Copy)]
pub struct VarList {
    first: usize,
    count: usize,
    room: usize,
}

/// A node of the tape: the derivative of one operation. Implement it for an operation of your own
/// and append it with [`Tape::record`]; [`gradcheck`](crate::gradcheck::gradcheck) tests it.
///
/// ```
/// use dlrm::backend::{Beta, Cpu};
/// use dlrm::gradcheck::{GradCheck, gradcheck};
/// use dlrm::tape::{Backward, BackwardContext};
/// use dlrm::{Parameters, Tape, Tensor, Var};
/// use std::sync::Arc;
///
/// /// `Y = X²`, element by element. Backward: `dX = 2 X ⊙ dY`.
/// fn square(tape: &mut Tape, x: Var) -> Var {
///     let (shape, needs_grad) = (tape.value(x).shape(), tape.needs_grad(x));
///     tape.record(&shape, needs_grad, SquareBackward { x }, |_, values, y| {
///         let x = values.get(x).as_slice();
///         y.as_mut_slice().iter_mut().zip(x).for_each(|(y, x)| *y = x * x);
///     })
/// }
///
/// #[derive(Debug)]
/// struct SquareBackward {
///     x: Var,
/// }
///
/// impl Backward for SquareBackward {
///     fn backward(&self, mut cx: BackwardContext<'_>) {
///         let (x, dy) = (cx.values.get(self.x).as_slice(), cx.grad_out.as_slice());
///         let Some((dx, beta)) = cx.grads.get(self.x) else { return }; // nobody needs it
///         for ((dx, x), dy) in dx.as_mut_slice().iter_mut().zip(x).zip(dy) {
///             // The first share of a gradient overwrites what is there, each further one is added.
///             *dx = if beta == Beta::Zero { 0.0 } else { *dx } + 2.0 * x * dy;
///         }
///     }
/// }
///
/// let mut params = Parameters::new(Arc::new(Cpu::new(1)));
/// let x = Tensor::from_slice(&[2, 2], &[0.5, -1.0, 2.0, 0.0]);
/// gradcheck(&mut params, &[x], GradCheck::default(), |tape, _, x| square(tape, x[0]));
/// ```
pub trait Backward: Any + Debug + Send {
    /// Adds this operation's share to the gradients of its inputs and parameters, given that of
    /// its output.
    fn backward(&self, cx: BackwardContext<'_>);

    /// What people call the operation, for a [`Fault`](crate::error::Fault): the name of this type, without `Backward` behind.
    fn name(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        let name = name.rsplit("::").next().unwrap_or(name);
        name.strip_suffix("Backward").unwrap_or(name)
    }

    /// The parameters that take part: for a [`Fault`](crate::error::Fault), and for ranks, which exchange a gradient as
    /// soon as the last operation that has a share in it has added that.
    fn uses(&self) -> Uses {
        Uses::Nothing
    }
}

/// The parameters that take part in an operation.
#[derive(Debug, Clone, Copy)]
pub enum Uses {
    /// None.
    Nothing,
    /// Dense ones.
    Dense([Option<DenseId>; 2]),
    /// Tables from this one on, one for each list of ids.
    Tables(TableId, Bags),
}

/// What a node sees in the backward pass.
///
/// The fields are separate so that they can be borrowed side by side.
#[derive(Debug)]
pub struct BackwardContext<'a> {
    /// Where to compute.
    pub backend: &'a dyn Backend,
    /// The value of every node so far.
    pub values: Values<'a>,
    /// The value of this node.
    pub output: &'a Tensor,
    /// The gradient of the loss by this node's value; free to use as scratch.
    pub grad_out: &'a mut Tensor,
    /// The gradients of the inputs.
    pub grads: InputGrads<'a>,
    /// The parameters that the forward pass used.
    pub params: &'a Parameters,
    /// Where the gradients of parameters go.
    pub param_grads: &'a mut Gradients,
}

/// The values on a tape.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    values: &'a [Tensor],
    bags: &'a [JaggedTensor],
    listed: &'a [Var],
}

impl<'a> Values<'a> {
    /// The value of `var`.
    pub fn get(&self, var: Var) -> &'a Tensor {
        &self.values[var.0]
    }

    /// The ids of `bags`, a list a table.
    pub fn bags(&self, bags: Bags) -> &'a [JaggedTensor] {
        &self.bags[bags.first..bags.first + bags.count]
    }

    /// The values in `list`.
    pub fn vars(&self, list: VarList) -> &'a [Var] {
        &self.listed[list.first..list.first + list.count]
    }
}

/// The gradients of the nodes before this one.
#[derive(Debug)]
pub struct InputGrads<'a> {
    slots: &'a mut [GradSlot],
    shapes: &'a [Tensor],
}

#[derive(Debug, Default)]
struct GradSlot {
    slot: Slot,
    needed: bool,
}

impl InputGrads<'_> {
    /// Where the gradient of `var` goes, and whether to overwrite it or to add to it; nothing if
    /// no one needs it (`var` is data).
    pub fn get(&mut self, var: Var) -> Option<(&mut Tensor, Beta)> {
        let GradSlot { slot, needed } = &mut self.slots[var.0];
        needed.then(|| slot.contribute(&self.shapes[var.0].shape()))
    }

    /// Lends out the gradient of `var`, for an operation that fills several at once; give it back
    /// with [`put`](Self::put).
    pub(crate) fn take(&mut self, var: Var) -> Option<(Tensor, Beta)> {
        self.get(var).map(|(t, beta)| (std::mem::take(t), beta))
    }

    /// Gives back what [`take`](Self::take) lent.
    pub(crate) fn put(&mut self, var: Var, grad: Tensor) {
        self.slots[var.0].slot.value = grad;
    }
}

/// A leaf: data, or a variable whose gradient someone wants to see.
#[derive(Debug)]
struct Leaf;

impl Backward for Leaf {
    fn backward(&self, _: BackwardContext<'_>) {}
}

/// Numbers from outside become the value or gradient `to`.
fn put(backend: &dyn Backend, numbers: &[f32], to: &mut Tensor) {
    assert_eq!(to.len(), numbers.len(), "Tape: shape {:?} from {} values", to.shape(), numbers.len());
    backend.copy(numbers, to.buffer_mut().overwrite());
}

/// See the [module](self).
#[derive(Debug)]
pub struct Tape {
    backend: Arc<dyn Backend>,
    values: Vec<Tensor>,
    grads: Vec<GradSlot>,
    nodes: Vec<Box<dyn Backward>>,
    bags: Vec<JaggedTensor>,
    /// The entries of all lists, one list after the other.
    listed: Vec<Var>,
    len: usize,
    bags_len: usize,
    dropout: Option<Dropout>,
    /// Operations with dropout since the tape was cleared.
    dropouts: u64,
    /// Whether shapes are all that is kept.
    hollow: bool,
}

impl Tape {
    /// An empty tape whose operations run on `backend`.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Tape {
            backend,
            values: Vec::new(),
            grads: Vec::new(),
            nodes: Vec::new(),
            bags: Vec::new(),
            listed: Vec::new(),
            len: 0,
            bags_len: 0,
            dropout: None,
            dropouts: 0,
            hollow: false,
        }
    }

    /// An empty tape that computes nothing, and keeps the shapes of values alone: what a step will have to remember.
    pub(crate) fn plan(backend: Arc<dyn Backend>) -> Self {
        Tape { hollow: true, ..Tape::new(backend) }
    }

    /// Whether shapes are all that is kept.
    pub(crate) fn is_plan(&self) -> bool {
        self.hollow
    }

    /// Forgets every node, and keeps the memory for the next step. Every [`Var`] ends here.
    pub fn clear(&mut self) {
        self.len = 0;
        self.bags_len = 0;
        self.dropouts = 0;
        self.listed.clear();
    }

    /// Whether what is recorded from now on is for training with dropout; at first and for evaluation it is not.
    /// See [`ops::dropout`](crate::ops::dropout).
    pub fn set_dropout(&mut self, dropout: Option<Dropout>) {
        self.dropout = dropout;
    }

    /// The masks of the next operation, if there is dropout.
    pub(crate) fn next_dropout(&mut self) -> Option<Dropout> {
        self.dropouts += 1;
        self.dropout.map(|dropout| dropout.at(self.dropouts))
    }

    /// Says that so many samples of the batch are with other ranks, before those that are on this tape: their masks are
    /// theirs.
    pub(crate) fn skip_dropout_of(&mut self, samples: usize) {
        self.dropout = self.dropout.map(|dropout| Dropout { first_row: dropout.first_row + samples as u64, ..dropout });
    }

    /// Puts data on the tape: a copy of `values`, of which no gradient is taken.
    ///
    /// # Panics
    /// If `values` does not fill `shape`.
    pub fn input(&mut self, shape: &[usize], values: &[f32]) -> Var {
        self.record(shape, false, Leaf, |backend, _, out| put(backend, values, out))
    }

    /// As [`input`](Self::input), and its gradient can be read after the backward pass.
    ///
    /// # Panics
    /// If `values` does not fill `shape`.
    pub fn variable(&mut self, shape: &[usize], values: &[f32]) -> Var {
        self.record(shape, true, Leaf, |backend, _, out| put(backend, values, out))
    }

    /// Puts ids on the tape, one list a table.
    pub fn bags(&mut self, bags: &[JaggedTensor]) -> Bags {
        let first = self.bags_len;
        self.bags_len += bags.len();
        if self.bags.len() < self.bags_len {
            self.bags.resize_with(self.bags_len, JaggedTensor::default);
        }
        self.backend.copy_bags(bags, &mut self.bags[first..self.bags_len]);
        Bags { first, count: bags.len() }
    }

    /// The lists of `bags`, to give each lookup a weight.
    pub(crate) fn bags_mut(&mut self, bags: Bags) -> &mut [JaggedTensor] {
        &mut self.bags[bags.first..bags.first + bags.count]
    }

    /// How many lists of ids `bags` holds.
    pub fn num_lists(&self, bags: Bags) -> usize {
        bags.count
    }

    /// The ids of `bags`, a list a table.
    pub fn bag_lists(&self, bags: Bags) -> &[JaggedTensor] {
        &self.bags[bags.first..bags.first + bags.count]
    }

    /// A list with room for so many values, empty at first.
    pub fn list(&mut self, room: usize) -> VarList {
        let first = self.listed.len();
        self.listed.resize(first + room, Var(0));
        VarList { first, count: 0, room }
    }

    /// Appends `var` to `list`.
    ///
    /// # Panics
    /// If there is no room.
    pub fn push(&mut self, list: &mut VarList, var: Var) {
        assert!(list.count < list.room, "Tape: a list has room for {} values", list.room);
        self.listed[list.first + list.count] = var;
        list.count += 1;
    }

    /// The values in `list`.
    pub fn vars(&self, list: VarList) -> &[Var] {
        &self.listed[list.first..list.first + list.count]
    }

    /// Computes a value of shape `shape` by `compute` and appends it with its derivative.
    ///
    /// `compute` may call the backend, or read the values as slices: where a device has them, they are fetched for it.
    ///
    /// `needs_grad` says whether a gradient of this value is of use: whether one of the inputs
    /// needs one, or a parameter takes part.
    pub fn record<N: Backward>(
        &mut self,
        shape: &[usize],
        needs_grad: bool,
        node: N,
        compute: impl FnOnce(&dyn Backend, Values<'_>, &mut Tensor),
    ) -> Var {
        let at = self.len;
        if at == self.values.len() {
            self.values.push(Tensor::default());
            self.grads.push(GradSlot::default());
            self.nodes.push(Box::new(Leaf));
        }
        let (before, rest) = self.values.split_at_mut(at);
        if self.hollow {
            rest[0] = Tensor::hollow(shape);
        } else {
            rest[0].resize(shape);
            compute(&*self.backend, Values { values: before, bags: &self.bags, listed: &self.listed }, &mut rest[0]);
        }
        self.grads[at].needed = needs_grad;
        self.grads[at].slot.filled = false;
        let old: &mut dyn Any = &mut *self.nodes[at];
        match old.downcast_mut::<N>() {
            Some(same) => *same = node,
            None => self.nodes[at] = Box::new(node),
        }
        self.len += 1;
        Var(at)
    }

    /// The value of `var`.
    pub fn value(&self, var: Var) -> &Tensor {
        &self.values[..self.len][var.0]
    }

    /// Whether a gradient of `var` is of use.
    pub fn needs_grad(&self, var: Var) -> bool {
        self.grads[..self.len][var.0].needed
    }

    /// The gradient of the loss by `var`, if the last backward pass reached it. Operations may
    /// use the gradients of values between leaves and loss as scratch: ask for leaves only.
    pub fn grad(&self, var: Var) -> Option<&Tensor> {
        let slot = &self.grads[..self.len][var.0].slot;
        slot.filled.then_some(&slot.value)
    }

    /// The backward pass from `loss`, one number: adds the gradient of every parameter to
    /// `grads`.
    ///
    /// # Panics
    /// If `loss` is not one number, or depends on no parameter and no variable.
    pub fn backward(&mut self, loss: Var, params: &Parameters, grads: &mut Gradients) {
        self.backward_from(loss, &[1.0], params, grads);
    }

    /// The backward pass from `var`, given the gradient `seed` of some loss by it.
    ///
    /// # Panics
    /// If `seed` has another length than `var`, or `var` depends on no parameter and no variable.
    pub fn backward_from(&mut self, var: Var, seed: &[f32], params: &Parameters, param_grads: &mut Gradients) {
        self.backward_while(var, seed, params, param_grads, |_, _, _| true);
    }

    /// The same, and says of each dense parameter when its gradient is whole: after the first of the nodes that
    /// [use](Backward::uses) it. Those that a node uses without saying so are not told of.
    pub(crate) fn backward_telling(
        &mut self,
        var: Var,
        seed: &[f32],
        params: &Parameters,
        param_grads: &mut Gradients,
        mut is_whole: impl FnMut(DenseId, &Gradients),
    ) {
        let used = |uses| if let Uses::Dense(ids) = uses { ids } else { [None; 2] };
        let uses: Vec<_> = self.nodes[..=var.0].iter().map(|node| used(node.uses())).collect();
        let mut left = vec![0; params.dense().len()];
        uses.iter().flatten().flatten().for_each(|id| left[id.0] += 1);
        self.backward_while(var, seed, params, param_grads, |at, _, grads| {
            for &id in uses[at].iter().flatten() {
                left[id.0] -= 1;
                if left[id.0] == 0 {
                    is_whole(id, grads);
                }
            }
            true
        });
    }

    /// The same, as long as `go_on` says so, which is called after each node, with its place and the gradients of those
    /// before it.
    fn backward_while(
        &mut self,
        var: Var,
        seed: &[f32],
        params: &Parameters,
        param_grads: &mut Gradients,
        mut go_on: impl FnMut(usize, &[GradSlot], &Gradients) -> bool,
    ) {
        assert!(self.needs_grad(var), "backward: the value depends on no parameter and no variable");
        self.grads[..self.len].iter_mut().for_each(|g| g.slot.filled = false);
        let (grad, _) = self.grads[var.0].slot.contribute(&self.values[var.0].shape());
        put(&*self.backend, seed, grad);
        for at in (0..=var.0).rev() {
            let (before, rest) = self.grads.split_at_mut(at);
            if !rest[0].slot.filled {
                continue;
            }
            self.nodes[at].backward(BackwardContext {
                backend: &*self.backend,
                values: Values { values: &self.values, bags: &self.bags, listed: &self.listed },
                output: &self.values[at],
                grad_out: &mut rest[0].slot.value,
                grads: InputGrads { slots: &mut *before, shapes: &self.values },
                params,
                param_grads: &mut *param_grads,
            });
            if !go_on(at, before, param_grads) {
                return;
            }
        }
    }
}
