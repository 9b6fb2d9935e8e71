//! Charts as SVG: curves and bars, readable on light and on dark.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const LEGEND: f64 = 220.0;

/// Room for the names of bars, and the height of one.
const NAMES: f64 = 210.0;
const BAR: f64 = 26.0;

/// Colours of curves and bars, on light and on dark.
const COLOURS: [[&str; 2]; 4] =
    [["#2f6db3", "#6aa9ec"], ["#c4620c", "#f0a04b"], ["#2e8540", "#6cc47d"], ["#7d4aa8", "#c092e6"]];

pub struct Axis {
    pub label: &'static str,
    pub from: f64,
    pub to: f64,
    /// Powers of ten at equal distances.
    pub log: bool,
    pub percent: bool,
}

pub struct Series {
    pub name: String,
    pub colour: usize,
    pub dashed: bool,
    pub points: Vec<(f64, f64)>,
}

pub struct Chart {
    pub title: &'static str,
    pub x: Axis,
    pub y: Axis,
}

pub struct Bar {
    pub name: String,
    /// From 0 to 1.
    pub share: f64,
    pub colour: usize,
}

impl Axis {
    /// The place of a value, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scale = |v: f64| if self.log { v.log10() } else { v };
        (scale(value) - scale(self.from)) / (scale(self.to) - scale(self.from))
    }

    /// Round values along it: powers of ten, or four to nine multiples of 1, 2 or 5 times one.
    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let powers = self.from.log10().ceil() as i32..=self.to.log10().floor() as i32;
            return powers.map(|power| 10f64.powi(power)).collect();
        }
        let rough = (self.to - self.from) / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [5.0, 2.0, 1.0].map(|m| m * power).into_iter().find(|&step| step <= rough).unwrap_or(power);
        let (first, last) = ((self.from / step - 1e-9).ceil() as i64, (self.to / step + 1e-9).floor() as i64);
        (first..=last).map(|i| i as f64 * step).collect()
    }

    fn show(&self, value: f64) -> String {
        let rounded = |v: f64| format!("{}", (v * 1e4).round() / 1e4);
        match value {
            v if self.percent => format!("{} %", rounded(100.0 * v)),
            v if v >= 1000.0 => format!("{}k", rounded(v / 1000.0)),
            v => rounded(v),
        }
    }
}

impl Chart {
    /// A curve for each of `series`, and a legend.
    pub fn lines(&self, series: &[Series]) -> String {
        let mut svg = begin(LEFT + WIDTH + LEGEND, TOP + HEIGHT + 60.0);
        let mut put = |element: String| writeln!(svg, "{element}").expect("a string takes all");
        let x = |value: f64| LEFT + WIDTH * self.x.place(value);
        let y = |value: f64| TOP + HEIGHT * (1.0 - self.y.place(value));
        put(text((LEFT + WIDTH / 2.0, 28.0), "middle", self.title));
        for tick in self.x.ticks() {
            put(grid((x(tick), TOP), (x(tick), TOP + HEIGHT)));
            put(text((x(tick), TOP + HEIGHT + 18.0), "middle", &self.x.show(tick)));
        }
        for tick in self.y.ticks() {
            put(grid((LEFT, y(tick)), (LEFT + WIDTH, y(tick))));
            put(text((LEFT - 8.0, y(tick) + 4.0), "end", &self.y.show(tick)));
        }
        put(text((LEFT + WIDTH / 2.0, TOP + HEIGHT + 42.0), "middle", self.x.label));
        let (across, down) = (16.0, TOP + HEIGHT / 2.0);
        put(format!(
            "<g transform=\"rotate(-90 {across} {down})\">{}</g>",
            text((across, down), "middle", self.y.label)
        ));
        for (i, series) in series.iter().enumerate() {
            put(curve(series, series.points.iter().map(|&(a, b)| (x(a), y(b)))));
            let (from, at) = (LEFT + WIDTH + 20.0, TOP + 6.0 + 20.0 * i as f64);
            put(curve(series, [(from, at), (from + 30.0, at)].into_iter()));
            put(text((from + 36.0, at + 4.0), "start", &series.name));
        }
        svg + "</svg>\n"
    }
}

/// A bar for each share, and which colour is which of `groups`.
pub fn bars(title: &str, bars: &[Bar], groups: &[&str]) -> String {
    let most = bars.iter().map(|bar| bar.share).fold(0.01, f64::max);
    let mut svg = begin(NAMES + WIDTH + 80.0, TOP + BAR * bars.len() as f64 + 50.0);
    let mut put = |element: String| writeln!(svg, "{element}").expect("a string takes all");
    put(text((NAMES + WIDTH / 2.0, 28.0), "middle", title));
    for (i, bar) in bars.iter().enumerate() {
        let (top, width) = (TOP + BAR * i as f64, WIDTH * bar.share / most);
        put(text((NAMES - 8.0, top + 0.65 * BAR), "end", &bar.name));
        put(rect((NAMES, top + 3.0), (width, BAR - 6.0), bar.colour));
        put(text((NAMES + width + 6.0, top + 0.65 * BAR), "start", &format!("{:.1} %", 100.0 * bar.share)));
    }
    for (i, group) in groups.iter().enumerate() {
        let (left, top) = (NAMES + 150.0 * i as f64, TOP + BAR * bars.len() as f64 + 14.0);
        put(rect((left, top), (14.0, 14.0), i));
        put(text((left + 20.0, top + 12.0), "start", group));
    }
    svg + "</svg>\n"
}

/// The head, with the colours of both themes.
fn begin(width: f64, height: f64) -> String {
    let rules = |theme: usize| {
        let [ink, paper, grid] = [["#222", "#fff", "#ddd"], ["#ddd", "#15171b", "#3b3f46"]][theme];
        let colours = COLOURS.iter().enumerate().map(|(i, colour)| {
            let colour = colour[theme];
            format!(".line{i} {{ stroke: {colour} }} .bar{i} {{ fill: {colour} }}\n")
        });
        format!(
            "text {{ fill: {ink} }} .paper {{ fill: {paper} }} .grid {{ stroke: {grid} }}\n{}",
            colours.collect::<String>()
        )
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<style>\npolyline {{ fill: none; stroke-width: \
         1.8 }}\n{}@media (prefers-color-scheme: dark) {{\n{}}}\n</style>\n<rect class=\"paper\" width=\"100%\" \
         height=\"100%\"/>\n",
        rules(0),
        rules(1)
    )
}

fn curve(series: &Series, points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let (colour, dashes) = (series.colour % COLOURS.len(), if series.dashed { "6 4" } else { "none" });
    format!("<polyline class=\"line{colour}\" stroke-dasharray=\"{dashes}\" points=\"{}\"/>", points.join(" "))
}

fn grid((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!("<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")
}

fn rect((x, y): (f64, f64), (width, height): (f64, f64), colour: usize) -> String {
    format!("<rect class=\"bar{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>")
}

fn text((x, y): (f64, f64), anchor: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}
