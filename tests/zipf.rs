//! Ids by Zipf's law: frequencies against the exact law, and batches of them.

use dlrm::data::source::BatchSource;
use dlrm::data::zipf::{Zipf, ZipfBatches, ZipfConfig};
use dlrm::{Batch, Error, Stream};

/// `P(k)` for each rank.
fn law(ranks: usize, exponent: f64) -> Vec<f64> {
    let heights: Vec<f64> = (1..=ranks).map(|k| (k as f64).powf(-exponent)).collect();
    let sum: f64 = heights.iter().sum();
    heights.into_iter().map(|h| h / sum).collect()
}

/// By how many standard deviations chi-square is above its mean, for counts of `draws` draws. Ranks
/// expected less than 50 times are put together with those behind them.
fn chi_square(counts: &[u64], law: &[f64], draws: u64) -> f64 {
    let (mut chi2, mut cells) = (0.0, 0);
    let (mut seen, mut expected) = (0.0, 0.0);
    for (k, (&count, &p)) in counts.iter().zip(law).enumerate() {
        seen += count as f64;
        expected += p * draws as f64;
        if expected >= 50.0 || k + 1 == law.len() {
            chi2 += (seen - expected).powi(2) / f64::max(expected, 1.0);
            cells += 1;
            (seen, expected) = (0.0, 0.0);
        }
    }
    let freedom = f64::from(cells - 1);
    (chi2 - freedom) / (2.0 * freedom).sqrt().max(1.0)
}

#[test]
fn ranks_have_their_probabilities() {
    const DRAWS: u64 = 400_000;
    let exponents = [0.0, 0.3, 0.8, 1.0 - 1e-12, 1.0, 1.0 + 1e-12, 1.05, 2.0, 20.0];
    for ranks in [1, 2, 3, 10, 1000, 300_000] {
        for exponent in exponents {
            let zipf = Zipf::new(ranks, exponent);
            for mut stream in [Stream::native(7), Stream::numpy(7)] {
                let mut counts = vec![0; ranks];
                (0..DRAWS).for_each(|_| counts[zipf.rank(&mut stream) as usize] += 1);
                let excess = chi_square(&counts, &law(ranks, exponent), DRAWS);
                assert!(excess < 5.0, "{ranks} ranks, exponent {exponent}: chi-square {excess} deviations high");
            }
        }
    }
}

/// The test above would see it if the law were another by a little.
#[test]
fn another_exponent_would_be_noticed() {
    const DRAWS: u64 = 400_000;
    let zipf = Zipf::new(1000, 1.0);
    let mut counts = vec![0; 1000];
    let mut stream = Stream::native(7);
    (0..DRAWS).for_each(|_| counts[zipf.rank(&mut stream) as usize] += 1);
    assert!(chi_square(&counts, &law(1000, 1.02), DRAWS) > 5.0);
}

/// With as many ranks as an id has numbers the law still is what it should be: shares of the first
/// rank and of the upper half, by the harmonic numbers (`H ≈ ln n + γ` for `s = 1`).
#[test]
fn the_largest_table() {
    const DRAWS: u32 = 200_000;
    let euler = 0.577_215_664_901_532_9;
    let harmonic = 32.0 * 2_f64.ln() + euler;
    for (exponent, first, upper_half) in [(0.0, 0.0, 0.5), (1.0, 1.0 / harmonic, 2_f64.ln() / harmonic)] {
        let zipf = Zipf::new(1 << 32, exponent);
        let mut stream = Stream::native(3);
        let ranks: Vec<u32> = (0..DRAWS).map(|_| zipf.rank(&mut stream)).collect();
        let share = |is: fn(&u32) -> bool| ranks.iter().filter(|r| is(r)).count() as f64 / f64::from(DRAWS);
        // Five standard errors of a share are at most 5 × 0.5 / √200000 = 0.0056.
        assert!((share(|&r| r == 0) - first).abs() < 0.0056, "exponent {exponent}");
        assert!((share(|&r| r >= 1 << 31) - upper_half).abs() < 0.0056, "exponent {exponent}");
    }
}

fn config() -> ZipfConfig {
    ZipfConfig {
        dense_features: 3,
        num_embeddings: vec![1000, 50, 1],
        multi_hot_sizes: vec![4, 0, 2],
        exponent: 1.1,
        scrambled: true,
        batch_size: 200,
        num_batches: 3,
    }
}

fn batch(batches: &ZipfBatches, index: u64) -> Batch {
    let mut batch = Batch::default();
    batches.fill(index, &mut batch);
    batch
}

#[test]
fn a_batch_depends_on_seed_and_number_alone() {
    let mut batches = ZipfBatches::new(config(), 5).unwrap();
    let expected: Vec<Batch> = [0, 1, 2].map(|i| batch(&batches, i)).into();
    for epoch in 0..2 {
        batches.start_epoch(epoch).unwrap();
        let (mut found, mut next) = (Vec::new(), Batch::default());
        while batches.next_batch(&mut next).unwrap() {
            found.push(next.clone());
        }
        assert_eq!(found, expected);
    }
    assert_eq!(batches.rows(), 600);
    let other = ZipfBatches::new(config(), 6).unwrap();
    assert_eq!(batch(&ZipfBatches::new(config(), 5).unwrap(), 2), expected[2]);
    assert!(expected[0] != expected[1] && batch(&other, 0) != expected[0]);
    for b in &expected {
        b.check(3, [1000, 50, 1].into_iter()).unwrap();
        let sizes = b.sparse.iter().map(|bags| bags.values().len()).collect::<Vec<_>>();
        assert_eq!((b.len(), sizes), (200, vec![800, 0, 400]));
        assert!(b.sparse[0].offsets().iter().enumerate().all(|(i, &offset)| offset == 4 * i as u32));
    }
}

/// Scrambled or not, row by row: the batches' ids follow the law, by way of the permutation.
#[test]
fn ids_of_batches_follow_the_law() {
    const RANKS: usize = 1000;
    for scrambled in [false, true] {
        let config = ZipfConfig { scrambled, batch_size: 20_000, ..config() };
        let batches = ZipfBatches::new(config, 1).unwrap();
        let mut counts = vec![0; RANKS];
        for index in 0..5 {
            batch(&batches, index).sparse[0].values().iter().for_each(|&id| counts[id as usize] += 1);
        }
        let by_rank: Vec<u64> = (0..RANKS as u32).map(|rank| counts[batches.row(0, rank) as usize]).collect();
        let excess = chi_square(&by_rank, &law(RANKS, 1.1), 400_000);
        assert!(excess < 5.0, "scrambled {scrambled}: chi-square {excess} deviations high");
        assert_eq!(by_rank == counts, !scrambled);
    }
}

#[test]
fn mlperf_has_214_ids_a_sample() {
    let config = ZipfConfig { batch_size: 2, ..ZipfConfig::mlperf_dcn_v2(1_000_000, 1.0, 1) };
    assert_eq!(config.multi_hot_sizes.iter().sum::<usize>(), 214);
    let full = ZipfConfig::mlperf_dcn_v2(usize::MAX, 1.0, 1);
    assert_eq!((full.num_embeddings.iter().sum::<usize>(), full.batch_size), (204_184_588, 65_536));
    let rows = config.num_embeddings.clone();
    assert_eq!((rows.len(), rows[0], rows[25]), (26, 1_000_000, 36));
    let batch = batch(&ZipfBatches::new(config, 1).unwrap(), 0);
    batch.check(13, rows.into_iter()).unwrap();
    assert_eq!(batch.sparse[20].bag(1).len(), 100);
}

#[test]
fn impossible_configurations_are_named() {
    let cases = [
        (ZipfConfig { batch_size: 0, ..config() }, "the batch size is 0"),
        (ZipfConfig { num_embeddings: vec![1, 0, 1], ..config() }, "table 1 has 0 rows"),
        (ZipfConfig { multi_hot_sizes: vec![1], ..config() }, "multi-hot sizes of 1 tables, expected 3"),
        (ZipfConfig { exponent: -0.1, ..config() }, "exponent -0.1"),
        (ZipfConfig { exponent: f64::NAN, ..config() }, "exponent NaN"),
    ];
    for (config, message) in cases {
        let error = ZipfBatches::new(config, 0).unwrap_err();
        assert!(matches!(error, Error::Config(_)) && error.to_string().contains(message), "{error}");
    }
}
