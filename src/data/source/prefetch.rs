//! Batches made ahead of time.

use super::mailbox::Mailbox;
use super::{BatchSource, Position};
use crate::batch::Batch;
use crate::error::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The batches of another source, bit by bit, made ahead on a thread of their own.
///
/// Batches go back and forth between the two threads: once all have grown to their size nothing is allocated.
#[derive(Debug)]
pub struct Prefetch {
    link: Arc<Link>,
    /// Batches that nobody fills at the moment.
    idle: Vec<Batch>,
    /// How many there are beside the caller's own.
    ahead: usize,
    rows: usize,
    position: Position,
    waited: Duration,
}

/// Both ways between the two threads.
#[derive(Debug)]
struct Link {
    tasks: Mailbox<Task>,
    made: Mailbox<Made>,
}

/// What the reading thread is to do.
#[derive(Debug)]
enum Task {
    Fill(Batch),
    Seek(Position),
}

/// What it has done.
#[derive(Debug)]
enum Made {
    /// A batch, where the source stood afterwards, and what it said.
    Batch(Batch, Position, Result<bool>),
    Sought(Result<()>),
}

/// The reading thread's end of the link. When it goes, even in a panic, nobody waits for it any more.
struct Reader(Arc<Link>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.made.close();
    }
}

impl Reader {
    /// Carries out tasks until there are no more.
    fn serve(&self, mut source: impl BatchSource) {
        while let Some(task) = self.0.tasks.receive() {
            self.0.made.send(match task {
                Task::Fill(mut batch) => {
                    let more = source.next_batch(&mut batch);
                    Made::Batch(batch, source.position(), more)
                }
                Task::Seek(position) => Made::Sought(source.seek(position)),
            });
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.link.tasks.close();
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
        let link = Arc::new(Link { tasks: Mailbox::new(ahead + 1), made: Mailbox::new(ahead + 1) });
        let reader = Reader(link.clone());
        let (rows, position) = (source.rows(), source.position());
        let idle = vec![Batch::default(); ahead];
        let mut prefetch = Prefetch { link, idle, ahead, rows, position, waited: Duration::ZERO };
        std::thread::scope(|scope| {
            scope.spawn(move || reader.serve(source));
            let result = body(&mut prefetch);
            drop(prefetch); // the thread has no more tasks, and ends
            result
        })
    }

    fn give(&self, task: Task) {
        self.link.tasks.send(task);
    }

    fn receive(&self) -> Made {
        self.link.made.receive().expect("the reading thread lives")
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
