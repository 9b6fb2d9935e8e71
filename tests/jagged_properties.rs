//! Jagged lists and batches: whatever arrays come in, a wrong one is an error that says so, and a
//! right one means what it says.

use dlrm::{Batch, JaggedTensor};
use proptest::prelude::*;

proptest! {
    /// Bags in, bags out, by either way of making a list; copying into used memory changes nothing.
    #[test]
    fn bags_come_out_as_they_went_in(bags in prop::collection::vec(prop::collection::vec(0u32..1000, 0..6), 0..40)) {
        let mut pushed = JaggedTensor::default();
        bags.iter().for_each(|b| pushed.push_bag(b));
        let mut offsets = vec![0];
        offsets.extend(bags.iter().scan(0, |end, b| { *end += b.len() as u32; Some(*end) }));
        let made = JaggedTensor::new(bags.concat(), offsets, None).unwrap();
        prop_assert_eq!(&made, &pushed);
        prop_assert_eq!(made.num_bags(), bags.len());
        for (b, bag) in bags.iter().enumerate() {
            prop_assert_eq!(made.bag(b), &bag[..]);
        }
        let mut copy = JaggedTensor::one_per_bag(vec![7; 11]);
        copy.copy_from(&made);
        prop_assert_eq!(&copy, &made);
        copy.clear();
        prop_assert_eq!(copy, JaggedTensor::default());
    }

    /// Arbitrary arrays either make a consistent list or are refused; nothing panics.
    #[test]
    fn arbitrary_arrays_are_consistent_or_refused(
        values in prop::collection::vec(any::<u32>(), 0..12),
        offsets in prop::collection::vec(0u32..14, 0..8),
        weights in prop::option::of(prop::collection::vec(-1f32..1.0, 0..12)),
    ) {
        let sound = offsets.first() == Some(&0)
            && offsets.is_sorted()
            && offsets.last() == Some(&(values.len() as u32))
            && weights.as_ref().is_none_or(|w| w.len() == values.len());
        let list = JaggedTensor::new(values.clone(), offsets, weights);
        prop_assert_eq!(list.is_ok(), sound, "{:?}", list);
        if let Ok(list) = list {
            let all: Vec<u32> = (0..list.num_bags()).flat_map(|b| list.bag(b).to_vec()).collect();
            prop_assert_eq!(all, values);
        }
    }

    /// An id at or over the limit is named with its table and sample; below, the batch is fine.
    #[test]
    fn ids_out_of_range_are_named(ids in prop::collection::vec(0u32..20, 1..20), limit in 1usize..25) {
        let b = ids.len();
        let sparse = vec![JaggedTensor::one_per_bag(vec![0; b]), JaggedTensor::one_per_bag(ids.clone())];
        let batch = Batch { dense: vec![0.0; 2 * b], dense_features: 2, sparse, labels: vec![0.0; b] };
        let checked = batch.check(2, [1, limit].into_iter()).map_err(|e| e.to_string());
        let expected = match ids.iter().position(|&id| id as usize >= limit) {
            None => Ok(()),
            Some(at) => Err(format!("batch: table 1, sample {at}: id {}, but the table has {limit} rows", ids[at])),
        };
        prop_assert_eq!(checked, expected);
    }
}

#[test]
fn batches_that_disagree_with_themselves_or_the_model_are_refused() {
    let good = Batch {
        dense: vec![0.0; 6],
        dense_features: 3,
        sparse: vec![JaggedTensor::one_per_bag(vec![1, 2])],
        labels: vec![0.0, 1.0],
    };
    assert!(good.check(3, [3].into_iter()).is_ok());
    let cases: [(Batch, usize, &[usize], &str); 5] = [
        (good.clone(), 4, &[3], "batch: 3 dense features a sample, the model takes 4"),
        (good.clone(), 3, &[3, 3], "batch: 1 lists of ids, the model has 2 tables"),
        (good.clone(), 3, &[2], "batch: table 0, sample 1: id 2, but the table has 2 rows"),
        (
            Batch { dense: vec![0.0; 5], ..good.clone() },
            3,
            &[3],
            "batch: 5 dense values for 2 samples of 3 dense features",
        ),
        (Batch { labels: vec![0.0; 3], dense: vec![0.0; 9], ..good }, 3, &[3], "batch: table 0: 2 bags for 3 samples"),
    ];
    for (batch, dense_features, tables, expected) in cases {
        let error = batch.check(dense_features, tables.iter().copied()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
