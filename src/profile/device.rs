//! Calls that a device works on later, and by whose clock their times are.

use super::Profiled;
use super::trace::{Recorder, Span, Who};
use crate::backend::DeviceSpan;
use crate::tensor::Shape;
use std::collections::HashMap;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Calls that wait for their times at most, where nobody ends a step.
const MOST_WAITING: usize = 1024;

/// A call that was written down.
#[derive(Debug)]
struct Call {
    number: u64,
    operator: &'static str,
    layer: Option<[usize; 3]>,
    /// When it began and ended here, which is what there is of one that the device had nothing to do for.
    start: Instant,
    time: Duration,
    shapes: Vec<(&'static str, Shape)>,
    thread: Thread,
    phase: (u64, &'static str),
}

/// All of them since the last look at the device's clock.
#[derive(Debug)]
pub(super) struct Waiting {
    calls: Vec<Call>,
    /// The number of the next.
    next: u64,
    phase: (u64, &'static str),
    zero: Instant,
    /// From the device's zero to this one, in nanoseconds.
    offset: Option<i128>,
    /// When the last call ended: the next did not begin before.
    end: Duration,
}

impl Waiting {
    pub fn new(zero: Instant) -> Self {
        Waiting { calls: Vec::new(), next: 0, phase: (0, ""), zero, offset: None, end: Duration::ZERO }
    }

    /// The number of a call that begins.
    pub fn begin(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The last one that began has ended.
    pub fn end(&mut self, operator: &'static str, layer: Option<[usize; 3]>, span: &Span<'_>) {
        let thread = thread::current();
        let (start, time, shapes) = (span.start, span.time, span.shapes().to_vec());
        self.calls.push(Call { number: self.next, operator, layer, start, time, shapes, thread, phase: self.phase });
    }

    pub fn is_full(&self) -> bool {
        self.calls.len() >= MOST_WAITING
    }

    pub fn phase(&mut self, name: &'static str) {
        self.phase = (self.phase.0 + 1, name);
    }

    /// When the device worked on each call, by the clock here: its last work ended when `now` was.
    fn by_call(&mut self, spans: &[DeviceSpan], now: Instant) -> HashMap<u64, (Duration, Duration)> {
        let nanos = |duration: Duration| duration.as_nanos() as i128;
        let Some(last) = spans.last() else { return HashMap::new() };
        let now = nanos(now.saturating_duration_since(self.zero));
        let offset = *self.offset.get_or_insert(now - nanos(last.start + last.time));
        let mut all = HashMap::new();
        for span in spans {
            let start = Duration::from_nanos(u64::try_from(nanos(span.start) + offset).unwrap_or(0));
            all.entry(span.call).or_insert((start, Duration::ZERO)).1 += span.time;
        }
        all
    }
}

impl Profiled {
    /// Gives the calls that were written down their times.
    pub(super) fn settle(&self) {
        let Some(waiting) = &self.waiting else { return };
        let (spans, now) = (self.inner.take_spans(), Instant::now());
        let mut waiting = super::lock(waiting);
        let of_device = waiting.by_call(&spans, now);
        let mut recorder = self.recorder.as_ref().map(super::lock);
        let device = self.inner.describe();
        let mut phase: Option<((u64, &'static str), Duration)> = None;
        let end_phase = |recorder: &mut Recorder, phase: Option<((u64, &'static str), Duration)>, end: Duration| {
            if let Some(((_, name), start)) = phase.filter(|((number, _), _)| *number > 0) {
                recorder.push(name, true, (start, end - start), &[], Who::Device(&device));
            }
        };
        for call in std::mem::take(&mut waiting.calls) {
            let (start, time, who) = match of_device.get(&call.number) {
                Some(&(start, time)) => (start.max(waiting.end), time, Who::Device(&device)),
                // It may have waited for the device: that is part of what it took.
                None => {
                    let start = call.start.saturating_duration_since(waiting.zero);
                    (start.max(waiting.end), call.time, Who::Thread(&call.thread))
                }
            };
            if let Some(recorder) = &mut recorder {
                if phase.is_none_or(|(of, _)| of != call.phase) {
                    end_phase(recorder, phase, waiting.end);
                    phase = Some((call.phase, start));
                }
                recorder.push(call.operator, false, (start, time), &call.shapes, who);
            }
            waiting.end = start + time;
            let mut entries = self.entries();
            if let Some(entry) = entries.iter_mut().find(|e| (e.operator, e.layer) == (call.operator, call.layer)) {
                entry.time += time;
            }
        }
        if let Some(recorder) = &mut recorder {
            end_phase(recorder, phase, waiting.end);
        }
    }
}
