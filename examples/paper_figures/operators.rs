//! Figure 6 (section 5.2): where the time of a training step goes, by operator, on the processor.
//!
//! The model is that of section 5.2, which the reference has as `bench/dlrm_s_benchmark.sh`: 8 tables of a million rows of
//! 64 numbers, 512 dense features, bottom MLP 512-512-64, top MLP 1024-1024-1024-1, batches of 2048. A sample has 100
//! lookups a table here; there it has 1 to 100, which the reference draws.

use crate::Output;
use crate::chart::{Bar, bars};
use crate::check::Check;
use crate::support::Meter;
use crate::support::models::{Config, random_batches};
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::nn::Dlrm;
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::profile::{Profiled, reference_operators};
use dlrm::train::Trainer;
use dlrm::{Parameters, Result, Stream};
use std::fmt::Write;
use std::sync::Arc;

const BATCH: usize = 2048;

/// Different batches, used in turn.
const DISTINCT: u32 = 2;

/// The kinds of operators that the paper speaks of, and all others.
const GROUPS: [&str; 3] = ["fully connected", "embeddings", "all else"];

/// The time of an operation, over all steps.
struct Operator {
    name: &'static str,
    calls: u64,
    seconds: f64,
}

/// The place in [`GROUPS`].
fn group(operator: &str) -> usize {
    match operator {
        "linear" | "linear_backward" | "update_dense" => 0,
        "embedding_bags" | "embedding_bags_backward" | "update_tables" => 1,
        _ => 2,
    }
}

/// Trains for some steps and profiles them.
pub fn profile(cpu: &Arc<Cpu>, steps: u64, output: &Output) -> Result<Vec<Check>> {
    let operators = train(cpu, steps)?;
    let total: f64 = operators.iter().map(|o| o.seconds).sum();
    let share_of = |wanted: usize| {
        let seconds: f64 = operators.iter().filter(|o| group(o.name) == wanted).map(|o| o.seconds).sum();
        seconds / total
    };
    let mut csv = "operator,caffe2,pytorch,group,calls,ms_per_step,share\n".to_owned();
    let mut shown = Vec::new();
    for Operator { name, calls, seconds } in &operators {
        let [caffe2, pytorch] = reference_operators(name).unwrap_or_default();
        let (ms, share, kind) = (1e3 * seconds / steps as f64, seconds / total, GROUPS[group(name)]);
        writeln!(csv, "{name},\"{caffe2}\",\"{pytorch}\",{kind},{calls},{ms:.3},{share:.4}")
            .expect("a string takes all");
        shown.push(Bar { name: (*name).to_owned(), share, colour: group(name) });
    }
    output.write("figure6.csv", &csv)?;
    let title = "Time of a training step by operator (section 5.2's model, batch 2048)";
    output.write("figure6.svg", &bars(title, &shown, &GROUPS))?;
    let [connected, embeddings, others] = [0, 1, 2].map(share_of);
    Ok(vec![
        // "The majority of time is spent" on these two.
        Check::at_least("figure 6: share of fully connected layers and embeddings", 0.5, connected + embeddings, 0.0),
        // "A significant portion" on the CPU.
        Check::at_least("figure 6: share of fully connected layers", 0.2, connected, 0.0),
        Check::at_least("figure 6: embeddings before all that is neither, shares", 0.0, embeddings - others, 0.0),
    ])
}

/// What each operation took in all steps, longest first.
fn train(cpu: &Arc<Cpu>, steps: u64) -> Result<Vec<Operator>> {
    let (config, lookups) = Config::Bigbasin.model();
    let profiled = Arc::new(Profiled::new(cpu.clone()));
    let mut stream = Stream::native(727);
    let mut params = Parameters::new(profiled.clone());
    let model = Dlrm::new(&config, &mut params, &mut stream)?;
    let batches = random_batches(DISTINCT, BATCH, &config, lookups, &mut stream);
    let mut trainer = Trainer::new(model, params, UpdateRule::Sgd, LrPolicy::constant(0.01), LossKind::Mse);
    let mut meter = Meter::new("figure 6", Some(steps * BATCH as u64));
    let mut run = |trainer: &mut Trainer<Dlrm>| {
        // The first steps see new memory, and are not counted.
        batches.iter().try_for_each(|batch| trainer.step(batch).map(drop))?;
        profiled.take();
        for (step, batch) in (1..=steps).zip(batches.iter().cycle()) {
            trainer.step(batch)?;
            meter.update(step * BATCH as u64, String::new);
        }
        Ok(())
    };
    let mut result = Ok(());
    profiled.scope(&mut || result = run(&mut trainer));
    result?;
    meter.finish();
    let mut operators: Vec<Operator> = Vec::new();
    for entry in profiled.take() {
        let seconds = entry.time.as_secs_f64();
        match operators.iter_mut().find(|o| o.name == entry.operator) {
            None => operators.push(Operator { name: entry.operator, calls: entry.calls, seconds }),
            Some(same) => {
                same.calls += entry.calls;
                same.seconds += seconds;
            }
        }
    }
    operators.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    Ok(operators)
}
