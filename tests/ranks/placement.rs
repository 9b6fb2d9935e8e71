//! Where tables are: what ranks have to agree on.

use super::{DIM, ROWS, Share, placement};
use dlrm::comm::{Communicator, threads};
use dlrm::nn::{Dlrm, Placement, Shard};
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
