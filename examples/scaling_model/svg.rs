//! Predicted efficiencies as a picture that is read on a light page and on a dark one.

use super::cluster::{MODELS, Prediction, RANKS, SOCKET};
use dlrm::roofline::ranks::Network;
use std::fmt::Write;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 50.0;

/// Told apart on white and on black.
const COLOURS: [&str; 3] = ["#3b82f6", "#ea580c", "#16a34a"];

/// Efficiency by the number of ranks, which are sockets: a curve a model, weak scaling with dashes.
pub fn efficiencies(network: &Network, predictions: &[Prediction]) -> String {
    let last = (RANKS[RANKS.len() - 1] as f64).log2();
    let x = |ranks: usize| LEFT + WIDTH * (ranks as f64).log2() / last;
    let y = |share: f64| TOP + HEIGHT * (1.0 - share);
    let (width, height) = (LEFT + WIDTH + 150.0, TOP + HEIGHT + 60.0);
    // Grey lines and text of the colour that the page has.
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<style>text {{ fill: #444 }} @media (prefers-color-scheme: dark) {{ \
         text {{ fill: #ccc }} }}</style>\n"
    );
    let title = format!("Predicted efficiency on sockets with {} GB/s each", network.gbs);
    let mut put = |element: String| writeln!(svg, "{element}").expect("a string takes all");
    put(text(LEFT + WIDTH / 2.0, 28.0, "middle", &title));
    for ranks in RANKS {
        put(line((x(ranks), TOP), (x(ranks), TOP + HEIGHT)));
        put(text(x(ranks), TOP + HEIGHT + 18.0, "middle", &ranks.to_string()));
    }
    for percent in (0..=100).step_by(20) {
        let at = y(f64::from(percent) / 100.0);
        put(line((LEFT, at), (LEFT + WIDTH, at)));
        put(text(LEFT - 8.0, at + 4.0, "end", &format!("{percent}%")));
    }
    put(text(LEFT + WIDTH / 2.0, TOP + HEIGHT + 42.0, "middle", "ranks (logarithmic)"));
    let curves = MODELS.iter().zip(COLOURS).flat_map(|(model, colour)| {
        [("strong", "none"), ("weak", "6 4")].map(|(scaling, dashes)| (model, scaling, colour, dashes))
    });
    for (i, (model, scaling, colour, dashes)) in curves.enumerate() {
        let of = |p: &&Prediction| p.rank == SOCKET && p.model == *model && p.scaling == scaling;
        let points = predictions.iter().filter(of).map(|p| (x(p.ranks), y((p.speedup / p.ranks as f64).min(1.0))));
        put(curve(points, colour, dashes));
        let (from, at) = (LEFT + WIDTH + 12.0, TOP + 10.0 + 18.0 * i as f64);
        put(curve([(from, at), (from + 26.0, at)].into_iter(), colour, dashes));
        put(text(from + 32.0, at + 4.0, "start", &format!("{model}, {scaling}")));
    }
    svg + "</svg>\n"
}

fn curve(points: impl Iterator<Item = (f64, f64)>, colour: &str, dashes: &str) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    format!(
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>"
    )
}

fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#888\" stroke-opacity=\"0.4\"/>"
    )
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}
