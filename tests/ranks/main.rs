//! Training on several ranks is training on one, at the same batch of all.

mod checkpoints;
#[cfg(feature = "mpi")]
mod mpi;
mod placement;
mod resume;
mod trainer;

use dlrm::backend::{Cpu, LossKind, Pooling};
use dlrm::comm::{Communicator, threads};
use dlrm::nn::{Dlrm, DlrmConfig, Model, Placement, Shard, TableLoad};
use dlrm::optim::{Optimizer, UpdateRule};
use dlrm::{Batch, Gradients, JaggedTensor, Parameters, Stream, Tape, ops};
use std::sync::Arc;

const ROWS: [usize; 6] = [500, 3, 90, 1, 250, 40];
const DIM: usize = 8;

/// How a group of ranks shares the tables.
#[derive(Clone, Copy, Debug)]
enum Share {
    Planned,
    /// Everything is with the last rank.
    Last,
    /// Table 0 between rows, table 2 between columns, table 4 both ways.
    Cut,
    /// Every table is with every rank.
    Everywhere,
    /// Tables 1, 3 and 5 are with every rank; the others are cut as in `Cut`.
    SmallEverywhere,
}

fn config(pooling: Pooling) -> DlrmConfig {
    DlrmConfig {
        embedding_dim: DIM,
        bottom_mlp: vec![16, DIM],
        top_mlp: vec![16, 1],
        pooling,
        ..DlrmConfig::criteo_kaggle(ROWS.to_vec())
    }
}

fn placement(share: Share, ranks: usize) -> Placement {
    let whole = |table: usize, rank| Shard { table, rank, rows: 0..ROWS[table], columns: 0..DIM };
    let shards = match share {
        Share::Planned => {
            let loads = ROWS.map(|num_embeddings| TableLoad { num_embeddings, lookups: 1.0 });
            return Placement::plan(&loads, DIM, ranks);
        }
        Share::Last => (0..ROWS.len()).map(|t| whole(t, ranks - 1)).collect(),
        Share::Everywhere => (0..ROWS.len()).flat_map(|t| (0..ranks).map(move |rank| whole(t, rank))).collect(),
        Share::Cut | Share::SmallEverywhere => {
            let mut shards = match share {
                Share::Cut => vec![whole(1, 0), whole(3, ranks - 1), whole(5, 1 % ranks)],
                _ => [1, 3, 5].into_iter().flat_map(|t| (0..ranks).map(move |rank| whole(t, rank))).collect(),
            };
            for r in 0..ranks {
                let (from, to) = (ROWS[0] * r / ranks, ROWS[0] * (r + 1) / ranks);
                shards.push(Shard { table: 0, rank: r, rows: from..to, columns: 0..DIM });
            }
            shards.push(Shard { table: 2, rank: 0, rows: 0..90, columns: 0..3 });
            shards.push(Shard { table: 2, rank: ranks - 1, rows: 0..90, columns: 3..DIM });
            for (i, rows) in [0..100, 100..250].into_iter().enumerate() {
                for (j, columns) in [0..5, 5..DIM].into_iter().enumerate() {
                    shards.push(Shard { table: 4, rank: (2 * i + j) % ranks, rows: rows.clone(), columns });
                }
            }
            shards
        }
    };
    Placement::new(shards, &ROWS, DIM, ranks).unwrap()
}

/// Samples `range` of step `step`'s batch.
fn batch(step: u64, samples: usize, range: std::ops::Range<usize>, multi_hot: bool) -> Batch {
    let mut batch = Batch::default();
    batch.clear(13, ROWS.len());
    for sample in 0..samples {
        let mut draws = Stream::native(1000 * step + sample as u64);
        let mut below = |n: usize| (draws.uniform() * n as f64) as usize;
        let ids: Vec<Vec<u32>> = ROWS
            .iter()
            .map(|&rows| {
                let lookups = if multi_hot { below(4) } else { 1 };
                (0..lookups).map(|_| below(rows) as u32).collect()
            })
            .collect();
        let dense: Vec<f32> = (0..13).map(|_| below(1000) as f32 / 1000.0).collect();
        let label = below(2) as f32;
        if range.contains(&sample) {
            batch.dense.extend(dense);
            batch.labels.push(label);
            batch.sparse.iter_mut().zip(&ids).for_each(|(list, ids)| list.push_bag(ids));
        }
    }
    batch
}

/// Gives each lookup a weight.
fn weigh(batch: &mut Batch) {
    for list in &mut batch.sparse {
        let weights = list.values().iter().map(|id| 0.25 * (id % 7) as f32 - 0.5).collect();
        *list = JaggedTensor::new(list.values().to_vec(), list.offsets().to_vec(), Some(weights)).unwrap();
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    samples: usize,
    pooling: Pooling,
    multi_hot: bool,
    /// Whether each lookup has a weight.
    weighted: bool,
    rule: UpdateRule,
}

/// Five steps on one rank, or on one of several.
fn train(case: Case, comm: Option<(Arc<Communicator>, Placement)>) -> (Parameters, Vec<f32>) {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let mut stream = Stream::native(7);
    let config = config(case.pooling);
    let model = match &comm {
        None => Dlrm::new(&config, &mut params, &mut stream),
        Some((comm, placement)) => Dlrm::sharded(&config, placement.clone(), comm.clone(), &mut params, &mut stream),
    }
    .unwrap();
    let mut tape = Tape::new(params.backend().clone());
    let mut grads = Gradients::new(&params);
    let mut optimizer = Optimizer::new(case.rule, &params);
    let mut losses = Vec::new();
    for step in 0..5 {
        let range = comm.as_ref().map_or(0..case.samples, |(comm, _)| comm.share(case.samples, comm.rank()));
        let mut batch = batch(step, case.samples, range, case.multi_hot);
        if case.weighted {
            weigh(&mut batch);
        }
        tape.clear();
        grads.clear();
        let logits = model.forward(&mut tape, &params, &batch);
        let share = model.shards().map_or(1.0, |shards| shards.share());
        assert_eq!(share, batch.len() as f32 / case.samples as f32);
        let mut sum = [0.0];
        if batch.is_empty() {
            tape.backward_from(logits, &[], &params, &mut grads);
        } else {
            let labels = tape.input(&[batch.len()], &batch.labels);
            let loss = ops::loss(&mut tape, LossKind::BCE, logits, labels);
            sum[0] = share * tape.value(loss).as_slice()[0];
            tape.backward_from(loss, &[share], &params, &mut grads);
        }
        if let Some((comm, _)) = &comm {
            comm.all_reduce(&mut sum).unwrap();
            grads.all_reduce(comm).unwrap();
            model.shards().unwrap().status().unwrap();
        }
        losses.push(sum[0]);
        optimizer.step(&mut params, &grads, 0.1);
    }
    (params, losses)
}

/// The same on `ranks` ranks.
fn train_on(case: Case, share: Share, ranks: usize) -> Vec<(Parameters, Vec<f32>)> {
    std::thread::scope(|scope| {
        let run = |transport| {
            scope.spawn(move || train(case, Some((Arc::new(Communicator::new(transport)), placement(share, ranks)))))
        };
        let all: Vec<_> = threads(ranks).into_iter().map(run).collect();
        all.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn close(what: &str, a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len(), "{what}");
    let far = a.iter().zip(b).find(|(a, b)| (*a - *b).abs() > tolerance * b.abs().max(0.1));
    assert_eq!(far, None, "{what}");
}

fn compare(case: Case, share: Share, ranks: usize, tolerance: f32) {
    let trained = train_on(case, share, ranks);
    same_as_one(case, share, ranks, &trained.iter().enumerate().collect::<Vec<_>>(), tolerance);
}

/// Whether what some of the ranks learned is what one learns.
fn same_as_one(case: Case, share: Share, ranks: usize, trained: &[(usize, &(Parameters, Vec<f32>))], tolerance: f32) {
    let (expected, losses) = train(case, None);
    let placement = placement(share, ranks);
    for &(rank, (params, ranks_losses)) in trained {
        let what = format!("{case:?}, {share:?}, rank {rank} of {ranks}");
        close(&what, ranks_losses, &losses, tolerance);
        for (mine, one) in params.dense().iter().zip(expected.dense()) {
            close(&format!("{what}, {}", mine.name()), mine.value().as_slice(), one.value().as_slice(), tolerance);
        }
        for (mine, shard) in params.tables().iter().zip(placement.of(rank)) {
            let whole = &expected.tables()[shard.table];
            assert_eq!(mine.name(), whole.name());
            let rows = shard.rows.clone().flat_map(|row| whole.row(row)[shard.columns.clone()].to_vec());
            close(&format!("{what}, {shard:?}"), mine.values(), &rows.collect::<Vec<_>>(), tolerance);
        }
    }
}

fn case(samples: usize) -> Case {
    Case { samples, pooling: Pooling::Sum, multi_hot: true, weighted: false, rule: UpdateRule::Sgd }
}

#[test]
fn one_rank_has_the_same_bits() {
    for share in [Share::Planned, Share::Last] {
        compare(case(37), share, 1, 0.0);
        compare(Case { pooling: Pooling::Mean, rule: UpdateRule::ROW_WISE_ADAGRAD, ..case(20) }, share, 1, 0.0);
    }
}

#[test]
fn ranks_train_as_one() {
    for ranks in [2, 3, 4, 8] {
        for share in [Share::Planned, Share::Last, Share::Cut] {
            compare(case(37), share, ranks, 1e-5);
            compare(Case { multi_hot: false, rule: UpdateRule::ADAGRAD, ..case(24) }, share, ranks, 1e-4);
            compare(Case { pooling: Pooling::Mean, ..case(11) }, share, ranks, 1e-5);
        }
    }
}

#[test]
fn ranks_without_samples_take_part() {
    for ranks in [3, 8] {
        compare(case(2), Share::Planned, ranks, 1e-5);
    }
}

#[test]
fn two_runs_have_the_same_bits() {
    let bits = || -> Vec<u32> {
        let all = train_on(case(37), Share::Cut, 4);
        let numbers = |p: &Parameters| -> Vec<u32> {
            let dense = p.dense().iter().flat_map(|p| p.value().as_slice());
            dense.chain(p.tables().iter().flat_map(|t| t.values())).map(|v| v.to_bits()).collect()
        };
        all.iter().flat_map(|(params, _)| numbers(params)).collect()
    };
    assert_eq!(bits(), bits());
}
