//! Where the time of a step goes: a backend that has another do the work, and takes the time. It adds up the calls of
//! each operation, and on request keeps the first ones as a [`Trace`], with the phases of the step around them.
//!
//! ```
//! use dlrm::backend::{Activation, Backend, Cpu};
//! use dlrm::profile::Profiled;
//! use dlrm::{Parameters, Tape, Tensor, ops};
//! use std::sync::Arc;
//!
//! let backend = Arc::new(Profiled::new(Arc::new(Cpu::new(1))));
//! let mut params = Parameters::new(backend.clone());
//! let weight = params.add_dense("w", Tensor::zeros(&[3, 4]));
//! backend.take(); // what it took to set up
//! let mut tape = Tape::new(backend.clone());
//! let x = tape.input(&[2, 4], &[1.0; 8]);
//! ops::linear(&mut tape, &params, x, weight, None, Activation::None);
//! let [linear] = &backend.take()[..] else { panic!("one operation") };
//! assert_eq!((linear.operator, linear.layer, linear.cost.flops), ("linear", Some([2, 3, 4]), 2 * 2 * 3 * 4));
//! ```

mod backend;
mod cost;
mod device;
mod names;
mod trace;

pub use names::reference_operators;
pub use trace::{Event, Trace};

use crate::backend::Backend;
use crate::roofline::{Cost, Roofline};
use device::Waiting;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trace::{Recorder, Span};

/// A [`Backend`] that passes every call on to another, and writes down how long it took and what
/// work it was: the profile of paper section 5.2 (figure 6).
///
/// Nothing else changes, no bit of the results either; the clock adds a tenth of a microsecond a
/// call.
///
/// Of a device that works after a call has returned, the times are those of [its own clock](Backend::begin_timing), and
/// the end of each step waits for them; a call that the device had nothing to do for has the time that it took here. If it
/// has no clock, the times are those of writing calls down: whoever shows them asks before.
#[derive(Debug)]
pub struct Profiled {
    inner: Arc<dyn Backend>,
    entries: Mutex<Vec<Entry>>,
    recorder: Option<Mutex<Recorder>>,
    /// Calls of a device, whose times come later.
    waiting: Option<Mutex<Waiting>>,
}

/// All calls of one operation, for one layer if it belongs to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The operation, as the method of [`Backend`] is called.
    pub operator: &'static str,
    /// M × N × K of a layer's products; layers of the same shape share an entry.
    pub layer: Option<[usize; 3]>,
    /// How often it was called.
    pub calls: u64,
    /// How long the calls took in all.
    pub time: Duration,
    /// Their work in all, as the shapes tell it.
    pub cost: Cost,
}

impl Entry {
    /// The least time for all calls, in milliseconds: see [`Roofline::bound_ms`], which is of one.
    pub fn bound_ms(&self, machine: &Roofline) -> f64 {
        let calls = self.calls.max(1);
        machine.bound_ms(&self.cost.share(calls)) * calls as f64
    }
}

impl Profiled {
    /// A profile of `inner`, with no entry yet.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        let on_device = inner.begin_timing().unwrap_or(false);
        let waiting = on_device.then(|| Mutex::new(Waiting::new(Instant::now())));
        Profiled { inner, entries: Mutex::default(), recorder: None, waiting }
    }

    /// The same with a [`Trace`] of the first calls, for which each call takes another half a microsecond.
    pub fn with_trace(inner: Arc<dyn Backend>) -> Self {
        let zero = Instant::now();
        let mut profiled = Self::new(inner);
        profiled.waiting.iter_mut().for_each(|waiting| *waiting = Mutex::new(Waiting::new(zero)));
        Profiled { recorder: Some(Mutex::new(Recorder::new(zero))), ..profiled }
    }

    /// The entries since the last time, in the order of their first calls. Taken after each step,
    /// they are that step's.
    pub fn take(&self) -> Vec<Entry> {
        self.settle();
        std::mem::take(&mut self.entries())
    }

    /// The calls since the last time, one by one; none without a [trace](Self::with_trace).
    pub fn take_trace(&self) -> Trace {
        self.settle();
        self.recorder.as_ref().map_or(Trace::default(), |recorder| lock(recorder).take())
    }

    fn begin(&self, phase: &'static str) {
        if let Some(waiting) = &self.waiting {
            if lock(waiting).is_full() {
                self.settle();
            }
            lock(waiting).phase(phase);
        } else if let Some(recorder) = &self.recorder {
            lock(recorder).begin(phase);
        }
    }

    /// Has `call` done, and takes the time.
    fn timed<'a>(&self, call: impl FnOnce()) -> Span<'a> {
        let Some(waiting) = &self.waiting else { return Span::of(call) };
        let number = lock(waiting).begin();
        self.inner.mark(Some(number));
        let span = Span::of(call);
        self.inner.mark(None);
        span
    }

    fn add(&self, operator: &'static str, layer: Option<[usize; 3]>, span: Span<'_>, cost: Cost) {
        let mut time = span.time;
        if let Some(waiting) = &self.waiting {
            lock(waiting).end(operator, layer, &span);
            time = Duration::ZERO;
        } else if let Some(recorder) = &self.recorder {
            lock(recorder).call(operator, &span);
        }
        add(&mut self.entries(), Entry { operator, layer, calls: 1, time, cost });
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.entries)
    }
}

/// Whoever panicked with the lock in hand left whole entries behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds `entry` to the one of its kind.
fn add(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter_mut().find(|e| (e.operator, e.layer) == (entry.operator, entry.layer)) {
        None => entries.push(entry),
        Some(same) => {
            same.calls += entry.calls;
            same.time += entry.time;
            same.cost += entry.cost;
        }
    }
}

/// What one step does, from the entries of several: of each operation the median time, a step in
/// which it did not occur counting as none, and the mean calls and work, rounded down.
pub fn typical_step(steps: &[Vec<Entry>]) -> Vec<Entry> {
    let mut all = Vec::new();
    steps.iter().flatten().for_each(|entry| add(&mut all, entry.clone()));
    for entry in &mut all {
        let same = |e: &&Entry| (e.operator, e.layer) == (entry.operator, entry.layer);
        let time = |step: &Vec<Entry>| step.iter().find(same).map_or(Duration::ZERO, |e| e.time);
        let mut times: Vec<Duration> = steps.iter().map(time).collect();
        times.sort();
        entry.time = times[times.len() / 2];
        entry.calls /= steps.len() as u64;
        entry.cost = entry.cost.share(steps.len() as u64);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roofline::Rows;
    use crate::roofline::tests::machine;

    #[test]
    fn what_one_call_streams_may_stay_in_the_cache() {
        let machine = machine();
        let streams = |calls, bytes| {
            let cost = Cost { streamed: bytes, ..Cost::default() };
            Entry { operator: "pack", layer: None, calls, time: Duration::ZERO, cost }.bound_ms(&machine)
        };
        let cache = machine.cache_bytes;
        assert_eq!(streams(2, 2 * cache), 0.0);
        assert!((streams(2, 4 * cache) - 4.0 * cache as f64 / 40e6).abs() < 1e-9);
        assert_eq!(streams(0, 0), 0.0);
    }

    #[test]
    fn a_typical_step_has_median_times_and_mean_work() {
        let entry = |operator, calls, ms, flops| Entry {
            operator,
            layer: None,
            calls,
            time: Duration::from_millis(ms),
            cost: Cost { flops, streamed: 7, rows_read: Rows::new(3, 4), rows_updated: Rows::default() },
        };
        let steps = [
            vec![entry("loss", 2, 5, 10), entry("pack", 1, 9, 3)],
            vec![entry("pack", 1, 1, 3), entry("loss", 2, 90, 14)],
            vec![entry("loss", 2, 6, 12)],
        ];
        let [loss, pack] = &typical_step(&steps)[..] else { panic!("two operations") };
        assert_eq!(*loss, entry("loss", 2, 6, 12));
        let thirds = Cost { flops: 2, streamed: 4, rows_read: Rows { count: 2, bytes: 32 }, ..Cost::default() };
        assert_eq!(*pack, Entry { calls: 0, time: Duration::from_millis(1), cost: thirds, ..entry("pack", 0, 0, 0) });
        assert_eq!(typical_step(&[]), []);
    }
}
