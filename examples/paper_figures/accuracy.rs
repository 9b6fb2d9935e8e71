//! Figure 5 (section 5.1): accuracy of DLRM and of the paper's baseline DCN in the course of one pass, with SGD and with
//! Adagrad, without regularisation.
//!
//! The models are the paper's: those of the Kaggle set with tables as large as the rows need. It has neither learning rates
//! nor batch size; the latter is the reference's, and the former are those that were found best on another day of a public
//! sample of Criteo's (the guide's page on real rows), but for DLRM with SGD, which has the reference's.

mod rows;

use crate::Output;
use crate::chart::{Axis, Chart, Series};
use crate::check::Check;
use crate::support::Meter;
use dlrm::backend::{Backend, Cpu, LossKind};
use dlrm::data::criteo::TimeSplit;
use dlrm::data::source::{BatchSource, Order, RowSource, Samples};
use dlrm::metrics::Evaluation;
use dlrm::nn::{Dcn, DcnConfig, Dlrm, DlrmConfig, Model};
use dlrm::optim::{UpdateRule, schedule::LrPolicy};
use dlrm::train::Trainer;
use dlrm::{Batch, Error, Parameters, Result, Stream};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

const BATCH: usize = 128;
const TEST_BATCH: usize = 2048;
const SEED: u64 = 1;

/// Looks at the accuracy in a pass.
const LOOKS: usize = 12;

/// Most rows that are looked at: of those of the last day the first, and as many of those to train on.
const TEST_ROWS: usize = 50_000;

struct Recipe {
    name: &'static str,
    is_dcn: bool,
    rule: UpdateRule,
    lr: f64,
}

const RECIPES: [Recipe; 4] = [
    Recipe { name: "DLRM, SGD", is_dcn: false, rule: UpdateRule::Sgd, lr: 0.1 },
    Recipe { name: "DCN, SGD", is_dcn: true, rule: UpdateRule::Sgd, lr: 0.03 },
    Recipe { name: "DLRM, Adagrad", is_dcn: false, rule: UpdateRule::ADAGRAD, lr: 0.01 },
    Recipe { name: "DCN, Adagrad", is_dcn: true, rule: UpdateRule::ADAGRAD, lr: 0.005 },
];

/// What the paper says of the accuracies: the first at least as high as the second, both places in [`RECIPES`].
const ABOVE: [[usize; 2]; 4] = [[0, 1], [2, 3], [2, 0], [3, 1]];

/// A model after so many steps: on rows to train on, and on rows of the last day.
struct Look {
    step: usize,
    of: [Evaluation; 2],
}

/// Trains each model with each optimizer, and compares them.
pub fn compare(data: Option<&Path>, generated: u64, cpu: &Arc<Cpu>, output: &Output) -> Result<Vec<Check>> {
    let rows = rows::open(data, generated, cpu)?;
    let split = TimeSplit::of_days(rows.days().into_iter().map(|day| day as usize).collect());
    let split = split.ok_or_else(|| Error::Config("no row to train on, or none of a last day".into()))?;
    let mut meter = Meter::new("figure 5", Some((RECIPES.len() * split.train().len()) as u64));
    let mut curves = Vec::new();
    for (i, recipe) in RECIPES.iter().enumerate() {
        let before = i * split.train().len();
        let mut told = |rows: usize| meter.update((before + rows) as u64, || format!("{}, ", recipe.name));
        let mut looks = Ok(Vec::new());
        cpu.scope(&mut || looks = train(recipe, (&*rows, &split), cpu, &mut told));
        curves.push(looks?);
    }
    meter.finish();
    draw(&curves, output)?;
    Ok(checks(&curves))
}

fn train(
    recipe: &Recipe,
    (rows, split): (&dyn Samples, &TimeSplit),
    cpu: &Arc<Cpu>,
    told: &mut dyn FnMut(usize),
) -> Result<Vec<Look>> {
    let (mut params, mut stream) = (Parameters::new(cpu.clone()), Stream::native(SEED));
    let model: Box<dyn Model> = match recipe.is_dcn {
        true => Box::new(Dcn::new(&DcnConfig::criteo_kaggle(rows.num_embeddings()), &mut params, &mut stream)?),
        false => Box::new(Dlrm::new(&DlrmConfig::criteo_kaggle(rows.num_embeddings()), &mut params, &mut stream)?),
    };
    let mut trainer = Trainer::new(model, params, recipe.rule, LrPolicy::constant(recipe.lr), LossKind::BCE);
    let count = split.test(true).len().min(split.train().len()).min(TEST_ROWS);
    let looked_at = [split.train(), split.test(true)].map(|rows| rows.start..rows.start + count);
    let mut sources = looked_at.map(|range| RowSource::new(rows, range, TEST_BATCH, Order::InOrder));
    let mut source = RowSource::new(rows, split.train(), BATCH, Order::Shuffled(SEED));
    let steps = split.train().len().div_ceil(BATCH);
    let (mut looks, mut batch, mut done) = (Vec::new(), Batch::default(), 0);
    for step in 1..=steps {
        source.next_batch(&mut batch)?;
        trainer.step(&batch)?;
        done += batch.len();
        told(done);
        if step * LOOKS / steps > (step - 1) * LOOKS / steps {
            let [train, test] = &mut sources;
            looks.push(Look { step, of: [look(&mut trainer, train)?, look(&mut trainer, test)?] });
        }
    }
    Ok(looks)
}

fn look(trainer: &mut Trainer<Box<dyn Model>>, source: &mut dyn BatchSource) -> Result<Evaluation> {
    source.start_epoch(0)?;
    trainer.evaluate(source)
}

/// The curves as the paper has them: training with a line, validation with dashes.
fn draw(curves: &[Vec<Look>], output: &Output) -> Result<()> {
    let mut csv = "run,step,rows,training_accuracy,validation_accuracy,training_loss,validation_loss\n".to_owned();
    for (recipe, looks) in RECIPES.iter().zip(curves) {
        for Look { step, of: [train, test] } in looks {
            let accuracies = format!("{:.5},{:.5}", train.accuracy, test.accuracy);
            let losses = format!("{:.5},{:.5}", train.logloss, test.logloss);
            let rows = step * BATCH;
            writeln!(csv, "\"{}\",{step},{rows},{accuracies},{losses}", recipe.name).expect("a string takes all");
        }
    }
    output.write("figure5.csv", &csv)?;
    let accuracy = chart("Accuracy in one pass over the rows", "accuracy", true, curves, |e| e.accuracy);
    output.write("figure5_accuracy.svg", &accuracy)?;
    output.write(
        "figure5_loss.svg",
        &chart("Log loss in one pass over the rows", "log loss", false, curves, |e| e.logloss),
    )
}

fn chart(
    title: &'static str,
    label: &'static str,
    percent: bool,
    curves: &[Vec<Look>],
    of: impl Fn(&Evaluation) -> f64,
) -> String {
    let mut series = Vec::new();
    for (colour, (recipe, looks)) in RECIPES.iter().zip(curves).enumerate() {
        for (which, what) in ["training", "validation"].into_iter().enumerate() {
            let points = looks.iter().map(|look| (look.step as f64, of(&look.of[which]))).collect();
            series.push(Series { name: format!("{}, {what}", recipe.name), colour, dashed: which == 1, points });
        }
    }
    let points = || series.iter().flat_map(|s| &s.points);
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(low, high), &(_, v)| (low.min(v), high.max(v)));
    let steps = points().map(|&(step, _)| step).fold(1.0, f64::max);
    let margin = 0.05 * (high - low).max(1e-6);
    let x = Axis { label: "iterations", from: 0.0, to: steps, log: false, percent: false };
    let y = Axis { label, from: low - margin, to: high + margin, log: false, percent };
    Chart { title, x, y }.lines(&series)
}

/// At the end of the pass. The tolerance is two standard errors of the difference of two models on so many rows, if they
/// disagree on one row in ten.
fn checks(curves: &[Vec<Look>]) -> Vec<Check> {
    let last = |run: usize| curves[run].last().map_or([f64::NAN; 2], |look| look.of.map(|e| e.accuracy));
    let rows = curves[0].last().map_or(0, |look| look.of[1].rows);
    let tolerance = 2.0 * (0.1 / rows as f64).sqrt();
    let mut checks = Vec::new();
    for [high, low] in ABOVE {
        for (which, what) in ["training", "validation"].into_iter().enumerate() {
            let what = format!("figure 5: {} above {}, {what} accuracy", RECIPES[high].name, RECIPES[low].name);
            checks.push(Check::at_least(what, 0.0, last(high)[which] - last(low)[which], tolerance));
        }
    }
    checks
}
