//! Ids to the owners of tables, vectors back, gradients the same way again.

use super::placement::{Placement, Shard};
use crate::backend::Pooling;
use crate::comm::{Parts, numbers};
use crate::error::{Error, Result};
use crate::jagged::JaggedTensor;
use crate::tensor::Tensor;
use std::ops::Range;

/// The shards of one rank that have the same width: their vectors travel side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub width: usize,
    /// Whether their tables are cut between rows.
    pub cut: bool,
    pub shards: Vec<Shard>,
}

impl Group {
    /// How an owner pools: of a mean over rows that are with several ranks it does a sum, and the weights do the rest.
    pub fn pooling(&self, of_model: Pooling) -> Pooling {
        if self.cut { Pooling::Sum } else { of_model }
    }
}

/// The groups of `rank`: what nobody else has.
pub(super) fn groups(placement: &Placement, rank: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for shard in placement.of(rank).filter(|shard| !placement.is_replicated(shard.table)) {
        let (width, cut) = (shard.width(), placement.is_cut(shard.table));
        match groups.iter_mut().find(|g| (g.width, g.cut) == (width, cut)) {
            Some(group) => group.shards.push(shard.clone()),
            None => groups.push(Group { width, cut, shards: vec![shard.clone()] }),
        }
    }
    groups
}

/// The ids of this rank's samples for the shards of one other: samples; then for each shard how many ids, whether they
/// weigh something, the length of each bag, the ids as rows of the shard, and the bits of the weights.
///
/// Of a table that is cut between rows each owner gets the ids of its own rows. Mean pooling, which no owner could do
/// alone, is then a sum weighed by one over the whole bag's length.
pub(super) fn write_ids(lists: &[JaggedTensor], groups: &[Group], mean: bool, to: &mut Parts) {
    let samples = lists.first().map_or(0, JaggedTensor::num_bags);
    to.extend(&[samples as u32]);
    let mut bags = Bags::default();
    for group in groups {
        for shard in &group.shards {
            bags.fill(&lists[shard.table], &shard.rows, mean && group.cut);
            bags.write(to);
        }
    }
    to.end();
}

/// Those ids of a list that are in some rows.
#[derive(Default)]
struct Bags {
    lengths: Vec<u32>,
    ids: Vec<u32>,
    /// As many as ids, or none.
    weights: Vec<f32>,
}

impl Bags {
    fn fill(&mut self, list: &JaggedTensor, rows: &Range<usize>, mean: bool) {
        let Bags { lengths, ids, weights } = self;
        lengths.clear();
        ids.clear();
        weights.clear();
        let weighted = mean || list.weights().is_some();
        for bag in list.offsets().windows(2) {
            let (start, end, before) = (bag[0] as usize, bag[1] as usize, ids.len());
            let share = if mean { 1.0 / (end - start) as f32 } else { 1.0 };
            for i in (start..end).filter(|&i| rows.contains(&(list.values()[i] as usize))) {
                ids.push(list.values()[i] - rows.start as u32);
                if weighted {
                    weights.push(share * list.weights().map_or(1.0, |w| w[i]));
                }
            }
            lengths.push((ids.len() - before) as u32);
        }
    }

    fn write(&self, to: &mut Parts) {
        to.extend(&[self.ids.len() as u32, u32::from(!self.weights.is_empty())]);
        to.extend(&self.lengths);
        to.extend(&self.ids);
        to.extend(&self.weights);
    }
}

/// What [`write_ids`] of every rank sent for `groups`: samples of each rank, and for each shard the bags of all ranks,
/// one rank's after the other's.
pub(super) fn read_ids(received: &Parts, groups: &[Group]) -> Result<(Vec<usize>, Vec<Vec<JaggedTensor>>)> {
    let mut readers: Vec<Reader<'_>> =
        (0..received.len()).map(|r| Reader { rank: r, left: received.part(r) }).collect();
    let samples: Vec<usize> = readers.iter_mut().map(|r| Ok(r.next()? as usize)).collect::<Result<_>>()?;
    let mut lists = Vec::new();
    for group in groups {
        let shards = group.shards.iter().map(|_| merge(&mut readers, &samples));
        lists.push(shards.collect::<Result<_>>()?);
    }
    Ok((samples, lists))
}

/// The bags of one shard from all ranks.
fn merge(readers: &mut [Reader<'_>], samples: &[usize]) -> Result<JaggedTensor> {
    let (mut values, mut offsets, mut weights, mut any_weight) = (Vec::new(), vec![0], Vec::new(), false);
    for (reader, &samples) in readers.iter_mut().zip(samples) {
        let [ids, weighted] = [reader.next()? as usize, reader.next()? as usize];
        for _ in 0..samples {
            offsets.push(offsets[offsets.len() - 1] + reader.next()?);
        }
        for _ in 0..ids {
            values.push(reader.next()?);
        }
        any_weight |= weighted == 1;
        for _ in 0..ids {
            weights.push(if weighted == 1 { f32::from_bits(reader.next()?) } else { 1.0 });
        }
    }
    JaggedTensor::new(values, offsets, any_weight.then_some(weights))
}

/// Words of one rank.
struct Reader<'a> {
    rank: usize,
    left: &'a [u8],
}

impl Reader<'_> {
    fn next(&mut self) -> Result<u32> {
        let Some((word, left)) = self.left.split_first_chunk::<4>() else {
            return Err(Error::Rank { rank: self.rank, message: "sent fewer ids than it said".into() });
        };
        self.left = left;
        Ok(u32::from_ne_bytes(*word))
    }
}

/// The pooled vectors of each group, `B × shards × width` for all samples, to the ranks whose samples they are of.
pub(super) fn write_vectors(pooled: &[&Tensor], samples: &[usize]) -> Parts {
    let mut parts = Parts::default();
    let mut first = 0;
    for &samples in samples {
        for group in pooled {
            let per_sample = group.cols();
            parts.extend(&group.as_slice()[first * per_sample..][..samples * per_sample]);
        }
        parts.end();
        first += samples;
    }
    parts
}

/// What [`write_vectors`] of every rank sent, into `B × T × D`: parts of the same place are added, in the order of ranks.
pub(super) fn read_vectors(received: &Parts, groups: &[Vec<Group>], out: &mut Tensor) {
    let [samples, tables, dim] = [out.shape()[0], out.shape()[1], out.shape()[2]];
    let out = out.as_mut_slice();
    out.fill(0.0);
    for (rank, groups) in groups.iter().enumerate() {
        let mut numbers = numbers(received.part(rank));
        for group in groups {
            for b in 0..samples {
                for shard in &group.shards {
                    let to = &mut out[(b * tables + shard.table) * dim..][shard.columns.clone()];
                    to.iter_mut().zip(&mut numbers).for_each(|(to, v)| *to += v);
                }
            }
        }
    }
}

/// The gradients of `B × T × D` pooled vectors, to the owners of the tables.
pub(super) fn write_gradients(grad: &Tensor, groups: &[Vec<Group>]) -> Parts {
    let [samples, tables, dim] = [grad.shape()[0], grad.shape()[1], grad.shape()[2]];
    let mut parts = Parts::default();
    for groups in groups {
        for group in groups {
            for b in 0..samples {
                for shard in &group.shards {
                    parts.extend(&grad.as_slice()[(b * tables + shard.table) * dim..][shard.columns.clone()]);
                }
            }
        }
        parts.end();
    }
    parts
}

/// What [`write_gradients`] of every rank sent, into the gradients of each group's pooled vectors.
pub(super) fn read_gradients(received: &Parts, samples: &[usize], grads: &mut [&mut Tensor]) {
    let mut first = 0;
    for (rank, &samples) in samples.iter().enumerate() {
        let mut numbers = numbers(received.part(rank));
        for group in grads.iter_mut() {
            let per_sample = group.cols();
            let to = &mut group.as_mut_slice()[first * per_sample..][..samples * per_sample];
            to.iter_mut().zip(&mut numbers).for_each(|(to, v)| *to = v);
        }
        first += samples;
    }
}
