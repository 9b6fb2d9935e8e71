//! A cache as plain as it gets: the rows in it, in the order of their last use.

use std::collections::VecDeque;

/// The share of the accesses from `begins` on that a cache of `rows` answers; those before fill it.
pub fn hit_rate(rows: usize, trace: &[u64], begins: usize) -> f64 {
    let mut cache = VecDeque::with_capacity(rows + 1); // last used first
    let mut hits = 0_u64;
    for (at, &id) in trace.iter().enumerate() {
        match cache.iter().position(|&cached| cached == id) {
            Some(place) => {
                cache.remove(place);
                hits += u64::from(at >= begins);
            }
            None if cache.len() == rows => _ = cache.pop_back(),
            None => {}
        }
        cache.push_front(id);
    }
    hits as f64 / trace.len().saturating_sub(begins).max(1) as f64
}
