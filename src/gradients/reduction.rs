//! Sums of gradients over ranks, while others are still being computed.

use super::Gradients;
use crate::comm::{Communicator, Pending};
use crate::error::Result;
use crate::parameters::DenseId;

/// Numbers of a bucket, 256 KiB: on a network of 100 Gb/s they take 20 µs, which is about what it takes to begin. Smaller
/// ones would wait for that, larger ones begin late.
pub(crate) const BUCKET: usize = 1 << 16;

/// Sums of gradients that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Reduction {
    /// Parameters that were told of in this step.
    told: Vec<DenseId>,
    /// What is not on its way yet: parameters since `told[from]`, and their numbers.
    from: usize,
    numbers: Vec<f32>,
    /// Sums, each of the next parameters in `told`.
    sums: Vec<Pending<Vec<f32>>>,
}

impl Reduction {
    /// Takes a gradient that is whole on this rank.
    pub fn add(&mut self, id: DenseId, grads: &Gradients, comm: &Communicator) {
        let Some(grad) = grads.dense(id) else { return };
        self.told.push(id);
        self.numbers.extend_from_slice(grad.as_slice());
        if self.numbers.len() >= BUCKET {
            self.send(comm);
        }
    }

    fn send(&mut self, comm: &Communicator) {
        if self.from < self.told.len() {
            self.sums.push(comm.start_all_reduce(std::mem::take(&mut self.numbers)));
            self.from = self.told.len();
        }
    }

    /// Sends what is left, of parameters that nobody told of too, and waits for all sums.
    pub fn finish(&mut self, grads: &mut Gradients, comm: &Communicator) -> Result<()> {
        let untold = |id: &DenseId| !self.told.contains(id);
        let rest: Vec<_> = grads.dense_ids().filter(untold).collect();
        rest.into_iter().for_each(|id| self.add(id, grads, comm));
        self.send(comm);
        let mut ids = self.told.drain(..);
        self.from = 0;
        for sums in self.sums.drain(..) {
            let sums = sums.wait()?;
            let mut left = &sums[..];
            while !left.is_empty() {
                let grad = &mut grads.dense[ids.next().expect("sums are of parameters").0].value;
                let (now, later) = left.split_at(grad.len());
                grad.copy_from_slice(now);
                left = later;
            }
        }
        Ok(())
    }
}
