//! The operations of a group of ranks.

use super::parts::numbers as numbers_of;
use super::worker::{Kind, Ledger, Pending, Traffic, Worker, outgoing};
use super::{Parts, Transport};
use crate::error::Result;
use std::sync::PoisonError;

/// A rank of a group, with the exchanges it takes part in.
///
/// Every rank starts the same exchanges in the same order, whether it waits for each or not.
#[derive(Debug)]
pub struct Communicator {
    rank: usize,
    size: usize,
    worker: Worker,
}

impl Communicator {
    /// A rank that exchanges by `transport`, in a thread of its own.
    ///
    /// # Panics
    /// If the thread cannot be started.
    pub fn new(transport: impl Transport + Send) -> Self {
        Self::start(move || Ok(transport)).unwrap_or_else(|e| panic!("Communicator: {e}"))
    }

    /// The same with a transport that must be made in the thread that uses it.
    ///
    /// # Errors
    /// Those of `make`; [`Error::Config`](crate::Error::Config) if the thread cannot be started.
    pub fn start<T: Transport>(make: impl FnOnce() -> Result<T> + Send + 'static) -> Result<Self> {
        let (worker, [rank, size]) = Worker::start_with(make)?;
        Ok(Communicator { rank, size, worker })
    }

    /// Does what was started, and leaves the group in good order. A communicator that goes without it does not wait for
    /// anything: where a rank has failed, the others may never answer.
    pub fn finish(self) {
        self.worker.finish();
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many ranks there are, `N`.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The samples of a batch of `samples` that are rank `r`'s: `N` runs that follow one another, and differ by one at
    /// most.
    pub fn share(&self, samples: usize, r: usize) -> std::ops::Range<usize> {
        share(samples, self.size, r)
    }

    /// What each kind of exchange moved and took so far.
    pub fn traffic(&self) -> Vec<(&'static str, Traffic)> {
        let ledger: &Ledger = &self.worker.ledger;
        ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The personalised all-to-all: part `r` of `send` to rank `r`; what came from each rank. `kind` is what
    /// [`traffic`](Self::traffic) calls it.
    pub fn start_all_to_all(&self, kind: Kind, send: Parts) -> Pending<Parts> {
        self.worker.start(kind, move |transport| {
            let mut received = Parts::default();
            let result = transport.all_to_all(&send, &mut received);
            (result.map(|()| received), outgoing(&send, transport.rank()))
        })
    }

    /// The same, and waits for it: the butterfly shuffle of paper section 3, figure 2.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    pub fn all_to_all(&self, kind: Kind, send: Parts) -> Result<Parts> {
        self.start_all_to_all(kind, send).wait()
    }

    /// The sum of everybody's `numbers`, number by number, added in the order of the ranks: the same bits on each.
    pub fn start_all_reduce(&self, mut numbers: Vec<f32>) -> Pending<Vec<f32>> {
        self.worker.start("all_reduce", move |transport| match all_reduce(transport, &mut numbers) {
            Ok(bytes) => (Ok(numbers), bytes),
            Err(error) => (Err(error), 0),
        })
    }

    /// The same, in place.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    pub fn all_reduce(&self, numbers: &mut [f32]) -> Result<()> {
        let sums = self.start_all_reduce(numbers.to_vec()).wait()?;
        numbers.copy_from_slice(&sums);
        Ok(())
    }

    /// The bytes of rank `root`, on every rank.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    pub fn broadcast(&self, root: usize, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut send = Parts::default();
        for _ in 0..self.size {
            send.extend(if self.rank == root { bytes } else { &[] });
            send.end();
        }
        Ok(self.all_to_all("broadcast", send)?.part(root).to_vec())
    }

    /// What each rank has to say, on every rank, in their order.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    pub fn all_gather(&self, bytes: &[u8]) -> Result<Parts> {
        let mut send = Parts::default();
        for _ in 0..self.size {
            send.extend(bytes);
            send.end();
        }
        self.all_to_all("all_gather", send)
    }

    /// Waits until every rank is here.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) if a rank has ended.
    pub fn barrier(&self) -> Result<()> {
        self.all_gather(&[]).map(drop)
    }
}

/// Run `r` of `n` items in `size` runs.
pub(crate) fn share(n: usize, size: usize, r: usize) -> std::ops::Range<usize> {
    n * r / size..n * (r + 1) / size
}

/// Sums in the order of the ranks, each rank those of its share; returns the bytes that went to others.
fn all_reduce(transport: &mut dyn Transport, numbers: &mut [f32]) -> Result<u64> {
    let (rank, size) = (transport.rank(), transport.size());
    let (mut send, mut received) = (Parts::default(), Parts::default());
    for r in 0..size {
        send.extend(&numbers[share(numbers.len(), size, r)]);
        send.end();
    }
    transport.all_to_all(&send, &mut received)?;
    let mut bytes = outgoing(&send, rank);
    let own = share(numbers.len(), size, rank);
    let mine = &mut numbers[own];
    for r in 0..size {
        let terms = numbers_of(received.part(r));
        match r {
            0 => mine.iter_mut().zip(terms).for_each(|(sum, term)| *sum = term),
            _ => mine.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term),
        }
    }
    send.clear();
    for _ in 0..size {
        send.extend(mine);
        send.end();
    }
    transport.all_to_all(&send, &mut received)?;
    bytes += outgoing(&send, rank);
    let all = numbers_of(received.all());
    numbers.iter_mut().zip(all).for_each(|(number, sum)| *number = sum);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads;
    use crate::error::Error;

    /// Runs `f` on each of `size` ranks, and returns what each made.
    fn on_ranks<T: Send>(size: usize, f: impl Fn(Communicator) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let run = |transport| scope.spawn(|| f(Communicator::new(transport)));
            let ranks: Vec<_> = threads(size).into_iter().map(run).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn everybody_gets_what_was_sent_to_them() {
        for size in [1, 2, 3, 4, 8] {
            on_ranks(size, |comm| {
                for round in 0..3u32 {
                    let mut send = Parts::default();
                    for to in 0..size {
                        // As many numbers as the ranks and the round say, some none.
                        send.extend(&vec![
                            [comm.rank() as u32, to as u32, round];
                            (comm.rank() * to + round as usize) % 4
                        ]);
                        send.end();
                    }
                    let received = comm.all_to_all("test", send).unwrap();
                    for from in 0..size {
                        let expected =
                            vec![[from as u32, comm.rank() as u32, round]; (from * comm.rank() + round as usize) % 4];
                        assert_eq!(received.part(from), bytemuck::cast_slice::<_, u8>(&expected));
                    }
                }
            });
        }
    }

    #[test]
    fn sums_are_added_in_the_order_of_ranks() {
        for size in [1, 2, 3, 4, 8] {
            for len in [0, 1, 2, 7, 100] {
                let number = |rank: usize, i: usize| (1.0 + rank as f32) / (3.0 + i as f32);
                let sums = on_ranks(size, |comm| {
                    let mut numbers: Vec<f32> = (0..len).map(|i| number(comm.rank(), i)).collect();
                    comm.all_reduce(&mut numbers).unwrap();
                    numbers
                });
                let expected: Vec<f32> =
                    (0..len).map(|i| (1..size).fold(number(0, i), |sum, rank| sum + number(rank, i))).collect();
                sums.iter().for_each(|sums| assert_eq!(sums, &expected));
            }
        }
    }

    #[test]
    fn exchanges_go_on_in_their_order() {
        on_ranks(3, |comm| {
            let pending: Vec<_> = (0..5).map(|i| comm.start_all_reduce(vec![i as f32; 4])).collect();
            for (i, pending) in pending.into_iter().enumerate().rev() {
                assert_eq!(pending.wait().unwrap(), [3.0 * i as f32; 4]);
            }
            let all = comm.traffic();
            let [(kind, traffic)] = &all[..] else { panic!("one kind") };
            // Four numbers among three ranks: one, one and two; each sends what is others', then its own to two.
            let mine = share(4, 3, comm.rank()).len();
            assert_eq!(
                (*kind, traffic.exchanges, traffic.bytes),
                ("all_reduce", 5, 5 * 4 * (4 - mine + 2 * mine) as u64)
            );
        });
    }

    #[test]
    fn what_was_waited_for_has_been_counted() {
        on_ranks(2, |comm| {
            for exchanges in 1..=200 {
                comm.all_reduce(&mut [1.0]).unwrap();
                assert_eq!(comm.traffic()[0].1.exchanges, exchanges);
            }
        });
    }

    #[test]
    fn one_speaks_to_all_and_all_to_all() {
        on_ranks(3, |comm| {
            let said = comm.broadcast(1, format!("from {}", comm.rank()).as_bytes()).unwrap();
            assert_eq!(said, b"from 1");
            let all = comm.all_gather(&[comm.rank() as u8; 2]).unwrap();
            assert_eq!(all.all(), [0, 0, 1, 1, 2, 2]);
            comm.barrier().unwrap();
        });
    }

    #[test]
    fn nobody_waits_for_a_rank_that_has_ended() {
        on_ranks(3, |comm| {
            if comm.rank() == 2 {
                return;
            }
            let error = comm.barrier().and_then(|()| comm.barrier()).unwrap_err();
            assert!(matches!(error, Error::Rank { .. }), "{error}");
        });
    }

    #[test]
    fn shares_are_even_and_whole() {
        for (n, size) in [(0, 3), (1, 3), (7, 3), (128, 8), (2, 8)] {
            let shares: Vec<_> = (0..size).map(|r| share(n, size, r)).collect();
            assert_eq!((shares[0].start, shares[size - 1].end), (0, n));
            assert!(shares.windows(2).all(|w| w[0].end == w[1].start));
            assert!(shares.iter().all(|s| s.len() == n / size || s.len() == n / size + 1));
        }
    }
}
