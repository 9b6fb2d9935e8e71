//! Batches made ahead of time.

use super::{BatchSource, Position};
use crate::batch::Batch;
use crate::error::Result;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The batches of another source, bit by bit, made ahead on a thread of their own.
///
/// Batches go back and forth between the two threads: once all have grown to their size nothing is allocated.
#[derive(Debug)]
pub struct Prefetch {
    tasks: SyncSender<Task>,
    made: Receiver<Made>,
    /// Batches that nobody fills at the moment.
    idle: Vec<Batch>,
    /// How many there are beside the caller's own.
    ahead: usize,
    rows: usize,
    position: Position,
    waited: Duration,
}

/// What the reading thread is to do.
enum Task {
    Fill(Batch),
    Seek(Position),
}

/// What it has done.
enum Made {
    /// A batch, where the source stood afterwards, and what it said.
    Batch(Batch, Position, Result<bool>),
    Sought(Result<()>),
}

/// Carries out tasks until there are no more.
fn serve(mut source: impl BatchSource, tasks: &Receiver<Task>, made: &SyncSender<Made>) {
    for task in tasks {
        let done = match task {
            Task::Fill(mut batch) => {
                let more = source.next_batch(&mut batch);
                Made::Batch(batch, source.position(), more)
            }
            Task::Seek(position) => Made::Sought(source.seek(position)),
        };
        if made.send(done).is_err() {
            return;
        }
    }
}

impl Prefetch {
    /// Calls `body` with a source that has up to `ahead` batches of `source` ready, and returns what it
    /// returns. The reading thread ends with it.
    ///
    /// # Panics
    /// If `ahead` is 0; if `body` or `source` does.
    pub fn run<T>(source: impl BatchSource + Send, ahead: usize, body: impl FnOnce(&mut Prefetch) -> T) -> T {
        assert!(ahead > 0, "Prefetch: no batch ahead");
        // Room for all that can be under way, so that no side ever waits to send.
        let ((tasks, to_do), (done, made)) = (sync_channel(ahead + 1), sync_channel(ahead + 1));
        let (rows, position) = (source.rows(), source.position());
        let idle = vec![Batch::default(); ahead];
        let mut prefetch = Prefetch { tasks, made, idle, ahead, rows, position, waited: Duration::ZERO };
        std::thread::scope(|scope| {
            scope.spawn(move || serve(source, &to_do, &done));
            let result = body(&mut prefetch);
            drop(prefetch); // hangs up: the thread has no more tasks
            result
        })
    }

    fn give(&self, task: Task) {
        self.tasks.send(task).expect("the reading thread lives");
    }

    fn receive(&self) -> Made {
        self.made.recv().expect("the reading thread lives")
    }

    /// Has the source go on from `position`, while no batch is under way.
    fn send_to(&self, position: Position) -> Result<()> {
        self.give(Task::Seek(position));
        let Made::Sought(sought) = self.receive() else { unreachable!("no batch is under way") };
        sought
    }

    /// Has every batch filled that nobody fills.
    fn fill_idle(&mut self) {
        while let Some(batch) = self.idle.pop() {
            self.give(Task::Fill(batch));
        }
    }
}

impl BatchSource for Prefetch {
    fn rows(&self) -> usize {
        self.rows
    }

    fn position(&self) -> Position {
        self.position
    }

    fn seek(&mut self, position: Position) -> Result<()> {
        // What was made ahead is of no use.
        while self.idle.len() < self.ahead {
            if let Made::Batch(batch, ..) = self.receive() {
                self.idle.push(batch);
            }
        }
        // Where it cannot go it stays where its caller is, not where it had read to.
        self.send_to(position).or_else(|error| self.send_to(self.position).and(Err(error)))?;
        self.position = position;
        self.fill_idle();
        Ok(())
    }

    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        self.fill_idle();
        let start = Instant::now();
        let Made::Batch(filled, position, more) = self.receive() else { unreachable!("batches are under way") };
        self.waited += start.elapsed();
        self.position = position;
        self.give(Task::Fill(std::mem::replace(batch, filled)));
        more
    }

    fn waited(&self) -> Duration {
        self.waited
    }
}

#[cfg(test)]
mod tests;
