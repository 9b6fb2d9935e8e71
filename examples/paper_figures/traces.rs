//! Algorithms 1 and 2 (section 4.2): the ids of a column as a trace, its stack distances, and a trace generated from them.

use crate::Output;
use crate::chart::{Axis, Chart, Series};
use crate::check::Check;
use crate::rows::Rows;
use crate::support::Meter;
use dlrm::data::locality::LocalityProfiler;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use dlrm::data::trace::{StackDistribution, TraceProfile, trace_profile};
use dlrm::{Error, Result, Stream};
use std::fmt::Write;
use std::path::Path;

/// Columns of some hundred, some thousand and ten thousand ids.
const COLUMNS: [&str; 3] = ["C2", "C1", "C15"];

/// Accesses that are generated, for each of the original.
const TIMES: usize = 3;

/// One column.
pub struct Trace {
    pub name: &'static str,
    pub original: Vec<u64>,
    /// By Algorithm 2, from what Algorithm 1 made of the original.
    pub generated: Vec<u64>,
    /// Where in it all ids were seen. Algorithm 2 begins with none, and until then draws only distances up to the number of
    /// those seen.
    pub begins: usize,
    profiles: [TraceProfile; 2],
}

impl Trace {
    fn new(name: &'static str, original: Vec<u64>) -> Result<Trace> {
        let profile = trace_profile(&original);
        let distribution = StackDistribution::new(&profile, true)?;
        let generated = distribution.trace_generate_lru(TIMES * original.len(), true, &mut Stream::native(1));
        let of_generated = trace_profile(&generated);
        let begins = of_generated.stack_distances.iter().rposition(|&d| d == 0).map_or(0, |last| last + 1);
        Ok(Trace { name, original, generated, begins, profiles: [profile, of_generated] })
    }

    /// What chance alone makes of the difference of two distributions, one time in 1500 at most (Kolmogorov and Smirnov).
    pub fn tolerance(&self) -> f64 {
        2.0 / (self.original.len() as f64).sqrt()
    }
}

/// The first `len` rows of a file, or of a teacher with the vocabularies of the Kaggle set.
pub fn make(data: Option<&Path>, len: u64) -> Result<Vec<Trace>> {
    let teacher;
    let rows = match data {
        Some(path) => Rows::open(path)?,
        None => {
            teacher = Teacher::new(1, TeacherConfig::kaggle());
            Rows::generated(&teacher, len)
        }
    };
    let len = rows.total.map_or(len, |total| total.min(len));
    let mut meter = Meter::new("traces", Some(len * COLUMNS.len() as u64));
    let mut done = 0;
    let traces = read(rows, len as usize)?.into_iter().zip(COLUMNS).map(|(original, name)| {
        let trace = Trace::new(name, original);
        done += len;
        meter.update(done, String::new);
        trace
    });
    let traces = traces.collect();
    meter.finish();
    traces
}

/// The ids of each of the columns.
fn read(mut rows: Rows, len: usize) -> Result<Vec<Vec<u64>>> {
    let place = |name: &&str| {
        let unknown = || Error::Config(format!("no column {name} in the rows, expected Criteo's C1 to C26"));
        rows.columns.iter().position(|column| column == name).ok_or_else(unknown)
    };
    let places = COLUMNS.iter().map(place).collect::<Result<Vec<_>>>()?;
    let (mut ids, mut traces) = (vec![Vec::new(); rows.columns.len()], vec![Vec::new(); COLUMNS.len()]);
    while traces[0].len() < len && rows.next_block(&mut ids)? > 0 {
        let read = traces.iter_mut().zip(&places);
        read.for_each(|(trace, &place)| trace.extend(ids[place].iter().map(|&id| u64::from(id))));
    }
    traces.iter_mut().for_each(|trace| trace.truncate(len));
    Ok(traces)
}

/// `P(distance ≤ d)` at each distance `d` that occurs, of ids that are not new.
fn cumulative(distances: &[usize]) -> Vec<(usize, f64)> {
    let mut repeats: Vec<usize> = distances.iter().copied().filter(|&d| d > 0).collect();
    repeats.sort_unstable();
    let mut seen = 0;
    let point = |same: &[usize]| {
        seen += same.len();
        (same[0], seen as f64 / repeats.len() as f64)
    };
    repeats.chunk_by(|a, b| a == b).map(point).collect()
}

/// The largest difference of two distributions, which are constant between their points.
fn largest_difference(a: &[(usize, f64)], b: &[(usize, f64)]) -> f64 {
    let at = |distribution: &[(usize, f64)], distance: usize| match distribution.partition_point(|p| p.0 <= distance) {
        0 => 0.0,
        points => distribution[points - 1].1,
    };
    let distances = a.iter().chain(b).map(|&(distance, _)| distance);
    distances.map(|d| (at(a, d) - at(b, d)).abs()).fold(0.0, f64::max)
}

/// The distributions of stack distances of both traces of each column.
pub fn stack_distances(traces: &[Trace], output: &Output) -> Result<Vec<Check>> {
    let (mut checks, mut series, mut csv) = (Vec::new(), Vec::new(), "column,trace,distance,cumulative\n".to_owned());
    for (colour, trace) in traces.iter().enumerate() {
        let [original, generated] = &trace.profiles;
        let steady = &generated.stack_distances[trace.begins..];
        let distributions = [&original.stack_distances, steady].map(cumulative);
        for ((points, kind), dashed) in distributions.iter().zip(["original", "generated"]).zip([false, true]) {
            for (distance, share) in points {
                writeln!(csv, "{},{kind},{distance},{share}", trace.name).expect("a string takes all");
            }
            let points = points.iter().map(|&(d, share)| (d as f64, share)).collect();
            series.push(Series { name: format!("{} {kind}", trace.name), colour, dashed, points });
        }
        let difference = largest_difference(&distributions[0], &distributions[1]);
        let what = format!("algorithms 1 and 2, {}: largest difference of the distributions", trace.name);
        checks.push(Check::near(what, 0.0, difference, trace.tolerance()));
        let mut profiler = LocalityProfiler::default();
        let differs = |(&id, &distance): (&u64, &usize)| profiler.access(id as u32) as usize != distance;
        let differ = trace.original.iter().zip(&original.stack_distances).map(differs).filter(|d| *d).count();
        let what = format!("algorithm 1, {}: distances that a tree of counts has otherwise", trace.name);
        checks.push(Check::near(what, 0.0, differ as f64, 0.0));
    }
    let largest = series.iter().filter_map(|s| s.points.last()).map(|p| p.0).fold(10.0, f64::max);
    let chart = Chart {
        title: "Stack distances: a trace, and one generated from its profile",
        x: Axis { label: "stack distance (logarithmic)", from: 1.0, to: largest, log: true, percent: false },
        y: Axis {
            label: "repeated accesses with at most this distance",
            from: 0.0,
            to: 1.0,
            log: false,
            percent: true,
        },
    };
    output.write("algorithms.csv", &csv)?;
    output.write("algorithms.svg", &chart.lines(&series))?;
    Ok(checks)
}
