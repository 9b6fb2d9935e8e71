//! Ranks that are threads of one process.

use super::{Parts, Transport};
use crate::error::{Error, Result};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A rank among threads: see [`threads`].
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    to: Vec<SyncSender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

/// A group of `size` ranks, one for each thread that is to take part. For tests, for learning, and for machines of
/// several NUMA nodes.
///
/// # Panics
/// If `size` is 0.
pub fn threads(size: usize) -> Vec<Threads> {
    assert!(size > 0, "threads: a group of no rank");
    let mut ranks: Vec<_> = (0..size).map(|rank| Threads { rank, to: Vec::new(), from: Vec::new() }).collect();
    for from in 0..size {
        for to in 0..size {
            // One message may wait: a rank can send to all before it receives.
            let (sender, receiver) = sync_channel(1);
            ranks[from].to.push(sender);
            ranks[to].from.push(receiver);
        }
    }
    ranks
}

impl Transport for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn all_to_all(&mut self, send: &Parts, receive: &mut Parts) -> Result<()> {
        assert_eq!(send.len(), self.size(), "all_to_all: parts and ranks");
        let ended = |rank: usize| Error::Rank { rank, message: "has ended".into() };
        for (rank, to) in self.to.iter().enumerate() {
            to.send(send.part(rank).to_vec()).map_err(|_| ended(rank))?;
        }
        receive.clear();
        for (rank, from) in self.from.iter().enumerate() {
            receive.extend(&from.recv().map_err(|_| ended(rank))?);
            receive.end();
        }
        Ok(())
    }
}
