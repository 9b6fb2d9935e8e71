//! A plan in writing.

use super::{Placement, Shard};
use std::fmt::{Display, Formatter, Result};

impl Display for Shard {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "table {}, rows {:?}, columns {:?}", self.table, self.rows, self.columns)
    }
}

impl Display for Placement {
    /// Each shard, by table; then what each rank has, and how much more the first of them has than all on average. `MB`
    /// are millions of bytes, and `lookups` are those a sample of everybody's batch, or `-` if they are not known. Of a
    /// replicated table, on rank `all`, that is what each of them has.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut shards: Vec<_> = self.shards.iter().filter(|s| !(self.replicated[s.table] && s.rank > 0)).collect();
        shards.sort_by_key(|s| (s.table, s.rows.start, s.columns.start));
        let mut lines = vec![["table", "rows", "columns", "rank", "MB", "lookups"].map(String::from)];
        lines.extend(shards.into_iter().map(|shard| {
            let table = shard.table.to_string();
            let rank = if self.replicated[shard.table] { "all".into() } else { shard.rank.to_string() };
            let [rows, columns] = [&shard.rows, &shard.columns].map(|range| format!("{range:?}"));
            [table, rows, columns, rank, mb(shard.bytes() as f64), number(self.lookups_of(shard))]
        }));
        write_aligned(f, &lines)?;
        let bytes: Vec<f64> = (0..self.ranks).map(|r| self.of(r).map(Shard::bytes).sum::<u64>() as f64).collect();
        let sum = |r| self.of(r).filter_map(|s| self.lookups_of(s)).fold(0.0, |sum, of_shard| sum + of_shard);
        let lookups: Option<Vec<f64>> = self.lookups.as_ref().map(|_| (0..self.ranks).map(sum).collect());
        let mut lines = vec![["rank", "shards", "MB", "lookups"].map(String::from)];
        for rank in 0..self.ranks {
            let shards = self.of(rank).count();
            lines.push([
                rank.to_string(),
                shards.to_string(),
                mb(bytes[rank]),
                number(lookups.as_ref().map(|all| all[rank])),
            ]);
        }
        let of_lookups = lookups.map(|all| imbalance(&all));
        lines.push(["most/mean".into(), String::new(), number(Some(imbalance(&bytes))), number(of_lookups)]);
        writeln!(f)?;
        write_aligned(f, &lines)
    }
}

impl Placement {
    /// Lookups of a shard for each sample of all ranks, if every row of a table is as likely as the others. Each rank does
    /// those of its own samples in a replicated table.
    fn lookups_of(&self, shard: &Shard) -> Option<f64> {
        let rows = self.num_embeddings()[shard.table];
        let parts =
            if self.replicated[shard.table] { self.ranks as f64 } else { rows as f64 / shard.rows.len() as f64 };
        Some(self.lookups.as_ref()?[shard.table] / parts)
    }
}

/// The most over the mean.
fn imbalance(of_ranks: &[f64]) -> f64 {
    let sum: f64 = of_ranks.iter().sum();
    if sum > 0.0 { of_ranks.iter().fold(0.0, |most: f64, &x| most.max(x)) * of_ranks.len() as f64 / sum } else { 1.0 }
}

fn mb(bytes: f64) -> String {
    format!("{:.3}", bytes / 1e6)
}

fn number(number: Option<f64>) -> String {
    number.map_or("-".into(), |n| format!("{n:.2}"))
}

/// Lines of cells, each as wide as the widest of its column.
fn write_aligned<const N: usize>(f: &mut Formatter<'_>, lines: &[[String; N]]) -> Result {
    let widths: [usize; N] = std::array::from_fn(|i| lines.iter().map(|cells| cells[i].len()).max().unwrap_or(0));
    for cells in lines {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        writeln!(f, "{}", padded.join("  "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::nn::{Placement, PlanOptions, Shard, TableLoad};

    #[test]
    fn a_plan_is_a_table() {
        let tables = [(1_000_000, 1.0), (20, 3.0), (250_000, 0.5), (7, 1.0)];
        let tables = tables.map(|(num_embeddings, lookups)| TableLoad { num_embeddings, lookups });
        let options = PlanOptions { samples: 8, ..PlanOptions::default() };
        let plan = Placement::plan_with(&tables, 16, 3, &options).unwrap().to_string();
        assert_eq!(
            plan,
            "\
table             rows  columns  rank      MB  lookups
    0        0..500000    0..16     0  32.000     0.50
    0  500000..1000000    0..16     1  32.000     0.50
    1            0..10    0..16     2   0.001     1.50
    1           10..20    0..16     0   0.001     1.50
    2        0..250000    0..16     2  16.000     0.50
    3             0..7    0..16   all   0.000     0.33

     rank  shards      MB  lookups
        0       3  32.001     2.33
        1       2  32.000     0.83
        2       3  16.001     2.33
most/mean            1.20     1.27
"
        );
    }

    #[test]
    fn what_nobody_counted_is_not_made_up() {
        let shard = |rank, columns| Shard { table: 0, rank, rows: 0..1000, columns };
        let placement = Placement::new(vec![shard(1, 0..3), shard(0, 3..4)], &[1000], 4, 3).unwrap();
        assert_eq!(
            placement.to_string(),
            "\
table     rows  columns  rank     MB  lookups
    0  0..1000     0..3     1  0.012        -
    0  0..1000     3..4     0  0.004        -

     rank  shards     MB  lookups
        0       1  0.004        -
        1       1  0.012        -
        2       0  0.000        -
most/mean           2.25        -
"
        );
    }
}
