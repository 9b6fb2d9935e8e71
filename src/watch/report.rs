//! A page about a run that is over.

mod chart;

use super::steps::StepSummary;
use crate::error::{Error, Result};
use crate::metrics::{CalibrationBin, Curves};
use crate::partial::Partial;
use crate::profile::Entry;
use crate::train::Record;
use chart::Chart;
use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::path::Path;

/// Points of a learning curve at most; of more, neighbours have their mean drawn.
const MOST_POINTS: usize = 400;

/// A page of HTML about a run: the final figures, learning curves, the ROC curve, how far probabilities are what they say,
/// the time of each operation, the configuration and the machine. Pictures are SVG in the page itself, which
/// needs no network and no script, and is light or dark as the reader has it.
///
/// Its `Display` is the page. Exact numbers are there as values of `<data>` elements.
#[derive(Debug, Clone, Copy)]
pub struct RunReport<'a> {
    /// What is on top.
    pub title: &'a str,
    /// Names and values of what the run was asked for.
    pub configuration: &'a [(String, String)],
    /// Names and values of what it ran on.
    pub machine: &'a [(String, String)],
    /// The training as it went.
    pub steps: &'a [StepSummary],
    /// The tests; the last one is of the finished model.
    pub records: &'a [Record],
    /// Curves of the finished model, if there are any.
    pub curves: Option<&'a Curves>,
    /// The time of each operation.
    pub operators: &'a [Entry],
}

impl RunReport<'_> {
    /// Writes the page to `path`, which has it whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::File`] if `path` can be no file's name.
    pub fn write(&self, path: &Path) -> Result<()> {
        Partial::written(path, |file| write!(file, "{self}").map_err(|e| Error::io(path, e)))?.publish()
    }

    fn figures(&self) -> String {
        let Some(record) = self.records.last() else { return String::new() };
        let e = &record.evaluation;
        let figures = [
            ("auc", "test AUC", e.auc),
            ("logloss", "test log loss", Some(e.logloss)),
            ("average_precision", "average precision", e.average_precision),
            ("normalized_entropy", "normalized entropy", e.normalized_entropy),
            ("accuracy", "accuracy", Some(e.accuracy)),
            ("precision", "precision", Some(e.precision)),
            ("recall", "recall", Some(e.recall)),
            ("f1", "F1", Some(e.f1)),
            ("base_rate", "base rate", Some(e.base_rate)),
            ("calibration", "calibration (prediction / base)", e.calibration),
            ("train_loss", "train loss, last pass", Some(record.train_loss)),
            ("rows_per_s", "rows a second, training", Some(record.rows_per_s)),
            ("train_seconds", "seconds of training", Some(record.train_seconds)),
        ];
        let defined =
            figures.into_iter().filter_map(|(id, name, value)| Some((id, name, value.filter(|v| !v.is_nan())?)));
        let row = |(id, name, value): (&str, &str, f64)| {
            let digits = if value.abs() >= 1000.0 { 0 } else { 5 };
            format!(
                "<tr><td>{name}</td><td class=\"number\"><data id=\"{id}\" value=\"{value}\">{value:.digits$}</data></td></tr>"
            )
        };
        let counts = [("step", "steps", record.step), ("test_rows", "rows tested on", e.rows)];
        let counts = counts.map(|(id, name, count)| {
            format!(
                "<tr><td>{name}</td><td class=\"number\"><data id=\"{id}\" value=\"{count}\">{count}</data></td></tr>"
            )
        });
        format!("<table class=\"pairs figures\">{}{}</table>", defined.map(row).collect::<String>(), counts.concat())
    }

    /// Losses, and the AUC.
    fn learning(&self) -> Vec<String> {
        let mut tests: Vec<&Record> = Vec::new();
        for record in self.records {
            // The best one may be there again at the end.
            if tests.last().is_none_or(|last| record.step > last.step) {
                tests.push(record);
            }
        }
        let train = thinned(&self.steps.iter().map(|s| (s.step as f64, s.loss)).collect::<Vec<_>>());
        let of = |figure: fn(&Record) -> Option<f64>| -> Vec<(f64, f64)> {
            let point = |record: &&Record| Some((record.step as f64, figure(record).filter(|f| f.is_finite())?));
            tests.iter().filter_map(point).collect()
        };
        let (losses, aucs) = (of(|r| Some(r.evaluation.logloss)), of(|r| r.evaluation.auc));
        let last = train.iter().chain(&losses).map(|point| point.0).fold(1.0, f64::max);
        let tell = |points: &[(f64, f64)]| {
            let told: Vec<_> = points.iter().map(|(step, value)| format!("step {step}: {value:.5}")).collect();
            move |i: usize| told[i].clone()
        };
        let mut charts = Vec::new();
        if let Some(range) = range(train.iter().chain(&losses)) {
            let mut chart = Chart::new("Loss", ["steps", "loss"], (0.0, last), range);
            chart.curve("second", "test", &losses);
            chart.curve("first", "training", &train);
            chart.dots("second", &losses, tell(&losses));
            charts.push(chart.finish());
        }
        if let Some(range) = range(aucs.iter()) {
            let mut chart = Chart::new("Test AUC", ["steps", "AUC"], (0.0, last), range);
            chart.curve("second", "", &aucs);
            chart.dots("second", &aucs, tell(&aucs));
            charts.push(chart.finish());
        }
        charts
    }

    fn operators(&self) -> String {
        let mut operators = self.operators.to_vec();
        operators.sort_by_key(|entry| std::cmp::Reverse(entry.time));
        let total: f64 = operators.iter().map(|entry| entry.time.as_secs_f64()).sum();
        let row = |entry: &Entry| {
            let (seconds, layer) = (entry.time.as_secs_f64(), entry.layer.map(|[m, n, k]| format!("{m}×{n}×{k}")));
            let percent = 100.0 * seconds / total;
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{:.1}</td><td \
                 class=\"number\">{percent:.1} %</td><td class=\"bar\"><span class=\"share\" style=\"width: \
                 {percent:.1}%\"></span></td></tr>",
                entry.operator,
                layer.unwrap_or_default(),
                entry.calls,
                1e3 * seconds
            )
        };
        format!(
            "<div class=\"scroll\"><table><tr><th>operation</th><th>M×N×K</th><th class=\"number\">calls</th><th \
             class=\"number\">ms</th><th class=\"number\">of all</th><th></th></tr>{}</table></div>",
            operators.iter().map(row).collect::<String>()
        )
    }
}

fn roc(curves: &Curves, auc: Option<f64>) -> String {
    let mut chart = Chart::new("ROC curve", ["false positive rate", "true positive rate"], (0.0, 1.0), (0.0, 1.0));
    let points: Vec<_> = curves.roc.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect();
    chart.even((0.0, 0.0), (1.0, 1.0));
    chart.curve("first", &auc.map_or(String::new(), |auc| format!("AUC {auc:.5}")), &points);
    chart.finish()
}

/// The share of clicks by predicted probability, and the rows of each interval.
fn calibration(bins: &[CalibrationBin]) -> [String; 2] {
    let filled: Vec<(u64, f64, f64)> =
        bins.iter().filter_map(|b| Some((b.rows, b.prediction?, b.click_rate?))).collect();
    let points: Vec<(f64, f64)> = filled.iter().map(|&(_, prediction, rate)| (prediction, rate)).collect();
    let mut chart = Chart::new("Calibration", ["predicted", "share of clicks"], (0.0, 1.0), (0.0, 1.0));
    chart.even((0.0, 0.0), (1.0, 1.0));
    chart.curve("first", "", &points);
    chart.dots("first", &points, |i| {
        let (rows, prediction, rate) = filled[i];
        format!("predicted {prediction:.4}, clicks {rate:.4}, rows {rows}")
    });
    let heights: Vec<f64> = bins.iter().map(|bin| bin.rows as f64).collect();
    let most = heights.iter().copied().fold(1.0, f64::max);
    let mut rows = Chart::new("Rows by predicted probability", ["predicted", "rows"], (0.0, 1.0), (0.0, most));
    rows.bars("first", &heights, |i| format!("{} rows", bins[i].rows));
    [chart.finish(), rows.finish()]
}

/// From the lowest to the highest, if there are any.
fn range<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Option<(f64, f64)> {
    points.map(|point| (point.1, point.1)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// As many points as one can see.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<_> = points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let mean = |chunk: &[(f64, f64)]| {
        let (x, y) = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / chunk.len() as f64, y / chunk.len() as f64)
    };
    finite.chunks(finite.len().div_ceil(MOST_POINTS).max(1)).map(mean).collect()
}

/// Text that means itself, in an element or an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\t' && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn pairs(pairs: &[(String, String)]) -> String {
    let row =
        |(name, value): &(String, String)| format!("<tr><td>{}</td><td>{}</td></tr>", escaped(name), escaped(value));
    format!("<table class=\"pairs\">{}</table>", pairs.iter().map(row).collect::<String>())
}

impl Display for RunReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = escaped(self.title);
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>")?;
        writeln!(
            f,
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>"
        )?;
        writeln!(
            f,
            "<style>\n{}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>",
            include_str!("report/style.css")
        )?;
        let mut section = |name: &str, body: &str| match body {
            "" => Ok(()),
            body => writeln!(f, "<section>\n<h2>{name}</h2>\n{body}\n</section>"),
        };
        let charts = |charts: &[String]| {
            let mut all = String::new();
            charts.iter().for_each(|svg| writeln!(all, "<figure>{svg}</figure>").expect("a string takes all"));
            if charts.is_empty() { all } else { format!("<div class=\"charts\">\n{all}</div>") }
        };
        section("The finished model", &self.figures())?;
        section("How it learned", &charts(&self.learning()))?;
        if let Some(curves) = self.curves {
            let auc = self.records.last().and_then(|record| record.evaluation.auc);
            let [calibration, rows] = calibration(&curves.calibration);
            section("How it predicts", &charts(&[roc(curves, auc), calibration, rows]))?;
        }
        if !self.operators.is_empty() {
            section("Where the time went", &self.operators())?;
        }
        section("Configuration", &pairs(self.configuration))?;
        section("Machine", &pairs(self.machine))?;
        writeln!(f, "</main>\n</body>\n</html>")
    }
}
