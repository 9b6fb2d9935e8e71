//! A plan of which rank gets which rows.

use super::{Placement, Shard};
use crate::error::{Error, Result};
use std::ops::Range;

/// What a [plan](Placement::plan) has to go by, of one table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableLoad {
    /// Rows.
    pub num_embeddings: usize,
    /// Lookups a sample, on average.
    pub lookups: f64,
}

/// What a [plan](Placement::plan_with) has to keep to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanOptions {
    /// Samples of a rank in a step, by which small tables are replicated; if 0, none is for its size.
    pub samples: usize,
    /// Tables that are replicated whatever their size.
    pub replicated: Vec<usize>,
    /// Bytes of tables that a rank has room for, without what an optimizer remembers; no limit if there is none.
    pub room: Option<u64>,
}

/// Some rows of a table, to be placed.
#[derive(Debug)]
struct Piece {
    weight: f64,
    table: usize,
    rows: Range<usize>,
}

/// A rank, with what it was given so far.
#[derive(Debug, Clone)]
struct Rank {
    weight: f64,
    /// Bytes that are left.
    room: u64,
    tables: Vec<usize>,
}

impl Placement {
    /// A plan for `ranks` ranks that balances bytes and lookups.
    ///
    /// A table weighs its share of all bytes and its share of all lookups, added. One that weighs more than a rank's
    /// share is cut between rows into as many parts as make each lighter than that; then the heaviest part goes to the
    /// rank with the least, and so on (longest processing time first, Graham 1969). Parts of one table go to different
    /// ranks. No rank then has more than twice its share.
    ///
    /// # Panics
    /// If there is no rank, or as [`plan_with`](Self::plan_with) fails.
    pub fn plan(tables: &[TableLoad], dim: usize, ranks: usize) -> Self {
        Self::plan_with(tables, dim, ranks, &PlanOptions::default()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same with more to go by: small tables replicated, and no rank given more than it has room for.
    ///
    /// Where every rank has a table, nothing is sent forward; backward, the sums of its rows' gradients are added over all
    /// ranks: `D + 1` numbers a row, with whether it was looked up, twice. Where one rank has it, `L` ids and the length
    /// of the bag are sent for each sample, and a vector and its gradient come and go. So a table is replicated if
    ///
    /// ```text
    /// 2 · rows · (D + 1)  <  samples of a rank · (1 + L + 2 · D)
    /// ```
    ///
    /// which is if it has fewer rows than a rank has samples, nearly. Both sides are sent in so far as they are for other
    /// ranks, `(N − 1) / N`, so that the number of ranks has no part in it.
    ///
    /// Of the other tables, one that is larger than a rank's room is cut into parts that are not, and where the
    /// rank that is next has no room left, another one has its turn. What fits nowhere is cut once more, so that the ranks
    /// are filled to the last row if need be.
    ///
    /// # Errors
    /// [`Error::Config`] if there is not room enough, a table has no rows, its lookups are not a number from 0 on, or one
    /// that is to be replicated is not there.
    ///
    /// # Panics
    /// If there is no rank.
    pub fn plan_with(tables: &[TableLoad], dim: usize, ranks: usize, options: &PlanOptions) -> Result<Self> {
        assert!(ranks > 0, "Placement::plan: no rank");
        let wrong = |t: &TableLoad| t.num_embeddings == 0 || !(t.lookups >= 0.0 && t.lookups.is_finite());
        if let Some(table) = tables.iter().position(wrong) {
            let TableLoad { num_embeddings, lookups } = tables[table];
            return Err(Error::Config(format!(
                "placement: table {table} of {num_embeddings} rows and {lookups} lookups a sample, expected at least 1 \
                 row and 0 lookups"
            )));
        }
        if let Some(table) = options.replicated.iter().find(|&&t| t >= tables.len()) {
            let n = tables.len();
            return Err(Error::Config(format!("placement: table {table} is to be on all ranks, expected one of {n}")));
        }
        let rows: Vec<usize> = tables.iter().map(|t| t.num_embeddings).collect();
        let everywhere =
            |t: usize| ranks > 1 && (options.replicated.contains(&t) || is_small(tables[t], dim, options.samples));
        let (replicated, others): (Vec<_>, Vec<_>) = (0..tables.len()).partition(|&t| everywhere(t));
        let replicas = replicated.iter().flat_map(|&t| (0..ranks).map(move |rank| [t, rank]));
        let mut shards: Vec<_> = replicas.map(|[t, rank]| Shard::whole(t, rank, &rows, dim)).collect();
        place_all(tables, &others, [dim, ranks], options.room, &mut shards).ok_or_else(|| {
            let mb = |rows: usize| (rows * dim * size_of::<f32>()) as f64 / 1e6;
            let beside = match replicated.len() {
                0 => String::new(),
                n => format!(", and {n} of {:.3} MB on each of them,", mb(replicated.iter().map(|&t| rows[t]).sum())),
            };
            Error::Config(format!(
                "placement: {} tables of {:.3} MB on {ranks} ranks{beside} do not fit into {:.3} MB a rank",
                others.len(),
                mb(others.iter().map(|&t| rows[t]).sum()),
                options.room.unwrap_or(u64::MAX) as f64 / 1e6
            ))
        })?;
        let lookups = Some(tables.iter().map(|t| t.lookups).collect());
        Ok(Placement { lookups, ..Placement::new(shards, &rows, dim, ranks)? })
    }
}

/// Whether less is sent of a table if every rank has it: see [`Placement::plan_with`].
fn is_small(table: TableLoad, dim: usize, samples: usize) -> bool {
    let [rows, dim, samples] = [table.num_embeddings, dim, samples].map(|n| n as f64);
    2.0 * rows * (dim + 1.0) < samples * (1.0 + table.lookups + 2.0 * dim)
}

/// Places those of `tables` that are in `which`, beside `shards` that every rank has; nothing if they do not fit.
fn place_all(
    tables: &[TableLoad],
    which: &[usize],
    [dim, ranks]: [usize; 2],
    room: Option<u64>,
    shards: &mut Vec<Shard>,
) -> Option<()> {
    let row_bytes = (dim * size_of::<f32>()) as u64;
    let replicas: u64 = shards.iter().filter(|s| s.rank == 0).map(Shard::bytes).sum();
    let room = room.unwrap_or(u64::MAX).checked_sub(replicas)?;
    let mut pieces = cut(tables, which, ranks, (room / row_bytes.max(1)).max(1));
    // Stable, so that every rank makes the same plan.
    pieces.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut all = vec![Rank { weight: 0.0, room, tables: Vec::new() }; ranks];
    pieces.into_iter().try_for_each(|piece| place(piece, dim, &mut all, shards))
}

/// Those of `tables` that are in `which`, in parts of which none weighs more than a rank's share, or has more than
/// `most_rows`; but no more parts than ranks.
fn cut(tables: &[TableLoad], which: &[usize], ranks: usize, most_rows: u64) -> Vec<Piece> {
    let rows: f64 = which.iter().map(|&t| tables[t].num_embeddings as f64).sum();
    let lookups: f64 = which.iter().map(|&t| tables[t].lookups).sum();
    let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    let mut pieces = Vec::new();
    for &table in which {
        let load = tables[table];
        let n = load.num_embeddings;
        let weight = share(n as f64, rows) + share(load.lookups, lookups);
        let by_weight = (weight / (2.0 / ranks as f64)).ceil() as usize;
        let by_room = (n as u64).div_ceil(most_rows) as usize;
        let count = by_weight.max(by_room).clamp(1, n.min(ranks));
        let piece = |i| Piece { weight: weight / count as f64, table, rows: n * i / count..n * (i + 1) / count };
        pieces.extend((0..count).map(piece));
    }
    pieces
}

/// Gives a piece to a rank, or to several if it fits into none; nothing if all of them are full.
fn place(piece: Piece, dim: usize, all: &mut [Rank], shards: &mut Vec<Shard>) -> Option<()> {
    let Piece { weight, table, mut rows } = piece;
    let row_bytes = (dim * size_of::<f32>()) as u64;
    let weight_of_row = weight / rows.len() as f64;
    while !rows.is_empty() {
        let bytes = rows.len() as u64 * row_bytes;
        let order = |&a: &usize, &b: &usize| {
            let key = |r: usize| (all[r].tables.contains(&table), all[r].weight);
            let ((has_a, a), (has_b, b)) = (key(a), key(b));
            has_a.cmp(&has_b).then(a.total_cmp(&b))
        };
        let fitting = (0..all.len()).filter(|&r| all[r].room >= bytes).min_by(order);
        let rank = fitting.or_else(|| (0..all.len()).max_by_key(|&r| all[r].room))?;
        let now = (all[rank].room / row_bytes.max(1)).min(rows.len() as u64) as usize;
        if now == 0 {
            return None;
        }
        shards.push(Shard { table, rank, rows: rows.start..rows.start + now, columns: 0..dim });
        rows.start += now;
        let Rank { weight, room, tables } = &mut all[rank];
        *weight += weight_of_row * now as f64;
        *room -= now as u64 * row_bytes;
        tables.push(table);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn loads(rows: &[usize]) -> Vec<TableLoad> {
        rows.iter().map(|&num_embeddings| TableLoad { num_embeddings, lookups: 1.0 }).collect()
    }

    fn bytes(plan: &Placement, rank: usize) -> u64 {
        plan.of(rank).map(Shard::bytes).sum()
    }

    #[test]
    fn plans_cover_and_balance() {
        for ranks in [1, 2, 3, 4, 8] {
            for rows in [&[1_000_000, 10, 20, 30, 500_000, 7][..], &[5], &[3; 26], &[1, 2]] {
                let plan = Placement::plan(&loads(rows), 4, ranks);
                let total: u64 = (0..ranks).map(|rank| bytes(&plan, rank)).sum();
                assert_eq!(total, 16 * rows.iter().sum::<usize>() as u64);
                let lookups = |rank| plan.of(rank).map(|s| s.rows.len() as f64 / rows[s.table] as f64).sum::<f64>();
                for rank in 0..ranks {
                    let mut tables: Vec<usize> = plan.of(rank).map(|s| s.table).collect();
                    tables.dedup();
                    assert_eq!(tables.len(), plan.of(rank).count(), "one part of a table a rank: {plan}");
                    // Twice the mean of what was added up is what the rule promises.
                    let weight = bytes(&plan, rank) as f64 / total as f64 + lookups(rank) / rows.len() as f64;
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
    fn fewer_tables_than_ranks_and_one_huge_table() {
        let plan = Placement::plan(&loads(&[2, 1]), 4, 8);
        assert_eq!(plan.shards().len(), 3, "three rows cannot be with more than three ranks: {plan}");
        assert!((3..8).all(|rank| plan.of(rank).count() == 0));
        let plan = Placement::plan(&loads(&[1_000_000]), 4, 8);
        assert!((0..8).all(|rank| bytes(&plan, rank) == 2_000_000), "{plan}");
    }

    #[test]
    fn no_rank_gets_more_than_it_has_room_for() {
        let mut draws = Stream::native(3);
        let mut below = |n: usize| (draws.uniform() * n as f64) as usize;
        for case in 0..300 {
            let ranks = 1 + below(8);
            let rows: Vec<usize> =
                (0..1 + below(10)).map(|_| 1 + below(if case % 2 == 0 { 50 } else { 1000 })).collect();
            let total = rows.iter().sum::<usize>();
            let tables: Vec<_> =
                rows.iter().map(|&num_embeddings| TableLoad { num_embeddings, lookups: below(5) as f64 }).collect();
            // Sometimes just enough, and sometimes one row less than that.
            let row_room = total.div_ceil(ranks);
            let plan = |rows: usize| {
                Placement::plan_with(
                    &tables,
                    4,
                    ranks,
                    &PlanOptions { room: Some(16 * rows as u64), ..PlanOptions::default() },
                )
            };
            for room in [row_room, row_room + below(100)] {
                let plan = plan(room).unwrap();
                assert!((0..ranks).all(|rank| bytes(&plan, rank) <= 16 * room as u64), "{plan}");
            }
            assert!(plan(row_room - 1).is_err(), "{rows:?} {ranks}");
        }
    }

    #[test]
    fn small_tables_are_on_all_ranks() {
        let tables = loads(&[1000, 126, 125, 3]);
        let plan = |samples, replicated: &[usize], ranks| {
            let options = PlanOptions { samples, replicated: replicated.to_vec(), room: None };
            let plan = Placement::plan_with(&tables, 16, ranks, &options).unwrap();
            (0..4).map(|t| plan.is_replicated(t)).collect::<Vec<_>>()
        };
        // 2 · rows · 17 beside 125 · (1 + 1 + 32): as many at 125 rows.
        assert_eq!(plan(125, &[], 2), [false, false, false, true]);
        assert_eq!(plan(126, &[], 8), [false, false, true, true]);
        assert_eq!(plan(0, &[0], 2), [true, false, false, false]);
        assert_eq!(plan(126, &[0], 1), [false; 4]);
    }

    #[test]
    fn what_cannot_be_placed_is_said() {
        let plan = |tables: &[TableLoad], room, replicated: &[usize]| {
            let options = PlanOptions { room, replicated: replicated.to_vec(), samples: 0 };
            Placement::plan_with(tables, 250, 2, &options).unwrap_err().to_string()
        };
        assert_eq!(
            plan(&loads(&[1000, 2000]), Some(1_400_000), &[]),
            "placement: 2 tables of 3.000 MB on 2 ranks do not fit into 1.400 MB a rank"
        );
        assert_eq!(
            plan(&loads(&[1000, 2000]), Some(1_400_000), &[0]),
            "placement: 1 tables of 2.000 MB on 2 ranks, and 1 of 1.000 MB on each of them, do not fit into 1.400 MB a rank"
        );
        assert_eq!(plan(&loads(&[1, 2]), None, &[2]), "placement: table 2 is to be on all ranks, expected one of 2");
        assert_eq!(
            plan(&loads(&[1000, 0]), None, &[]),
            "placement: table 1 of 0 rows and 1 lookups a sample, expected at least 1 row and 0 lookups"
        );
        assert_eq!(
            plan(&[TableLoad { num_embeddings: 1, lookups: -1.0 }], None, &[]),
            "placement: table 0 of 1 rows and -1 lookups a sample, expected at least 1 row and 0 lookups"
        );
    }
}
