//! A step beside its roofline: each operation's time and its bound, and the limit of the whole.

use super::columns::print_columns;
use dlrm::profile::{Entry, typical_step};
use dlrm::roofline::{Cost, Roofline};
use serde::Serialize;

#[derive(Serialize)]
pub struct Breakdown {
    machine: Roofline,
    /// Slowest first.
    operators: Vec<Operator>,
    /// The step's median time less those of the operations: batches checked and copied, and the
    /// differences between medians.
    rest_ms: f64,
    step: Step,
}

#[derive(Serialize)]
struct Operator {
    operator: &'static str,
    /// M × N × K.
    layer: Option<[usize; 3]>,
    /// A step, as everything here.
    calls: u64,
    median_ms: f64,
    percent_of_step: f64,
    cost: Cost,
    bound_ms: f64,
    bound_percent: f64,
}

#[derive(Serialize)]
struct Step {
    cost: Cost,
    limit_ms: f64,
    median_ms: f64,
    limit_percent: f64,
}

impl Breakdown {
    /// Of `steps` with a median of `median_ms` and work that cannot be less than `cost`.
    pub fn new(machine: Roofline, steps: &[Vec<Entry>], cost: Cost, median_ms: f64) -> Self {
        let operator = |e: Entry| {
            let (ms, bound_ms) = (1e3 * e.time.as_secs_f64(), e.bound_ms(&machine));
            Operator {
                operator: e.operator,
                layer: e.layer,
                calls: e.calls,
                median_ms: ms,
                percent_of_step: 100.0 * ms / median_ms,
                cost: e.cost,
                bound_ms,
                bound_percent: 100.0 * bound_ms / ms,
            }
        };
        let mut operators: Vec<Operator> = typical_step(steps).into_iter().map(operator).collect();
        operators.sort_by(|a, b| b.median_ms.total_cmp(&a.median_ms));
        let rest_ms = median_ms - operators.iter().map(|o| o.median_ms).sum::<f64>();
        let limit_ms = machine.step_ms(&cost);
        let step = Step { cost, limit_ms, median_ms, limit_percent: 100.0 * limit_ms / median_ms };
        Breakdown { machine, operators, rest_ms, step }
    }

    pub fn print(&self) {
        let Roofline { f32_gflops, read_gbs, rows, .. } = &self.machine;
        let rows = rows.map(|r| format!("{} bytes {:.1} / {:.1}", r.bytes, r.read_gbs, r.update_gbs)).join(", ");
        println!("peaks: {f32_gflops:.0} GFLOP/s; {read_gbs:.1} GB/s front to back; rows read / updated: {rows} GB/s");
        let header = [
            "operation",
            "M×N×K",
            "calls",
            "ms",
            "of step",
            "MFLOP",
            "streamed, MB",
            "rows read, MB",
            "updated, MB",
            "bound, ms",
            "bound/ms",
        ];
        let mut lines: Vec<Vec<String>> = self.operators.iter().map(Operator::cells).collect();
        let percent = percent(100.0 * self.rest_ms / self.step.median_ms);
        let mut rest = vec!["(between them)".into(), String::new(), String::new(), ms(self.rest_ms), percent];
        rest.resize(header.len(), String::new());
        lines.push(rest);
        print_columns(&header, &lines);
        let Step { cost, limit_ms, median_ms, limit_percent } = &self.step;
        println!(
            "the step: limit {limit_ms:.3} ms ({:.2} GFLOP, {:.1} MB of rows read, {:.1} MB updated), median \
             {median_ms:.3} ms: {limit_percent:.0} %",
            1e-9 * cost.flops as f64,
            1e-6 * cost.rows_read.bytes as f64,
            1e-6 * cost.rows_updated.bytes as f64,
        );
    }
}

impl Operator {
    fn cells(&self) -> Vec<String> {
        let amount = |n: u64| if n == 0 { String::new() } else { format!("{:.2}", 1e-6 * n as f64) };
        let bound = |text: String| if self.bound_ms == 0.0 { String::new() } else { text };
        vec![
            self.operator.into(),
            self.layer.map_or(String::new(), |[m, n, k]| format!("{m}×{n}×{k}")),
            self.calls.to_string(),
            ms(self.median_ms),
            percent(self.percent_of_step),
            amount(self.cost.flops),
            amount(self.cost.streamed),
            amount(self.cost.rows_read.bytes),
            amount(self.cost.rows_updated.bytes),
            bound(ms(self.bound_ms)),
            bound(percent(self.bound_percent)),
        ]
    }
}

fn ms(ms: f64) -> String {
    format!("{ms:.3}")
}

fn percent(percent: f64) -> String {
    format!("{percent:.0} %")
}
