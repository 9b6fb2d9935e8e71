//! The locality of columns, against counting and Algorithm 1 the slow way.

use dlrm::Stream;
use dlrm::data::locality::{Locality, LocalityProfiler};
use dlrm::data::trace::trace_profile;
use dlrm::data::zipf::Zipf;
use std::collections::HashMap;

/// Traces with little and much locality; some long enough for slots to run out many times.
fn traces() -> Vec<Vec<u32>> {
    let mut traces = vec![vec![], vec![7], vec![u32::MAX; 9000], (0..5000).collect(), vec![1, 2, 3, 1, 2, 3, 3]];
    for (seed, (ids, exponent)) in (0..).zip([(3, 0.0), (100, 1.0), (5000, 0.0), (5000, 0.9), (100_000, 1.2)]) {
        let (zipf, mut stream) = (Zipf::new(ids, exponent), Stream::native(seed));
        // Ids as hashes are: anywhere.
        traces.push((0..20_000).map(|_| zipf.rank(&mut stream).wrapping_mul(0x9e37_79b1)).collect());
    }
    // All ids over and over: each comes again after all others.
    traces.push((0..3 * 4096).map(|i| i % 4096).collect());
    traces
}

fn locality(trace: &[u32]) -> Locality {
    let mut profiler = LocalityProfiler::default();
    profiler.extend(trace.iter().copied());
    profiler.finish()
}

fn slow_distances(trace: &[u32]) -> Vec<usize> {
    trace_profile(&trace.iter().map(|&id| id.into()).collect::<Vec<u64>>()).stack_distances
}

#[test]
fn stack_distances_are_those_of_algorithm_1() {
    for (t, trace) in traces().iter().enumerate() {
        let mut profiler = LocalityProfiler::default();
        let distances: Vec<usize> = trace.iter().map(|&id| profiler.access(id) as usize).collect();
        assert!(distances == slow_distances(trace), "trace {t}");
        let mut histogram = vec![0; 40];
        let again = distances.iter().filter(|&&d| d > 0);
        again.for_each(|d| histogram[d.next_power_of_two().trailing_zeros() as usize] += 1);
        let found = profiler.finish().stack_distances();
        assert!(found == histogram[..found.len()] && histogram[found.len()..].iter().all(|&n| n == 0), "trace {t}");
        assert_eq!(found.iter().sum::<u64>() + locality(trace).different() as u64, trace.len() as u64, "trace {t}");
    }
}

/// What a cache does, step by step.
fn lru_hits(trace: &[u32], size: usize) -> usize {
    let mut cache: Vec<u32> = Vec::new(); // the row used last is at the end
    let hit = |id: &&u32| {
        let found = cache.iter().position(|c| c == *id).map(|at| cache.remove(at)).is_some();
        cache.push(**id);
        if cache.len() > size {
            cache.remove(0);
        }
        found
    };
    trace.iter().filter(hit).count()
}

#[test]
fn hit_rates_are_those_of_a_cache() {
    for (t, trace) in traces().iter().enumerate() {
        let locality = locality(trace);
        for size in [0, 1, 2, 3, 64, 100, 1000, 4095, 4096, 1 << 20] {
            let expected = lru_hits(trace, size) as f64 / trace.len().max(1) as f64;
            assert_eq!(locality.lru_hit_rate(size), expected, "trace {t}, {size} rows");
        }
    }
}

#[test]
fn shares_of_the_hottest_are_those_of_counting() {
    for (t, trace) in traces().iter().enumerate() {
        let mut counts = HashMap::new();
        trace.iter().for_each(|id| *counts.entry(id).or_insert(0) += 1);
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable();
        let locality = locality(trace);
        assert_eq!((locality.accesses(), locality.different()), (trace.len() as u64, counts.len()), "trace {t}");
        for k in [0, 1, 10, 1000, 1 << 20] {
            let expected = counts.iter().rev().take(k).sum::<usize>() as f64 / trace.len().max(1) as f64;
            assert_eq!(locality.share_of_hottest(k), expected, "trace {t}, {k} rows");
        }
    }
}
