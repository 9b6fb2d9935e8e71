//! Hit rates of LRU caches as a picture.

use dlrm::data::locality::Locality;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;

/// Entries of the legend below one another.
const LEGEND_ROWS: usize = 26;
const LEGEND_LINE: f64 = 16.0;
const LEGEND_COLUMN: f64 = 110.0;

/// Ten colours that are told apart well, and then again with dashes.
const COLOURS: [&str; 10] =
    ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#79706e"];
const DASHES: [&str; 3] = ["none", "7 3", "2 2"];

/// A curve a column: the hit rate by the number of rows in the cache, up to where all fit.
pub fn hit_rates(names: &[String], localities: &[Locality]) -> String {
    let most = localities.iter().map(Locality::different).fold(1, usize::max);
    let decades = (most as f64).log10().ceil().max(1.0);
    let x = |rows: f64| LEFT + WIDTH * rows.log10() / decades;
    let y = |rate: f64| TOP + HEIGHT * (1.0 - rate);
    let width = LEFT + WIDTH + 30.0 + LEGEND_COLUMN * names.len().div_ceil(LEGEND_ROWS) as f64;
    let height = TOP + HEIGHT + 60.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n"
    );
    let mut put = |element: String| writeln!(svg, "{element}").expect("a string takes all");

    put(text(LEFT + WIDTH / 2.0, 28.0, "middle", "Hit rate of an LRU cache of embedding rows, each table by itself"));
    for decade in 0..=decades as u32 {
        let at = x(10_f64.powi(decade as i32));
        put(line((at, TOP), (at, TOP + HEIGHT)));
        put(text(at, TOP + HEIGHT + 18.0, "middle", &power_of_ten(decade)));
    }
    for percent in (0..=100).step_by(20) {
        let at = y(f64::from(percent) / 100.0);
        put(line((LEFT, at), (LEFT + WIDTH, at)));
        put(text(LEFT - 8.0, at + 4.0, "end", &format!("{percent}%")));
    }
    put(text(LEFT + WIDTH / 2.0, TOP + HEIGHT + 42.0, "middle", "rows in the cache (logarithmic)"));
    let (across, down) = (22.0, TOP + HEIGHT / 2.0);
    let label = text(across, down, "middle", "accesses that find their row in the cache");
    put(format!("<g transform=\"rotate(-90 {across} {down})\">{label}</g>"));

    for (i, (name, locality)) in names.iter().zip(localities).enumerate() {
        let points = sizes(locality.different()).map(|k| (x(k as f64), y(locality.lru_hit_rate(k))));
        put(curve(i, points));
        let (column, row) = ((i / LEGEND_ROWS) as f64, (i % LEGEND_ROWS) as f64);
        let (from, at) = (LEFT + WIDTH + 20.0 + LEGEND_COLUMN * column, TOP + 6.0 + LEGEND_LINE * row);
        put(curve(i, [(from, at), (from + 30.0, at)].into_iter()));
        put(text(from + 36.0, at + 4.0, "start", name));
    }
    svg + "</svg>\n"
}

/// Sizes from 1 to `most`, about eight between a number and its double.
fn sizes(most: usize) -> impl Iterator<Item = usize> {
    let steps = 8 * (usize::BITS - most.leading_zeros());
    let mut last = 0;
    let rising = (0..steps).map(|i| 2_f64.powf(f64::from(i) / 8.0).round() as usize);
    rising.take_while(move |&k| k < most).chain([most]).filter(move |&k| std::mem::replace(&mut last, k) != k)
}

fn curve(i: usize, points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let (colour, dashes) = (COLOURS[i % COLOURS.len()], DASHES[i / COLOURS.len() % DASHES.len()]);
    let points = points.join(" ");
    format!(
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" \
         stroke-dasharray=\"{dashes}\"/>"
    )
}

/// A line of the grid.
fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>")
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>")
}

/// `1`, `10k`, `1M`.
fn power_of_ten(exponent: u32) -> String {
    let unit = ["", "k", "M", "G"][exponent as usize / 3];
    format!("{}{unit}", 10_u32.pow(exponent % 3))
}
