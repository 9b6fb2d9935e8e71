//! Where tables are: those that all ranks have, and what ranks have to agree on.

use super::{Case, DIM, ROWS, Share, case, placement, same_as_one, train_on};
use dlrm::backend::Pooling;
use dlrm::comm::{Communicator, threads};
use dlrm::nn::{Dlrm, Placement, Shard};
use dlrm::optim::UpdateRule;
use dlrm::{Parameters, Stream};
use std::sync::Arc;

#[test]
fn all_ranks_are_told_which_of_them_has_another_placement() {
    let whole = |table: usize| Shard { table, rank: usize::from(table == 3), rows: 0..ROWS[table], columns: 0..DIM };
    let other = Placement::new((0..ROWS.len()).map(whole).collect(), &ROWS, DIM, 3).unwrap();
    std::thread::scope(|scope| {
        let run = |transport| {
            let other = other.clone();
            scope.spawn(move || {
                let comm = Arc::new(Communicator::new(transport));
                let placement = if comm.rank() == 2 { other } else { placement(Share::Last, 3) };
                let mut params = Parameters::new(Arc::new(dlrm::backend::Cpu::new(1)));
                let config = super::config(dlrm::backend::Pooling::Sum);
                let error = Dlrm::sharded(&config, placement, comm, &mut params, &mut Stream::native(7)).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "rank 2: another placement of tables than rank 0: `table 0, rows 0..500, columns 0..8 = rank 0` in \
                     line 1, expected `table 0, rows 0..500, columns 0..8 = rank 2`"
                );
            })
        };
        let ranks: Vec<_> = threads(3).into_iter().map(run).collect();
        ranks.into_iter().for_each(|rank| rank.join().unwrap());
    });
}

/// Whether ranks with replicas learn what one does, and the same bits in everything that all of them have.
fn compare(case: Case, share: Share, ranks: usize, tolerance: f32) {
    let trained = train_on(case, share, ranks);
    same_as_one(case, share, ranks, &trained.iter().enumerate().collect::<Vec<_>>(), tolerance);
    let placement = placement(share, ranks);
    let shared = |rank: usize| -> Vec<u32> {
        let (params, _) = &trained[rank];
        let tables = params.tables().iter().zip(placement.of(rank));
        let replicas = tables.filter(|(_, shard)| placement.is_replicated(shard.table));
        let numbers = replicas.flat_map(|(table, _)| table.values());
        numbers.chain(params.dense().iter().flat_map(|p| p.value().as_slice())).map(|x| x.to_bits()).collect()
    };
    for rank in 1..ranks {
        assert!(shared(rank) == shared(0), "{case:?}, {share:?}: rank {rank} of {ranks} has drifted away");
    }
}

#[test]
fn replicas_train_as_one_table_and_stay_the_same() {
    for ranks in [2, 3, 4, 8] {
        for share in [Share::Everywhere, Share::SmallEverywhere] {
            compare(case(37), share, ranks, 1e-5);
            compare(Case { multi_hot: false, rule: UpdateRule::ADAGRAD, ..case(24) }, share, ranks, 1e-4);
            compare(Case { pooling: Pooling::Mean, ..case(11) }, share, ranks, 1e-5);
            compare(Case { weighted: true, ..case(16) }, share, ranks, 1e-5);
            compare(Case { weighted: true, pooling: Pooling::Mean, ..case(16) }, share, ranks, 1e-5);
        }
    }
}

/// Where the sums of others are zeros, those of one rank go through the exchange as they are.
#[test]
fn replicas_have_the_same_bits_as_one_table_where_one_rank_has_the_samples() {
    for weighted in [false, true] {
        for pooling in [Pooling::Sum, Pooling::Mean] {
            compare(Case { weighted, pooling, ..case(37) }, Share::Everywhere, 1, 0.0);
            compare(Case { weighted, pooling, ..case(1) }, Share::Everywhere, 2, 0.0);
            compare(Case { weighted, pooling, rule: UpdateRule::ADAM, ..case(1) }, Share::Everywhere, 4, 0.0);
        }
    }
}

#[test]
fn ranks_without_samples_have_replicas_too() {
    for share in [Share::Everywhere, Share::SmallEverywhere] {
        compare(case(2), share, 3, 1e-5);
        compare(case(2), share, 8, 1e-5);
    }
}

/// Rows that nobody looks up must stay where they are, which an update by a gradient of zeros would not do: after a first
/// step that moves it, Adam would go on to move a row.
#[test]
fn rows_of_replicas_that_nobody_looks_up_stay() {
    for share in [Share::Everywhere, Share::SmallEverywhere] {
        compare(Case { multi_hot: false, rule: UpdateRule::ADAM, ..case(5) }, share, 4, 1e-3);
    }
}

/// Sums of replicas are exchanged in the backward pass alone, and of their ids nothing.
#[test]
fn nothing_is_sent_for_lookups_in_replicas() {
    let bytes = |share: Share| -> Vec<u64> {
        std::thread::scope(|scope| {
            let run = |transport| {
                scope.spawn(move || {
                    let comm = Arc::new(Communicator::new(transport));
                    super::train(case(8), Some((comm.clone(), placement(share, 2))));
                    let traffic = comm.traffic();
                    let of = |kind| traffic.iter().find(|(k, _)| *k == kind).unwrap().1.bytes;
                    ["ids", "vectors", "gradients"].map(of)
                })
            };
            let ranks: Vec<_> = threads(2).into_iter().map(run).collect();
            ranks.into_iter().flat_map(|rank| rank.join().unwrap()).collect()
        })
    };
    // How many samples the other has, in each of five steps.
    assert_eq!(bytes(Share::Everywhere), [20, 0, 0, 20, 0, 0]);
    let [small, cut] = [Share::SmallEverywhere, Share::Cut].map(|share| bytes(share).iter().sum::<u64>());
    assert!(small < cut, "{small} {cut}");
}
