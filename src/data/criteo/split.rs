//! Which rows train and which test: by time, as the reference splits Criteo's sets.

use std::ops::Range;

/// Rows in order of time, day by day. All days but the last train; the last tests (paper section 4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSplit {
    days: Vec<usize>,
}

impl TimeSplit {
    /// Days that Kaggle's one file is cut into.
    pub const DAYS: usize = 7;

    /// The split of `rows` rows as seven days of (nearly) equal size, or `None` if that leaves a
    /// day without a row.
    ///
    /// Day sizes are `N div 7`, and one more for the first `N mod 7` (`data_utils.py`,
    /// `getCriteoAdData`).
    pub fn new(rows: usize) -> Option<Self> {
        let day = |day| rows / Self::DAYS + usize::from(day < rows % Self::DAYS);
        (rows >= Self::DAYS).then(|| TimeSplit { days: (0..Self::DAYS).map(day).collect() })
    }

    /// The split of days of so many rows, or `None` if that leaves no row to train or to test on.
    pub fn of_days(days: Vec<usize>) -> Option<Self> {
        let split = TimeSplit { days };
        (!split.train().is_empty() && !split.test(true).is_empty()).then_some(split)
    }

    /// Rows of each day.
    pub fn days(&self) -> &[usize] {
        &self.days
    }

    /// The rows of all days but the last.
    pub fn train(&self) -> Range<usize> {
        0..self.days.iter().rev().skip(1).sum()
    }

    /// The rows to test on: the first half of the last day, the longer one if it is odd
    /// (`dlrm_data_pytorch.py`, `CriteoDataset`; the reference leaves the other half unused), or
    /// the whole of it.
    pub fn test(&self, full: bool) -> Range<usize> {
        let start = self.train().end;
        let last_day = self.days.last().copied().unwrap_or(0);
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
            let days = split.days();
            assert_eq!((days.len(), days.iter().sum::<usize>()), (7, rows));
            assert!(days.is_sorted_by(|a, b| a >= b) && days[0] - days[6] <= 1, "{days:?}");
            assert_eq!(split.train(), 0..days[..6].iter().sum());
            assert_eq!(split.test(true), split.train().end..rows);
            assert_eq!(split.test(false).start, split.train().end);
            let (half, rest) = (split.test(false).len(), days[6] - split.test(false).len());
            assert!(half == rest || half == rest + 1, "{half} and {rest} of {rows}");
        }
    }

    #[test]
    fn days_may_differ() {
        let split = TimeSplit::of_days(vec![5, 0, 9, 7]).unwrap();
        assert_eq!((split.train(), split.test(false), split.test(true)), (0..14, 14..18, 14..21));
        for days in [vec![], vec![5], vec![5, 0], vec![0, 5]] {
            assert_eq!(TimeSplit::of_days(days), None);
        }
        let kaggle = TimeSplit::new(100).unwrap();
        assert_eq!(TimeSplit::of_days(kaggle.days().to_vec()), Some(kaggle));
    }

    #[test]
    fn kaggle_is_split_as_published() {
        let split = TimeSplit::new(45_840_617).unwrap();
        assert_eq!(split.days()[2..5], [6_548_660, 6_548_660, 6_548_659]);
        assert_eq!((split.train().len(), split.test(false).len()), (39_291_958, 3_274_330));
    }
}
