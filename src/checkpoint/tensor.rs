//! Which tensors a file has, and what of each this process has.

use super::{dense_shape, table_shape};
use crate::nn::ShardedEmbeddings;
use crate::parameters::Parameters;
use std::ops::Range;

/// A tensor of a file, with those parts of it that are here: their numbers, or where to find them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedTensor<V> {
    pub name: String,
    pub shape: Vec<u64>,
    /// Whether every rank has all of it, and not its own shards.
    pub replicated: bool,
    pub parts: Vec<(Block, V)>,
}

/// Some rows and columns of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl<V> NamedTensor<V> {
    /// A tensor that is here as a whole.
    pub fn whole(name: impl Into<String>, shape: Vec<u64>, values: V) -> Self {
        let block = Block { rows: 0..shape.first().map_or(1, |&n| n as usize), columns: 0..width(&shape) };
        NamedTensor { name: name.into(), shape, replicated: true, parts: vec![(block, values)] }
    }

    /// The same parts of a tensor of another name.
    pub fn called<'a, W>(&'a self, name: String, mut values: impl FnMut(&'a V) -> W) -> NamedTensor<W> {
        let parts = self.parts.iter().map(|(block, v)| (block.clone(), values(v))).collect();
        NamedTensor { name, shape: self.shape.clone(), replicated: self.replicated, parts }
    }

    /// The same parts, with what `values` makes of each.
    pub fn map<'a, W>(&'a self, values: impl FnMut(&'a V) -> W) -> NamedTensor<W> {
        self.called(self.name.clone(), values)
    }

    /// The same rows of a tensor that has one number for each.
    pub fn of_rows(mut self) -> Self {
        self.shape.truncate(1);
        self.parts.iter_mut().for_each(|(block, _)| block.columns = 0..1);
        self
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        width(&self.shape)
    }

    /// Numbers of all rows.
    pub fn numbers(&self) -> usize {
        self.shape.iter().product::<u64>() as usize
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> u64 {
        (size_of::<f32>() * self.numbers()) as u64
    }

    /// Whether all of it is here.
    pub fn is_whole(&self) -> bool {
        self.parts.iter().map(|(block, _)| block.rows.len() * block.columns.len()).sum::<usize>() == self.numbers()
    }
}

fn width(shape: &[u64]) -> usize {
    shape.iter().skip(1).product::<u64>() as usize
}

/// The parameters as tensors of a file: tables, then dense ones. Of a sharded model these are all tables, whole, and what
/// is here are this rank's shards. A part says which parameter it is, among this process's tables, then its dense ones.
pub(crate) fn parameters(params: &Parameters, shards: Option<&ShardedEmbeddings>) -> Vec<NamedTensor<usize>> {
    let mut tensors = match shards {
        None => whole_tables(params),
        Some(shards) => sharded_tables(shards),
    };
    let first = params.tables().len();
    let dense = params.dense().iter().enumerate();
    tensors.extend(dense.map(|(i, p)| NamedTensor::whole(p.name(), dense_shape(p), first + i)));
    tensors
}

fn whole_tables(params: &Parameters) -> Vec<NamedTensor<usize>> {
    let tables = params.tables().iter().enumerate();
    tables.map(|(t, table)| NamedTensor::whole(table.name(), table_shape(table), t)).collect()
}

fn sharded_tables(shards: &ShardedEmbeddings) -> Vec<NamedTensor<usize>> {
    let tensor = |(t, (name, [rows, dim])): (usize, (String, [usize; 2]))| NamedTensor {
        name,
        shape: vec![rows as u64, dim as u64],
        replicated: shards.placement().is_replicated(t),
        parts: Vec::new(),
    };
    let mut tensors: Vec<_> = shards.whole_tables().enumerate().map(tensor).collect();
    for (id, shard) in shards.own() {
        let block = Block { rows: shard.rows.clone(), columns: shard.columns.clone() };
        tensors[shard.table].parts.push((block, id.0));
    }
    tensors
}

/// The numbers of parameter `i`, among the tables, then the dense ones.
pub(crate) fn values(params: &Parameters, i: usize) -> &[f32] {
    match params.tables().get(i) {
        Some(table) => table.values(),
        None => params.dense()[i - params.tables().len()].value().as_slice(),
    }
}

/// The parameters as tensors, with their numbers.
pub(crate) fn tensors<'a>(params: &'a Parameters, shards: Option<&ShardedEmbeddings>) -> Vec<NamedTensor<&'a [f32]>> {
    parameters(params, shards).iter().map(|tensor| tensor.map(|&i| values(params, i))).collect()
}
