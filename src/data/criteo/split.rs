//! Which rows train and which test: by time, as the reference splits Kaggle's `train.txt`.

use std::ops::Range;

/// `N` rows, in order of time, as seven days of (nearly) equal size.
///
/// Day sizes are `N div 7`, and one more for the first `N mod 7` (`data_utils.py`,
/// `getCriteoAdData`). The first six days train; the seventh tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSplit {
    rows: usize,
}

impl TimeSplit {
    /// Days that a file is cut into.
    pub const DAYS: usize = 7;

    /// The split of `rows` rows, or `None` if that leaves a day without a row.
    pub fn new(rows: usize) -> Option<Self> {
        (rows >= Self::DAYS).then_some(TimeSplit { rows })
    }

    /// Rows of each day.
    pub fn day_sizes(&self) -> [usize; Self::DAYS] {
        std::array::from_fn(|day| self.rows / Self::DAYS + usize::from(day < self.rows % Self::DAYS))
    }

    /// The rows of the first six days.
    pub fn train(&self) -> Range<usize> {
        0..self.rows - self.rows / Self::DAYS
    }

    /// The rows to test on: the first half of the seventh day, the longer one if it is odd
    /// (`dlrm_data_pytorch.py`, `CriteoDataset`; the reference leaves the other half unused), or
    /// the whole of it.
    pub fn test(&self, full: bool) -> Range<usize> {
        let start = self.train().end;
        let last_day = self.rows - start;
        start..start + if full { last_day } else { last_day.div_ceil(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_add_up_and_meet() {
        assert_eq!(TimeSplit::new(6), None);
        for rows in 7..=100 {
            let split = TimeSplit::new(rows).unwrap();
            let days = split.day_sizes();
            assert_eq!(days.iter().sum::<usize>(), rows);
            assert!(days.is_sorted_by(|a, b| a >= b) && days[0] - days[6] <= 1, "{days:?}");
            assert_eq!(split.train(), 0..days[..6].iter().sum());
            assert_eq!(split.test(true), split.train().end..rows);
            assert_eq!(split.test(false).start, split.train().end);
            let (half, rest) = (split.test(false).len(), days[6] - split.test(false).len());
            assert!(half == rest || half == rest + 1, "{half} and {rest} of {rows}");
        }
    }

    #[test]
    fn kaggle_is_split_as_published() {
        let split = TimeSplit::new(45_840_617).unwrap();
        assert_eq!(split.day_sizes()[2..5], [6_548_660, 6_548_660, 6_548_659]);
        assert_eq!((split.train().len(), split.test(false).len()), (39_291_958, 3_274_330));
    }
}
