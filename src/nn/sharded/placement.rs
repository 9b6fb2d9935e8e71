//! Which rank has which rows of which table.

mod display;
mod plan;

pub use plan::{PlanOptions, TableLoad};

use crate::backend::UpdateRule;
use crate::comm::Communicator;
use crate::error::{Error, Result};
use std::ops::Range;

/// A part of a table that one rank has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The table, from 0.
    pub table: usize,
    /// Whose it is.
    pub rank: usize,
    /// Its rows.
    pub rows: Range<usize>,
    /// Its columns. Row-wise Adagrad needs [all of them](Placement::check_rule).
    pub columns: Range<usize>,
}

impl Shard {
    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Bytes of it, in `f32`.
    pub fn bytes(&self) -> u64 {
        (self.rows.len() * self.width() * size_of::<f32>()) as u64
    }

    /// All of a table.
    pub(super) fn whole(table: usize, rank: usize, num_embeddings: &[usize], dim: usize) -> Self {
        Shard { table, rank, rows: 0..num_embeddings[table], columns: 0..dim }
    }

    /// Whether some place is in both.
    fn overlaps(&self, other: &Shard) -> bool {
        let apart = |a: &Range<usize>, b: &Range<usize>| a.end <= b.start || b.end <= a.start;
        self.table == other.table && !apart(&self.rows, &other.rows) && !apart(&self.columns, &other.columns)
    }
}

/// Where the parts of all tables are. Its `Display` is a table of them, and what each rank has.
///
/// A table is in parts, each with one rank; or it is *replicated*: whole, and with every rank. Replicas have the same
/// numbers at any time, so whoever writes them down needs one of them, such as rank 0's.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// By rank, those of replicated tables last, then by width, whether their tables are cut between rows, table, row and
    /// column: the order in which vectors travel.
    shards: Vec<Shard>,
    dim: usize,
    ranks: usize,
    /// Of each table, whether its rows are with several ranks.
    cut: Vec<bool>,
    /// Of each table, whether every rank has it.
    replicated: Vec<bool>,
    /// Lookups a sample in each table, if they are known.
    lookups: Option<Vec<f64>>,
}

impl Placement {
    /// These shards, of tables of `num_embeddings` rows of `dim` numbers. A table with a shard on each of several ranks,
    /// all of them whole, is replicated.
    ///
    /// # Errors
    /// [`Error::Config`] if a rank is not below `ranks`, or the shards of a table that is not replicated are not a grid
    /// that covers it: each place in one shard.
    pub fn new(mut shards: Vec<Shard>, num_embeddings: &[usize], dim: usize, ranks: usize) -> Result<Self> {
        let mut covered = vec![0; num_embeddings.len()];
        let replicated: Vec<bool> = (0..num_embeddings.len())
            .map(|table| {
                ranks > 1 && (0..ranks).all(|rank| shards.contains(&Shard::whole(table, rank, num_embeddings, dim)))
            })
            .collect();
        for (i, shard) in shards.iter().enumerate() {
            let Shard { table, rank, rows, columns } = shard;
            let fits = *table < num_embeddings.len() && *rank < ranks;
            if !fits || rows.is_empty() || columns.is_empty() || rows.end > num_embeddings[*table] || columns.end > dim
            {
                return Err(Error::Config(format!(
                    "placement: {shard} on rank {rank}, of {ranks} ranks and {num_embeddings:?} rows of {dim}"
                )));
            }
            let replica = |other: &Shard| replicated[*table] && other.rank != *rank;
            if let Some(other) = shards[..i].iter().find(|other| other.overlaps(shard) && !replica(other)) {
                return Err(Error::Config(format!("placement: {other} and {shard} overlap")));
            }
            covered[*table] += if replicated[*table] && *rank > 0 { 0 } else { rows.len() * columns.len() };
        }
        if let Some(t) = (0..covered.len()).find(|&t| covered[t] != num_embeddings[t] * dim) {
            return Err(Error::Config(format!("placement: table {t} is not covered")));
        }
        let whole = |s: &Shard| s.rows.len() == num_embeddings[s.table];
        let mut cut = vec![false; num_embeddings.len()];
        shards.iter().for_each(|s| cut[s.table] |= !whole(s));
        shards.sort_by_key(|s| {
            (s.rank, replicated[s.table], s.width(), cut[s.table], s.table, s.rows.start, s.columns.start)
        });
        Ok(Placement { shards, dim, ranks, cut, replicated, lookups: None })
    }

    /// All shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shards of `rank`, in the order in which they are among its [`Parameters`](crate::Parameters); replicated
    /// tables are last.
    pub fn of(&self, rank: usize) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| shard.rank == rank)
    }

    /// How many tables there are.
    pub fn tables(&self) -> usize {
        self.cut.len()
    }

    /// How many ranks there are, some of which may have nothing.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// The length of a row of a whole table, `D`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows each table has.
    pub(crate) fn num_embeddings(&self) -> Vec<usize> {
        let mut rows = vec![0; self.tables()];
        self.shards.iter().for_each(|s| rows[s.table] = rows[s.table].max(s.rows.end));
        rows
    }

    /// Whether an optimizer that follows `rule` does with these shards what it does with whole tables.
    ///
    /// # Errors
    /// [`Error::Config`] for row-wise Adagrad, which remembers one number a row, if a table is cut between columns.
    pub fn check_rule(&self, rule: UpdateRule) -> Result<()> {
        let cut = self.shards.iter().find(|shard| shard.width() < self.dim);
        match (rule, cut) {
            (UpdateRule::RowWiseAdagrad { .. }, Some(Shard { table, .. })) => Err(Error::Config(format!(
                "ranks: table {table} is cut between columns, expected whole rows for row-wise Adagrad, which remembers \
                 one number a row"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the rows of table `t` are with several ranks.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn is_cut(&self, t: usize) -> bool {
        self.cut[t]
    }

    /// Whether every one of several ranks has table `t`, whole.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn is_replicated(&self, t: usize) -> bool {
        self.replicated[t]
    }

    /// Whether every rank has the same placement.
    ///
    /// # Errors
    /// As [`Communicator::agree`].
    pub fn agree(&self, comm: &Communicator) -> Result<()> {
        let lines: String = self.shards.iter().map(|shard| format!("{shard} = rank {}\n", shard.rank)).collect();
        comm.agree("placement of tables", &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_that_do_not_cover_are_refused() {
        let shard = |rows, columns| Shard { table: 0, rank: 0, rows, columns };
        let make = |shards: &[Shard]| Placement::new(shards.to_vec(), &[10], 4, 2).map_err(|e| e.to_string());
        assert!(make(&[shard(0..10, 0..4)]).is_ok());
        assert!(make(&[shard(0..5, 0..2), shard(0..5, 2..4), shard(5..10, 0..4)]).is_ok());
        assert_eq!(make(&[shard(0..9, 0..4)]).unwrap_err(), "placement: table 0 is not covered");
        assert_eq!(
            make(&[shard(0..10, 0..4), shard(9..10, 3..4)]).unwrap_err(),
            "placement: table 0, rows 0..10, columns 0..4 and table 0, rows 9..10, columns 3..4 overlap"
        );
        assert!(make(&[shard(0..11, 0..4)]).is_err());
        assert_eq!(
            make(&[Shard { rank: 2, ..shard(0..10, 0..4) }]).unwrap_err(),
            "placement: table 0, rows 0..10, columns 0..4 on rank 2, of 2 ranks and [10] rows of 4"
        );
    }

    #[test]
    fn a_table_on_every_rank_is_replicated() {
        let whole = |table, rank| Shard { table, rank, rows: 0..[10, 20][table], columns: 0..4 };
        let make = |shards: &[Shard], ranks| Placement::new(shards.to_vec(), &[10, 20], 4, ranks);
        let placement = make(&[whole(0, 0), whole(1, 0), whole(0, 1)], 2).unwrap();
        assert_eq!([0, 1].map(|t| placement.is_replicated(t)), [true, false]);
        assert_eq!(placement.of(0).map(|s| s.table).collect::<Vec<_>>(), [1, 0], "replicas are last");
        assert!(!make(&[whole(0, 0), whole(1, 0)], 1).unwrap().is_replicated(0), "one rank has nothing to exchange");
        // On some ranks, on one twice, or with a part of it beside.
        assert!(make(&[whole(0, 0), whole(1, 0), whole(0, 1)], 3).is_err());
        assert!(make(&[whole(0, 0), whole(1, 0), whole(0, 1), whole(0, 1)], 2).is_err());
        assert!(make(&[whole(0, 0), whole(1, 0), whole(0, 1), Shard { rows: 3..4, ..whole(0, 1) }], 2).is_err());
    }

    #[test]
    fn shards_of_a_rank_are_in_the_order_of_their_groups() {
        let shard = |table, rows| Shard { table, rank: 0, rows, columns: 0..4 };
        let cut = [shard(0, 0..5), Shard { rank: 1, ..shard(0, 5..9) }];
        let all = [&cut[..], &[shard(1, 0..3), shard(2, 0..3)]].concat();
        let placement = Placement::new(all, &[9, 3, 3], 4, 2).unwrap();
        assert_eq!(placement.of(0).map(|s| s.table).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!([0, 1, 2].map(|t| placement.is_cut(t)), [true, false, false]);
    }

    #[test]
    fn row_wise_adagrad_has_whole_rows() {
        let shard = |rank, rows, columns| Shard { table: 0, rank, rows, columns };
        let place = |shards: [Shard; 2]| Placement::new(shards.to_vec(), &[10], 4, 2).unwrap();
        let rows = place([shard(0, 0..5, 0..4), shard(1, 5..10, 0..4)]);
        let columns = place([shard(0, 0..10, 0..1), shard(1, 0..10, 1..4)]);
        assert!(rows.check_rule(UpdateRule::ROW_WISE_ADAGRAD).is_ok());
        assert!(columns.check_rule(UpdateRule::ADAGRAD).is_ok());
        let message = columns.check_rule(UpdateRule::ROW_WISE_ADAGRAD).unwrap_err().to_string();
        assert_eq!(
            message,
            "ranks: table 0 is cut between columns, expected whole rows for row-wise Adagrad, which remembers one \
             number a row"
        );
    }
}
