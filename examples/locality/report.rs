//! The figures of each column: as a table, as bars, as JSON.

use crate::support::columns::print_columns;
use dlrm::data::locality::Locality;
use indicatif::HumanCount;
use serde::Serialize;

const HOTTEST: [usize; 5] = [1, 10, 100, 1000, 10_000];
const HOTTEST_PERCENT: [f64; 3] = [0.1, 1.0, 10.0];

#[derive(Serialize)]
pub struct Report {
    column: String,
    accesses: u64,
    /// Different rows, and so first accesses.
    different: usize,
    /// Shares of the accesses, as all shares here.
    hottest_rows: Vec<HottestRows>,
    /// Of the different rows.
    hottest_percent: Vec<HottestPercent>,
    /// First accesses apart.
    stack_distances: Vec<Octave>,
}

#[derive(Serialize)]
struct HottestRows {
    rows: usize,
    share: f64,
}

#[derive(Serialize)]
struct HottestPercent {
    percent: f64,
    share: f64,
}

#[derive(Serialize)]
struct Octave {
    /// The largest distance, a power of two. The smallest is above that of the octave before.
    up_to: usize,
    accesses: u64,
    /// Of an LRU cache of so many rows.
    lru_hit_rate: f64,
}

impl Report {
    pub fn new(column: &str, locality: &Locality) -> Self {
        let different = locality.different();
        let hottest_rows =
            HOTTEST.iter().map(|&rows| HottestRows { rows, share: locality.share_of_hottest(rows) }).collect();
        let percent = |&percent: &f64| {
            let rows = (percent / 100.0 * different as f64).ceil() as usize;
            HottestPercent { percent, share: locality.share_of_hottest(rows) }
        };
        let octaves = locality.stack_distances().into_iter().enumerate();
        Report {
            column: column.to_owned(),
            accesses: locality.accesses(),
            different,
            hottest_rows,
            hottest_percent: HOTTEST_PERCENT.iter().map(percent).collect(),
            stack_distances: octaves
                .map(|(j, accesses)| {
                    let up_to = 1 << j;
                    Octave { up_to, accesses, lru_hit_rate: locality.lru_hit_rate(up_to) }
                })
                .collect(),
        }
    }

    pub fn print_json(&self) {
        println!("{}", serde_json::to_string(self).expect("numbers and names"));
    }

    fn cells(&self) -> Vec<String> {
        let shares = self.hottest_rows.iter().map(|h| h.share).chain(self.hottest_percent.iter().map(|h| h.share));
        let counts = [self.accesses, self.different as u64].map(|n| HumanCount(n).to_string());
        [self.column.clone()].into_iter().chain(counts).chain(shares.map(percent)).collect()
    }

    /// A bar for first accesses and one for each of `octaves`, in eighths of the highest.
    fn bars(&self, octaves: usize) -> String {
        let counts: Vec<u64> = self.stack_distances.iter().map(|o| o.accesses).collect();
        let first = self.different as u64;
        let highest = counts.iter().copied().fold(first, u64::max);
        let bar =
            |n: u64| [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"][(8 * n).div_ceil(highest.max(1)) as usize].repeat(2);
        let bars: String = counts.iter().map(|&n| bar(n)).collect();
        let highest = percent(share(highest, self.accesses));
        format!("{} │{bars:<width$}│ {highest:>6}", bar(first), width = 2 * octaves)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// The table, and under it the bars.
pub fn print(reports: &[Report]) {
    println!("share of the accesses by the rows met most often: so many of them, and so much of the different ones");
    let header = ["column", "accesses", "different", "1", "10", "100", "1000", "10,000", "0.1%", "1%", "10%"];
    print_columns(&header, &reports.iter().map(Report::cells).collect::<Vec<_>>());
    println!();
    println!("stack distances: an access is new, or its row was met so many distinct rows ago (at most: 1, 2, 4 ...);");
    println!("to the right the share of the highest bar");
    let width = reports.iter().map(|r| r.column.chars().count()).fold(0, usize::max);
    let octaves = reports.iter().map(|r| r.stack_distances.len()).fold(0, usize::max);
    let ticks: String = (0..octaves).step_by(4).map(|j| format!("{:<8}", short(1 << j))).collect();
    println!("{:width$}  new {}", "", ticks.trim_end());
    reports.iter().for_each(|r| println!("{:width$}  {}", r.column, r.bars(octaves)));
}

/// `4k`, `1M`: powers of two, about.
fn short(n: u64) -> String {
    match n {
        0..1024 => n.to_string(),
        1024..1_048_576 => format!("{}k", n / 1024),
        _ => format!("{}M", n / 1_048_576),
    }
}
