//! How numbers are spread.

/// Numbers counted in intervals, as TensorBoard's `HistogramProto`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// The lowest number.
    pub min: f64,
    /// The highest number.
    pub max: f64,
    /// How many there are.
    pub num: f64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
    /// The upper end of each interval, rising; the first begins at the lowest number.
    pub bucket_limit: Vec<f64>,
    /// How many numbers are in each interval.
    pub bucket: Vec<f64>,
}

impl Histogram {
    /// Intervals that [`of`](Self::of) makes.
    pub const BUCKETS: usize = 64;

    /// `values` in intervals of the same width from the lowest to the highest; in one interval if these are equal, and
    /// in none if there are none. NaN and infinity are left out. Reads `values` twice.
    pub fn of(values: &[f32]) -> Self {
        let finite = || values.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x));
        let mut h = Histogram { min: f64::INFINITY, max: f64::NEG_INFINITY, ..Histogram::default() };
        for x in finite() {
            (h.min, h.max) = (h.min.min(x), h.max.max(x));
            h.num += 1.0;
            h.sum += x;
            h.sum_squares += x * x;
        }
        if h.num == 0.0 {
            return Histogram::default();
        }
        let buckets = if h.min < h.max { Self::BUCKETS } else { 1 };
        let width = (h.max - h.min) / buckets as f64;
        h.bucket_limit = (1..buckets).map(|i| h.min + i as f64 * width).chain([h.max]).collect();
        h.bucket = vec![0.0; buckets];
        // Equal numbers have no width, and their place is NaN, which is cast to 0.
        finite().for_each(|x| h.bucket[(((x - h.min) / width) as usize).min(buckets - 1)] += 1.0);
        h
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_number_is_counted_once() {
        let values: Vec<f32> = (0..=64).map(|i| i as f32).chain([f32::NAN, f32::INFINITY]).collect();
        let h = Histogram::of(&values);
        assert_eq!((h.min, h.max, h.num, h.sum, h.sum_squares), (0.0, 64.0, 65.0, 2080.0, 89_440.0));
        assert_eq!(h.bucket_limit, (1..=64).map(f64::from).collect::<Vec<_>>());
        // The highest belongs to the last interval, as its upper end.
        assert_eq!(h.bucket, [vec![1.0; 63], vec![2.0]].concat());
    }

    #[test]
    fn equal_numbers_have_one_interval_and_none_has_none() {
        let h = Histogram::of(&[0.5; 3]);
        assert_eq!((h.bucket_limit, h.bucket), (vec![0.5], vec![3.0]));
        assert_eq!(Histogram::of(&[f32::NAN]), Histogram::default());
    }
}
