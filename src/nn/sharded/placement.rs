//! Which rank has which rows of which table.

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
    /// Its columns. Row-wise Adagrad remembers one number a row of a shard: of a table that is cut between columns it
    /// makes something else than of a whole one.
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
}

/// What a [plan](Placement::plan) has to go by, of one table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableLoad {
    /// Rows.
    pub num_embeddings: usize,
    /// Lookups a sample, on average.
    pub lookups: f64,
}

/// Where the parts of all tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// By rank, then by width, table, row and column: the order in which vectors travel.
    shards: Vec<Shard>,
    tables: usize,
    dim: usize,
}

impl Placement {
    /// These shards, of tables of `num_embeddings` rows of `dim` numbers.
    ///
    /// # Errors
    /// [`Error::Config`] if a rank is not below `ranks`, or the shards of a table are not a grid that covers it: each
    /// place in one shard.
    pub fn new(shards: Vec<Shard>, num_embeddings: &[usize], dim: usize, ranks: usize) -> Result<Self> {
        let mut covered = vec![0; num_embeddings.len()];
        for (i, shard) in shards.iter().enumerate() {
            let Shard { table, rank, rows, columns } = shard;
            let fits = *table < num_embeddings.len() && *rank < ranks;
            if !fits || rows.is_empty() || columns.is_empty() || rows.end > num_embeddings[*table] || columns.end > dim
            {
                return Err(Error::Config(format!(
                    "placement: {shard:?}, of {ranks} ranks and {num_embeddings:?} rows of {dim}"
                )));
            }
            let overlaps = |other: &&Shard| {
                let apart = |a: &Range<usize>, b: &Range<usize>| a.end <= b.start || b.end <= a.start;
                other.table == *table && !apart(&other.rows, rows) && !apart(&other.columns, columns)
            };
            if let Some(other) = shards[..i].iter().find(overlaps) {
                return Err(Error::Config(format!("placement: {shard:?} and {other:?} overlap")));
            }
            covered[*table] += rows.len() * columns.len();
        }
        if let Some(t) = (0..covered.len()).find(|&t| covered[t] != num_embeddings[t] * dim) {
            return Err(Error::Config(format!("placement: table {t} is not covered")));
        }
        let mut shards = shards;
        shards.sort_by_key(|s| (s.rank, s.width(), s.table, s.rows.start, s.columns.start));
        Ok(Placement { shards, tables: num_embeddings.len(), dim })
    }

    /// A plan for `ranks` ranks that balances bytes and lookups.
    ///
    /// A table weighs its share of all bytes and its share of all lookups, added. One that weighs more than a rank's
    /// share is cut between rows into as many parts as make each lighter than that; then the heaviest part goes to the
    /// rank with the least, and so on (longest processing time first, Graham 1969).
    pub fn plan(tables: &[TableLoad], dim: usize, ranks: usize) -> Self {
        let bytes: f64 = tables.iter().map(|t| t.num_embeddings as f64).sum();
        let lookups: f64 = tables.iter().map(|t| t.lookups).sum();
        let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        let mut parts = Vec::new();
        for (table, load) in tables.iter().enumerate() {
            let n = load.num_embeddings;
            let weight = share(n as f64, bytes) + share(load.lookups, lookups);
            let pieces = ((weight / (2.0 / ranks as f64)).ceil() as usize).clamp(1, n.min(ranks));
            for piece in 0..pieces {
                let rows = n * piece / pieces..n * (piece + 1) / pieces;
                parts.push((weight / pieces as f64, Shard { table, rank: 0, rows, columns: 0..dim }));
            }
        }
        // Stable, so that every rank makes the same plan.
        parts.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut loads = vec![0.0; ranks];
        let place = |(weight, shard): (f64, Shard)| {
            let rank = (0..ranks).min_by(|&a, &b| f64::total_cmp(&loads[a], &loads[b])).expect("a rank");
            loads[rank] += weight;
            Shard { rank, ..shard }
        };
        let shards = parts.into_iter().map(place).collect();
        let rows: Vec<usize> = tables.iter().map(|t| t.num_embeddings).collect();
        Placement::new(shards, &rows, dim, ranks).expect("every table is cut between rows")
    }

    /// All shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shards of `rank`, in the order in which their vectors travel.
    pub fn of(&self, rank: usize) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| shard.rank == rank)
    }

    /// How many tables there are.
    pub fn tables(&self) -> usize {
        self.tables
    }

    /// The length of a row of a whole table, `D`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Whether the rows of table `t` are with several ranks.
    pub fn is_cut(&self, t: usize) -> bool {
        let mut rows = self.shards.iter().filter(|s| s.table == t).map(|s| &s.rows);
        let first = rows.next();
        rows.any(|rows| Some(rows) != first)
    }

    /// Whether every rank has the same placement.
    ///
    /// # Errors
    /// [`Error::Rank`] with the first rank that has another one, or has ended.
    pub fn agree(&self, comm: &Communicator) -> Result<()> {
        let mine = format!("{self:?}");
        let all = comm.all_gather(mine.as_bytes())?;
        match (0..comm.size()).find(|&rank| all.part(rank) != mine.as_bytes()) {
            None => Ok(()),
            Some(rank) => Err(Error::Rank { rank, message: "has another placement of tables".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(rows: &[usize]) -> Vec<TableLoad> {
        rows.iter().map(|&num_embeddings| TableLoad { num_embeddings, lookups: 1.0 }).collect()
    }

    #[test]
    fn plans_cover_and_balance() {
        for ranks in [1, 2, 3, 4, 8] {
            for rows in [&[1_000_000, 10, 20, 30, 500_000, 7][..], &[5], &[3; 26], &[1, 2]] {
                let plan = Placement::plan(&loads(rows), 4, ranks);
                let bytes = |rank| plan.of(rank).map(Shard::bytes).sum::<u64>();
                let total: u64 = (0..ranks).map(bytes).sum();
                assert_eq!(total, 16 * rows.iter().sum::<usize>() as u64);
                let lookups = |rank| plan.of(rank).map(|s| s.rows.len() as f64 / rows[s.table] as f64).sum::<f64>();
                for rank in 0..ranks {
                    // Twice the mean of what was added up is what the rule promises.
                    let weight = bytes(rank) as f64 / total as f64 + lookups(rank) / rows.len() as f64;
                    let rows_of_all: usize = rows.iter().sum();
                    assert!(
                        rows_of_all < 2 * ranks || weight <= 4.0 / ranks as f64 + 1e-9,
                        "{rows:?} {ranks} {rank} {weight}"
                    );
                }
            }
        }
    }

    #[test]
    fn placements_that_do_not_cover_are_refused() {
        let shard = |rows, columns| Shard { table: 0, rank: 0, rows, columns };
        let make = |shards: &[Shard]| Placement::new(shards.to_vec(), &[10], 4, 2).map_err(|e| e.to_string());
        assert!(make(&[shard(0..10, 0..4)]).is_ok());
        assert!(make(&[shard(0..5, 0..2), shard(0..5, 2..4), shard(5..10, 0..4)]).is_ok());
        assert_eq!(make(&[shard(0..9, 0..4)]).unwrap_err(), "placement: table 0 is not covered");
        assert!(make(&[shard(0..10, 0..4), shard(9..10, 3..4)]).unwrap_err().contains("overlap"));
        assert!(make(&[shard(0..11, 0..4)]).is_err());
        assert!(make(&[Shard { rank: 2, ..shard(0..10, 0..4) }]).is_err());
    }
}
