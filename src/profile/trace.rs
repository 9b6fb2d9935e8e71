//! The first calls one by one, in time.

use crate::tensor::Shape;
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

/// One call of an operation, or a phase of a step with the calls that lie in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The operation, as the method of [`Backend`](crate::backend::Backend) is called; or the phase.
    pub name: &'static str,
    /// Whether it is a phase.
    pub is_phase: bool,
    /// When it began, from when the profile was made.
    pub start: Duration,
    /// How long it took.
    pub time: Duration,
    /// The thread that called, or the device that worked: the number of its name in [`Trace::threads`].
    pub thread: usize,
    /// What it was called with: names of arrays and their shapes.
    pub shapes: Vec<(&'static str, Shape)>,
}

/// The first calls of a profile: calls of one thread follow one another, and a phase lasts from its beginning to the
/// end of the last call in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Calls and phases, each written down when it ended.
    pub events: Vec<Event>,
    /// Names of the threads that called, and of the device that worked, if it did.
    pub threads: Vec<String>,
    /// Calls and phases that came when [`MOST_EVENTS`](Self::MOST_EVENTS) had been written down.
    pub left_out: u64,
}

impl Trace {
    /// The bound of what is kept, some 10 MB: a step of Criteo's model has about 35 calls and phases.
    pub const MOST_EVENTS: usize = 50_000;
}

/// Who worked on a call.
#[derive(Clone, Copy)]
pub(super) enum Who<'a> {
    Thread(&'a Thread),
    Device(&'a str),
}

/// When a call began, how long it took, and what of.
pub(super) struct Span<'a> {
    pub start: Instant,
    pub time: Duration,
    shapes: &'a [(&'static str, Shape)],
}

impl<'a> Span<'a> {
    /// Runs `call` and takes the time.
    pub fn of(call: impl FnOnce()) -> Self {
        let start = Instant::now();
        call();
        Span { start, time: start.elapsed(), shapes: &[] }
    }

    pub fn shapes(&self) -> &[(&'static str, Shape)] {
        self.shapes
    }

    /// The same of arrays of some shapes.
    pub fn with(self, shapes: &'a [(&'static str, Shape)]) -> Self {
        Span { shapes, ..self }
    }
}

/// Writes a trace.
#[derive(Debug)]
pub(super) struct Recorder {
    zero: Instant,
    trace: Trace,
    /// Those of the trace's names; none is the device.
    threads: Vec<Option<ThreadId>>,
    phase: Option<Phase>,
}

/// A phase that is not over, with the end of the last call in it.
#[derive(Debug)]
struct Phase {
    name: &'static str,
    start: Instant,
    end: Instant,
}

impl Recorder {
    pub fn new(zero: Instant) -> Self {
        Recorder { zero, trace: Trace::default(), threads: Vec::new(), phase: None }
    }

    pub fn call(&mut self, name: &'static str, span: &Span<'_>) {
        if let Some(phase) = &mut self.phase {
            phase.end = span.start + span.time;
        }
        self.push_here(name, false, (span.start, span.time), span.shapes);
    }

    /// What comes from here on belongs to phase `name`; the one before is over.
    pub fn begin(&mut self, name: &'static str) {
        self.end();
        let now = Instant::now();
        self.phase = Some(Phase { name, start: now, end: now });
    }

    fn end(&mut self) {
        if let Some(Phase { name, start, end }) = self.phase.take() {
            self.push_here(name, true, (start, end - start), &[]);
        }
    }

    /// The trace until now; a new one begins, with the same zero.
    pub fn take(&mut self) -> Trace {
        self.end();
        let threads = self.trace.threads.clone();
        std::mem::replace(&mut self.trace, Trace { threads, ..Trace::default() })
    }

    /// Writes down what this thread did.
    fn push_here(
        &mut self,
        name: &'static str,
        is_phase: bool,
        (start, time): (Instant, Duration),
        shapes: &[(&'static str, Shape)],
    ) {
        let start = start.saturating_duration_since(self.zero);
        self.push(name, is_phase, (start, time), shapes, Who::Thread(&thread::current()));
    }

    /// Writes down what someone did; times are from zero.
    pub fn push(
        &mut self,
        name: &'static str,
        is_phase: bool,
        (start, time): (Duration, Duration),
        shapes: &[(&'static str, Shape)],
        who: Who<'_>,
    ) {
        if self.trace.events.len() == Trace::MOST_EVENTS {
            self.trace.left_out += 1;
            return;
        }
        let thread = self.thread(who);
        self.trace.events.push(Event { name, is_phase, start, time, thread, shapes: shapes.to_vec() });
    }

    fn thread(&mut self, who: Who<'_>) -> usize {
        let (id, name) = match who {
            Who::Thread(thread) => (Some(thread.id()), thread.name().unwrap_or("unnamed")),
            Who::Device(name) => (None, name),
        };
        self.threads.iter().position(|&known| known == id).unwrap_or_else(|| {
            self.threads.push(id);
            self.trace.threads.push(name.to_owned());
            self.threads.len() - 1
        })
    }
}
