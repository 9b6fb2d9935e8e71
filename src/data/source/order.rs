//! Which row comes when.

use super::permutation::Permutation;
use crate::random::mix;
use std::ops::Range;

/// The order of rows in a pass. Shuffled ones are new in every pass, and take no memory: place by place the row is
/// computed, by a Feistel network with cycle walking (`source/permutation.rs`) whose key is
/// `mix(mix(mix(seed) + pass) + part)`, where `mix` is SplitMix64's finaliser and the part is the day, or 0.
///
/// The reference permutes the training rows once, and keeps that order in every pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand, in every pass.
    InOrder,
    /// Day by day, each day's rows permuted by this seed (the reference's `--data-randomize day`).
    ShuffledByDay(u64),
    /// All rows permuted by this seed (the reference's `--data-randomize total`).
    Shuffled(u64),
}

/// The order of one pass over some rows.
#[derive(Debug)]
pub(super) struct Plan {
    order: Order,
    /// Parts that are permuted, each by itself; none if rows stay as they stand.
    parts: Vec<Range<u64>>,
    rows: Range<u64>,
    /// Of each part in this pass.
    permutations: Vec<Permutation>,
}

impl Plan {
    /// The order of pass 0 over `rows`, of days of so many rows.
    pub fn new(order: Order, rows: Range<u64>, days: &[u64]) -> Plan {
        let parts = match order {
            Order::InOrder => Vec::new(),
            Order::Shuffled(_) => vec![rows.clone()],
            Order::ShuffledByDay(_) => parts(&rows, days),
        };
        let mut plan = Plan { order, parts, rows, permutations: Vec::new() };
        plan.start(0);
        plan
    }

    /// Begins a pass.
    pub fn start(&mut self, pass: u64) {
        let (Order::Shuffled(seed) | Order::ShuffledByDay(seed)) = self.order else { return };
        self.permutations.clear();
        let permutation = |(i, part): (usize, &Range<u64>)| {
            // Mixed after each, so that seeds and passes that follow one another share no order.
            let key = mix(mix(mix(seed).wrapping_add(pass)).wrapping_add(i as u64));
            Permutation::new(part.end - part.start, key)
        };
        self.permutations.extend(self.parts.iter().enumerate().map(permutation));
    }

    /// The row at `place` of the pass.
    pub fn row(&self, place: u64) -> u64 {
        let row = self.rows.start + place;
        if self.parts.is_empty() {
            return row;
        }
        let i = self.parts.partition_point(|part| part.end <= row);
        let start = self.parts[i].start;
        start + self.permutations[i].apply(row - start)
    }
}

/// What of each day lies within `rows`, if anything does.
fn parts(rows: &Range<u64>, days: &[u64]) -> Vec<Range<u64>> {
    let ends = days.iter().scan(0, |end, &day| {
        *end += day;
        Some(*end)
    });
    let days = ends.zip(days).map(|(end, &day)| (end - day).max(rows.start)..end.min(rows.end));
    days.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(plan: &mut Plan, pass: u64) -> Vec<u64> {
        plan.start(pass);
        (0..plan.rows.end - plan.rows.start).map(|place| plan.row(place)).collect()
    }

    #[test]
    fn days_follow_one_another_and_each_is_shuffled() {
        let days = [40, 0, 50, 60, 30];
        let mut plan = Plan::new(Order::ShuffledByDay(3), 10..140, &days);
        let orders = [0, 1].map(|number| pass(&mut plan, number));
        for order in &orders {
            for (places, rows) in [(0..30, 10..40), (30..80, 40..90), (80..130, 90..140)] {
                let mut day = order[places].to_vec();
                assert_ne!(day, rows.clone().collect::<Vec<_>>());
                day.sort_unstable();
                assert_eq!(day, rows.collect::<Vec<_>>());
            }
        }
        assert_ne!(orders[0], orders[1]);
    }

    #[test]
    fn days_of_one_length_have_orders_of_their_own() {
        let order = pass(&mut Plan::new(Order::ShuffledByDay(0), 0..40, &[20, 20]), 0);
        assert_ne!(order[..20].to_vec(), order[20..].iter().map(|row| row - 20).collect::<Vec<_>>());
    }

    #[test]
    fn in_order_is_as_it_stands() {
        assert_eq!(pass(&mut Plan::new(Order::InOrder, 7..12, &[12]), 3), [7, 8, 9, 10, 11]);
    }
}
