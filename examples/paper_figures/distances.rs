//! Figure 3 (section 4.2): the probability of each stack distance of 100,000 even draws from 1 to 100; of a trace that
//! Algorithm 2 generates from it; and of an adjusted one. The generated one takes long to have met every id, and until then
//! has short distances only; for the adjusted one new ids are counted on top.

use crate::Output;
use crate::chart::{Axis, Chart, Series};
use crate::check::Check;
use dlrm::data::trace::{StackDistribution, trace_profile};
use dlrm::{Result, Stream};
use std::fmt::Write;

const IDS: usize = 100;
const ACCESSES: usize = 100_000;

const TRACES: [&str; 3] = ["(a) original", "(b) synthetic", "(c) adjusted"];

/// `P(d)` for distances from 0, which is a new id, to all ids.
fn probabilities(trace: &[u64]) -> Vec<f64> {
    let mut p = vec![0.0; IDS + 1];
    trace_profile(trace).stack_distances.iter().for_each(|&d| p[d] += 1.0 / trace.len() as f64);
    p
}

/// Half the sum of the differences: 0 for the same distribution, 1 for two that share nothing.
fn apart(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0
}

/// The three distributions, beside what they are by the text.
pub fn figure(output: &Output) -> Result<Vec<Check>> {
    let mut stream = Stream::native(3);
    let trace: Vec<u64> = (0..ACCESSES).map(|_| 1 + (stream.uniform() * IDS as f64) as u64).collect();
    let profile = trace_profile(&trace);
    let generated = |padding| {
        let distribution = StackDistribution::new(&profile, padding)?;
        Ok(probabilities(&distribution.trace_generate_lru(ACCESSES, padding, &mut Stream::native(4))))
    };
    let curves: Vec<Vec<f64>> = vec![probabilities(&trace), generated(false)?, generated(true)?];
    draw(&curves, output)?;

    let [original, synthetic, adjusted] = &curves[..] else { unreachable!("three traces") };
    let new = IDS as f64 / ACCESSES as f64;
    let even = (1.0 - new) / IDS as f64;
    let farthest = original[1..].iter().map(|p| (p - even).abs()).fold(0.0, f64::max);
    let deviation = (even * (1.0 - even) / ACCESSES as f64).sqrt();
    let [synthetic, adjusted] = [synthetic, adjusted].map(|p| apart(original, p));
    Ok(vec![
        Check::near("figure 3 (a): P(0), new ids", new, original[0], 1e-9),
        // Five standard deviations.
        Check::near("figure 3 (a): P(d) of all others, farthest from alike", 0.0, farthest, 5.0 * deviation),
        Check::near("figure 3 (c): distribution apart from the original's", 0.0, adjusted, 0.05),
        Check::at_least("figure 3 (b): so many times as far apart as (c)", 2.0, synthetic / adjusted, 0.0),
    ])
}

fn draw(curves: &[Vec<f64>], output: &Output) -> Result<()> {
    let mut csv = "trace,distance,probability\n".to_owned();
    let mut series = Vec::new();
    for (colour, (name, p)) in TRACES.into_iter().zip(curves).enumerate() {
        for (distance, p) in p.iter().enumerate() {
            writeln!(csv, "{name},{distance},{p}").expect("a string takes all");
        }
        let points = p.iter().enumerate().map(|(d, &p)| (d as f64, p)).collect();
        series.push(Series { name: name.to_owned(), colour, dashed: false, points });
    }
    let highest = curves.iter().flatten().fold(0.0, |high, &p| f64::max(high, p));
    let chart = Chart {
        title: "Stack distances of 100,000 even draws from 1 to 100 (the paper's figure 3)",
        x: Axis { label: "stack distance; 0 is a new id", from: 0.0, to: IDS as f64, log: false, percent: false },
        y: Axis { label: "share of the accesses", from: 0.0, to: 1.1 * highest, log: false, percent: true },
    };
    output.write("figure3.csv", &csv)?;
    output.write("figure3.svg", &chart.lines(&series))
}
