//! Tables that every rank has: data parallelism, as of the MLPs.
//!
//! ```text
//! rows   S = Aᵀ W         each rank, of its own samples; nothing is sent
//! grads  Gᵣ = Aᵣ dSᵣ      each rank r, of its own samples: the sums of the rows that it looked up
//!        G = Σᵣ Gᵣ        all-reduce, of all rows, with a number a row that says whether it was looked up
//! ```
//!
//! The sums are added in the order of the ranks, to the same bits on each, and every rank makes the same step of them: the
//! replicas never drift apart. A row that no rank looked up gets no gradient, not one of zeros, which would move it with
//! Adam.

use super::placement::Placement;
use crate::backend::{Pooling, Table, TableGrads};
use crate::comm::{Communicator, Pending};
use crate::error::Result;
use crate::jagged::JaggedTensor;
use crate::nn::init;
use crate::ops;
use crate::parameters::{Parameters, TableId};
use crate::tape::{BackwardContext, Bags, Tape, Var};
use crate::tensor::Tensor;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tables that every rank has, of which there is one at least.
#[derive(Debug)]
pub(super) struct Replicas {
    /// The first of them among the parameters; the others follow it.
    first: TableId,
    /// Which tables of the model they are.
    tables: Vec<usize>,
    pooling: Pooling,
    sums: Mutex<Sums>,
}

#[derive(Debug)]
struct Sums {
    /// The gradients of this rank's samples, for these tables alone.
    own: Box<dyn TableGrads>,
    pending: Option<Pending<Vec<f32>>>,
}

/// What a forward pass looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookedUp {
    /// `B × replicas × D`.
    pub pooled: Var,
    bags: Bags,
}

impl Replicas {
    /// Those of `placement`, if there are any, with the initial values that `keys` give.
    pub fn new(
        params: &mut Parameters,
        placement: &Placement,
        rank: usize,
        pooling: Pooling,
        keys: &[Option<u64>],
    ) -> Option<Self> {
        let first = TableId(params.tables().len());
        let mut tables = Vec::new();
        for shard in placement.of(rank).filter(|shard| placement.is_replicated(shard.table)) {
            init::shard(params, shard, shard.rows.len(), placement.dim(), keys[shard.table]);
            tables.push(shard.table);
        }
        let sums = Mutex::new(Sums { own: params.backend().table_grads(tables.len()), pending: None });
        (!tables.is_empty()).then_some(Replicas { first, tables, pooling, sums })
    }

    /// Looks up the ids of this rank's samples.
    pub fn look_up(&self, tape: &mut Tape, params: &Parameters, lists: &[JaggedTensor]) -> LookedUp {
        let lists: Vec<_> = self.tables.iter().map(|&t| lists[t].clone()).collect();
        let bags = tape.bags(&lists);
        LookedUp { pooled: ops::embedding_bags(tape, params, self.first, self.pooling, bags, None), bags }
    }

    /// Puts the vectors of [`look_up`](Self::look_up) where they belong in those of all tables, `B × T × D`.
    pub fn read(&self, pooled: &Tensor, out: &mut Tensor) {
        let [_, tables, dim] = [out.shape()[0], out.shape()[1], out.shape()[2]];
        let samples = out.as_mut_slice().chunks_mut(tables * dim);
        for (out, pooled) in samples.zip(pooled.as_slice().chunks(self.tables.len() * dim)) {
            for (&t, vector) in self.tables.iter().zip(pooled.chunks(dim)) {
                out[t * dim..][..dim].copy_from_slice(vector);
            }
        }
    }

    /// Sends the sums of this rank's gradients away, given those of all tables' vectors.
    pub fn start_sums(&self, comm: &Communicator, cx: &BackwardContext<'_>, looked_up: LookedUp) {
        let tables = self.of(cx.params);
        let [samples, all, dim] = [cx.grad_out.shape()[0], cx.grad_out.shape()[1], cx.grad_out.shape()[2]];
        let mut grad = Tensor::zeros(&[samples, tables.len(), dim]);
        let mut vectors = grad.as_mut_slice().chunks_mut(dim);
        for of_sample in cx.grad_out.as_slice().chunks(all * dim) {
            for (&t, to) in self.tables.iter().zip(&mut vectors) {
                to.copy_from_slice(&of_sample[t * dim..][..dim]);
            }
        }
        let mut sums = self.sums();
        sums.own.clear();
        let bags = cx.values.bags(looked_up.bags);
        cx.backend.embedding_bags_backward(tables, self.pooling, bags, &mut grad, &mut *sums.own, 0);
        cx.backend.sum_table_grads(&mut *sums.own);
        let mut numbers = Vec::new();
        for (i, table) in tables.iter().enumerate() {
            let first = numbers.len();
            numbers.resize(first + table.num_embeddings() * (1 + dim), 0.0);
            for (row, sum) in sums.own.rows(i).into_iter().zip(sums.own.values(i).chunks(dim)) {
                let to = &mut numbers[first + row as usize * (1 + dim)..][..1 + dim];
                to[0] = 1.0;
                to[1..].copy_from_slice(sum);
            }
        }
        sums.pending = Some(comm.start_all_reduce(numbers));
    }

    /// Waits for the sums over all ranks.
    pub fn wait(&self) -> Result<Vec<f32>> {
        let pending = self.sums().pending.take().expect("sums were sent");
        pending.wait()
    }

    /// The sums over all ranks become the gradients of the rows that one of them looked up.
    pub fn add(&self, sums: &[f32], rank: usize, cx: &mut BackwardContext<'_>) {
        if rank > 0 {
            cx.param_grads.count_elsewhere(self.first.0..self.first.0 + self.tables.len());
        }
        let mut left = sums;
        for (i, table) in self.of(cx.params).iter().enumerate() {
            let dim = table.embedding_dim();
            let (mine, others) = left.split_at(table.num_embeddings() * (1 + dim));
            left = others;
            let touched = || (0..).zip(mine.chunks(1 + dim)).filter(|(_, row)| row[0] > 0.0);
            let rows: Vec<u32> = touched().map(|(row, _)| row).collect();
            if rows.is_empty() {
                continue;
            }
            let values: Vec<f32> = touched().flat_map(|(_, row)| &row[1..]).copied().collect();
            let mut grad = Tensor::from_slice(&[rows.len(), 1, dim], &values);
            cx.backend.embedding_bags_backward(
                std::slice::from_ref(table),
                Pooling::Sum,
                &[JaggedTensor::one_per_bag(rows)],
                &mut grad,
                cx.param_grads.tables_mut(),
                self.first.0 + i,
            );
        }
    }

    fn of<'a>(&self, params: &'a Parameters) -> &'a [Table] {
        &params.tables()[self.first.0..][..self.tables.len()]
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
