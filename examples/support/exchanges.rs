//! What the ranks exchange in a step: how much, how long it takes, how long it takes at the least, and how much of that is
//! hidden behind arithmetic.

use super::columns::print_columns;
use dlrm::Result;
use dlrm::comm::{Communicator, Parts, Traffic};
use serde::Serialize;
use std::time::Duration;

/// One kind of exchange, in a step.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    pub kind: String,
    /// How often.
    pub exchanges: f64,
    /// Bytes to other ranks, from the rank that sends most.
    pub bytes: f64,
    /// From its beginning to its end, with the wait for the slowest rank: a mean over the ranks.
    pub ms: f64,
    /// The part of it that a rank did nothing else in.
    pub waited_ms: f64,
    /// What it takes to move so many bytes, evenly shared among the ranks, while nobody computes.
    pub bound_ms: f64,
    pub hidden_percent: f64,
}

/// Pauses of both sides of a probe, and probes: the median counts.
const PROBES: usize = 15;

/// The kind of a probe in the ledger.
const PROBE: &str = "probe";

/// What was moved so far; [`Exchanges::since`] tells what was moved in between.
pub struct Exchanges(Vec<(&'static str, Traffic)>);

impl Exchanges {
    /// Up to now, on this rank.
    pub fn now(comm: &Communicator) -> Result<Self> {
        // The last exchange is in the ledger when the next has ended.
        comm.barrier()?;
        Ok(Exchanges(comm.traffic()))
    }

    fn of(&self, kind: &str) -> Traffic {
        self.0.iter().find(|(k, _)| *k == kind).map_or_else(Traffic::default, |(_, traffic)| *traffic)
    }

    /// Those of `steps` steps since then, with bounds that are measured now. Every rank calls it.
    pub fn since(&self, comm: &Communicator, steps: usize) -> Result<Vec<Exchange>> {
        let mut all = Vec::new();
        let now = Exchanges::now(comm)?;
        // A barrier is no part of a step.
        for &(kind, after) in now.0.iter().filter(|(kind, _)| *kind != "all_gather") {
            let before = self.of(kind);
            if after.exchanges == before.exchanges {
                continue;
            }
            let a_step = |figure: f64| figure / steps as f64;
            let ms = |after: Duration, before: Duration| a_step(1e3 * (after - before).as_secs_f64());
            let exchanges = a_step((after.exchanges - before.exchanges) as f64);
            let [_, bytes] = mean_and_max(comm, a_step((after.bytes - before.bytes) as f64))?;
            let [time, _] = mean_and_max(comm, ms(after.time, before.time))?;
            let [waited, _] = mean_and_max(comm, ms(after.waited, before.waited))?;
            // An all-reduce is two all-to-alls.
            let all_to_alls = if kind == "all_reduce" { 2.0 * exchanges } else { exchanges };
            all.push(Exchange {
                kind: kind.replace('_', "-"),
                exchanges,
                bytes,
                ms: time,
                waited_ms: waited,
                bound_ms: all_to_alls * all_to_all_ms(comm, bytes / all_to_alls)?,
                hidden_percent: 100.0 * (1.0 - waited / time).max(0.0),
            });
        }
        Ok(all)
    }
}

/// Milliseconds of an all-to-all in which each rank sends `bytes` to the others, a part to each: a median. Every rank calls
/// it, and gets the same.
pub fn all_to_all_ms(comm: &Communicator, bytes: f64) -> Result<f64> {
    let part = vec![0u8; (bytes / (comm.size().max(2) - 1) as f64) as usize];
    let mut send = Parts::default();
    for rank in 0..comm.size() {
        send.extend(if rank == comm.rank() { &[] } else { &part[..] });
        send.end();
    }
    let mut times = Vec::new();
    for _ in 0..PROBES {
        let before = Exchanges::now(comm)?.of(PROBE);
        comm.all_to_all(PROBE, send.clone())?;
        times.push((Exchanges::now(comm)?.of(PROBE).time - before.time).as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(1e3 * mean_and_max(comm, times[PROBES / 2])?[0])
}

/// A figure of each rank: the mean and the largest.
fn mean_and_max(comm: &Communicator, figure: f64) -> Result<[f64; 2]> {
    let all = comm.all_gather(&figure.to_ne_bytes())?;
    let figures = all.all().as_chunks::<8>().0.iter().map(|&bytes| f64::from_ne_bytes(bytes));
    let (sum, max) = figures.fold((0.0, 0.0), |(sum, max), figure| (sum + figure, f64::max(max, figure)));
    Ok([sum / comm.size() as f64, max])
}

/// One line each, and their sum.
pub fn print_exchanges(exchanges: &[Exchange]) {
    let line = |name: &str, e: &Exchange| {
        let ms = |ms: f64| format!("{ms:.3}");
        let bound = if e.ms > 0.0 { format!("{:.0} %", 100.0 * e.bound_ms / e.ms) } else { String::new() };
        let hidden = format!("{:.0} %", e.hidden_percent);
        let kilobytes = format!("{:.1}", 1e-3 * e.bytes);
        vec![
            name.into(),
            format!("{}", e.exchanges),
            kilobytes,
            ms(e.ms),
            ms(e.waited_ms),
            ms(e.bound_ms),
            bound,
            hidden,
        ]
    };
    let sum = |figure: &dyn Fn(&Exchange) -> f64| exchanges.iter().map(figure).sum::<f64>();
    let (ms, waited_ms) = (sum(&|e| e.ms), sum(&|e| e.waited_ms));
    let all = Exchange {
        kind: String::new(),
        exchanges: sum(&|e| e.exchanges),
        bytes: sum(&|e| e.bytes),
        ms,
        waited_ms,
        bound_ms: sum(&|e| e.bound_ms),
        hidden_percent: 100.0 * (1.0 - waited_ms / ms).max(0.0),
    };
    let header = ["exchange", "a step", "kB sent", "ms", "waited, ms", "bound, ms", "bound/ms", "hidden"];
    let mut lines: Vec<Vec<String>> = exchanges.iter().map(|e| line(&e.kind, e)).collect();
    lines.push(line("all", &all));
    print_columns(&header, &lines);
}
