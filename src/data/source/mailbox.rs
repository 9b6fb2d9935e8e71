//! A queue between two threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

/// A queue that one thread fills and another empties, and that either may close.
///
/// The standard library's channels are that too, but a thread allocates when it has to wait there for the first
/// time, whenever that comes; here nothing is allocated after [`new`](Self::new).
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    letters: Mutex<Letters<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Letters<T> {
    queue: VecDeque<T>,
    open: bool,
}

impl<T> Mailbox<T> {
    /// Room for `capacity` letters.
    pub fn new(capacity: usize) -> Self {
        let letters = Letters { queue: VecDeque::with_capacity(capacity), open: true };
        Mailbox { letters: Mutex::new(letters), changed: Condvar::new() }
    }

    fn letters(&self) -> MutexGuard<'_, Letters<T>> {
        self.letters.lock().expect("nobody panics with the lock")
    }

    /// Puts a letter behind the others; returns whether anyone will read it.
    ///
    /// # Panics
    /// If there is no room: whoever sends knows how many are under way.
    pub fn send(&self, letter: T) -> bool {
        let mut letters = self.letters();
        let Letters { queue, open } = &mut *letters;
        let (open, room) = (*open, queue.len() < queue.capacity());
        if open && room {
            queue.push_back(letter);
        }
        drop(letters);
        self.changed.notify_one();
        assert!(room, "Mailbox: more letters than were said");
        open
    }

    /// Takes the first letter, when there is one; none if it was closed before that.
    pub fn receive(&self) -> Option<T> {
        let wait = |letters: &mut Letters<T>| letters.open && letters.queue.is_empty();
        let mut letters = self.changed.wait_while(self.letters(), wait).expect("nobody panics with the lock");
        letters.queue.pop_front()
    }

    /// No letter will come any more; those that are there can still be read.
    pub fn close(&self) {
        self.letters().open = false;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_order_and_to_the_end() {
        let mailbox = Mailbox::new(3);
        assert!([1, 2, 3].into_iter().all(|i| mailbox.send(i)));
        assert_eq!(mailbox.receive(), Some(1));
        mailbox.close();
        assert!(!mailbox.send(4));
        assert_eq!([2, 3].map(Some), [(); 2].map(|()| mailbox.receive()));
        assert_eq!(mailbox.receive(), None);
    }

    #[test]
    fn who_waits_is_woken() {
        let mailbox = Mailbox::new(1);
        std::thread::scope(|scope| {
            let sum = scope.spawn(|| std::iter::from_fn(|| mailbox.receive()).sum::<u32>());
            for i in 1..=100 {
                while mailbox.letters().queue.len() == 1 {
                    std::thread::yield_now();
                }
                mailbox.send(i);
            }
            mailbox.close();
            assert_eq!(sum.join().unwrap(), 5050);
        });
    }

    #[test]
    #[should_panic = "more letters than were said"]
    fn more_than_there_is_room_for_is_a_mistake() {
        let mailbox = Mailbox::new(1);
        let room = mailbox.letters().queue.capacity();
        for i in 0..=room {
            mailbox.send(i);
        }
    }
}
