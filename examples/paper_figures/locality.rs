//! Section 4.2: what a cache is worth. A generated trace is meant to have the hit rates of the original, which ids drawn
//! evenly have not.

mod cache;

use crate::Output;
use crate::chart::{Axis, Chart, Series};
use crate::check::Check;
use crate::traces::Trace;
use cache::hit_rate;
use dlrm::data::locality::{Locality, LocalityProfiler};
use dlrm::{Result, Stream};
use std::fmt::Write;

/// Ids of the trace of even draws.
const EVEN_IDS: usize = 256;

/// While the cache fills every repeat is a hit, which is some thousandths of a short trace, and chance makes as much.
const EVEN_TOLERANCE: f64 = 0.015;

/// Caches have up to 2 to the power of this many rows.
const LARGEST: u32 = 14;

/// Hit rates of LRU caches of both traces of each column, and of ids drawn evenly: first accesses, which no cache answers,
/// are not counted. Those of the original are computed from its stack distances; with the generated trace, from where it
/// [begins](Trace::begins), caches are run, access by access.
pub fn hit_rates(traces: &[Trace], output: &Output) -> Result<Vec<Check>> {
    let (mut checks, mut series, mut csv) = (Vec::new(), Vec::new(), "trace,rows_in_cache,hit_rate\n".to_owned());
    let mut put = |name: String, colour: usize, dashed: bool, points: Vec<(f64, f64)>| {
        for (rows, rate) in &points {
            writeln!(csv, "{name},{rows},{rate}").expect("a string takes all");
        }
        series.push(Series { name, colour, dashed, points });
    };
    let sizes = || (0..=LARGEST).map(|j| 1_usize << j);
    for (colour, trace) in traces.iter().enumerate() {
        let original = locality(&trace.original);
        let computed: Vec<f64> = sizes().map(|rows| of_repeats(&original, rows)).collect();
        let run: Vec<f64> = sizes().map(|rows| hit_rate(rows, &trace.generated, trace.begins)).collect();
        let largest = computed.iter().zip(&run).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let what = format!("locality, {}: largest difference of the hit rates", trace.name);
        checks.push(Check::near(what, 0.0, largest, trace.tolerance()));
        // Mattson et al. 1970: an access hits exactly if its stack distance is at most the size of the cache.
        let what = format!("locality, {}: hit rate of a cache of 256 rows, run less computed", trace.name);
        let answered = hit_rate(256, &trace.original, 0);
        checks.push(Check::near(what, 0.0, answered - original.lru_hit_rate(256), 1e-12));
        let points = |rates: &[f64]| sizes().zip(rates).map(|(rows, &rate)| (rows as f64, rate)).collect();
        put(format!("{} original", trace.name), colour, false, points(&computed));
        put(format!("{} generated", trace.name), colour, true, points(&run));
    }
    let len = traces.first().map_or(0, |trace| trace.original.len());
    let mut stream = Stream::native(2);
    let even: Vec<u64> = (0..len).map(|_| (stream.uniform() * EVEN_IDS as f64) as u64).collect();
    let even = locality(&even);
    // Each of the ids is as likely next, so a cache of half of them answers half.
    let what = format!("locality, even draws of {EVEN_IDS} ids: hit rate of a cache of half of them");
    checks.push(Check::near(what, 0.5, of_repeats(&even, EVEN_IDS / 2), EVEN_TOLERANCE));
    let points = sizes().map(|rows| (rows as f64, of_repeats(&even, rows)));
    put(format!("even draws of {EVEN_IDS} ids"), traces.len(), false, points.collect());
    let chart = Chart {
        title: "Hit rate of an LRU cache of embedding rows",
        x: Axis {
            label: "rows in the cache (logarithmic)",
            from: 1.0,
            to: 2f64.powi(LARGEST as i32),
            log: true,
            percent: false,
        },
        y: Axis {
            label: "repeated accesses that find their row in the cache",
            from: 0.0,
            to: 1.0,
            log: false,
            percent: true,
        },
    };
    output.write("locality.csv", &csv)?;
    output.write("locality.svg", &chart.lines(&series))?;
    Ok(checks)
}

fn locality(trace: &[u64]) -> Locality {
    let mut profiler = LocalityProfiler::default();
    profiler.extend(trace.iter().map(|&id| id as u32));
    profiler.finish()
}

/// The hit rate of a cache of `rows`, first accesses apart.
fn of_repeats(locality: &Locality, rows: usize) -> f64 {
    let repeats = locality.accesses() - locality.different() as u64;
    locality.lru_hit_rate(rows) * locality.accesses() as f64 / repeats.max(1) as f64
}
