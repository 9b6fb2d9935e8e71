//! Charts as SVG, whose colours are the page's.

use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 42.0;

/// About so many numbers along an axis.
const TICKS: f64 = 5.0;

/// A chart in the making.
pub(super) struct Chart {
    svg: String,
    x: Axis,
    y: Axis,
    legend: f64,
}

/// One direction: its numbers and where they are.
struct Axis {
    from: f64,
    to: f64,
    step: f64,
    at: (f64, f64),
}

impl Axis {
    /// From the lowest of `range` to the highest and so far beyond that both ends have a tick.
    fn new((low, high): (f64, f64), at: (f64, f64)) -> Self {
        let span = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
        let power = 10_f64.powf((span / TICKS).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| span / step <= TICKS);
        let step = step.unwrap_or(span);
        let from = (low / step + 1e-9).floor() * step;
        let to = ((high / step - 1e-9).ceil() * step).max(from + step);
        Axis { from, to, step, at }
    }

    fn place(&self, value: f64) -> f64 {
        self.at.0 + (self.at.1 - self.at.0) * (value - self.from) / (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.to - self.from) / self.step).round() as u32;
        (0..=count).map(|i| self.from + f64::from(i) * self.step)
    }

    /// As many digits as tell neighbours apart.
    fn label(&self, value: f64) -> String {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        match value.abs() {
            big if big >= 1e6 => format!("{}M", short(value / 1e6)),
            big if big >= 1e4 => format!("{}k", short(value / 1e3)),
            _ => format!("{:.decimals$}", value + 0.0),
        }
    }
}

fn short(value: f64) -> String {
    format!("{:.2}", value).trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Chart {
    /// Axes for numbers in two ranges.
    pub fn new(title: &str, [x_label, y_label]: [&str; 2], x: (f64, f64), y: (f64, f64)) -> Self {
        let x = Axis::new(x, (LEFT, WIDTH - RIGHT));
        let y = Axis::new(y, (HEIGHT - BOTTOM, TOP));
        let (middle, across, down) = ((LEFT + WIDTH - RIGHT) / 2.0, 13.0, (TOP + HEIGHT - BOTTOM) / 2.0);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
        let mut put = |element: String| svg.push_str(&element);
        put(text((LEFT, 18.0), "start", "title", title));
        for tick in x.ticks() {
            let at = x.place(tick);
            put(line("grid", (at, TOP), (at, HEIGHT - BOTTOM)));
            put(text((at, HEIGHT - BOTTOM + 16.0), "middle", "", &x.label(tick)));
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            put(line("grid", (LEFT, at), (WIDTH - RIGHT, at)));
            put(text((LEFT - 6.0, at + 4.0), "end", "", &y.label(tick)));
        }
        put(text((middle, HEIGHT - 8.0), "middle", "", x_label));
        let label = text((across, down), "middle", "", y_label);
        put(format!("<g transform=\"rotate(-90 {across} {down})\">{label}</g>"));
        Chart { svg, x, y, legend: WIDTH - RIGHT }
    }

    /// A curve, with its name in the corner if it has one.
    pub fn curve(&mut self, colour: &str, name: &str, points: &[(f64, f64)]) {
        let places: Vec<String> =
            points.iter().map(|&point| self.place(point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.put(format!("<polyline class=\"{colour}\" points=\"{}\"/>", places.join(" ")));
        if name.is_empty() {
            return;
        }
        self.legend -= 7.0 * name.len() as f64 + 24.0;
        let from = self.legend;
        self.put(format!("<polyline class=\"{colour}\" points=\"{from:.1},14 {:.1},14\"/>", from + 14.0));
        self.put(text((from + 18.0, 18.0), "start", "", name));
    }

    /// A dot for each point, which tells its numbers to whoever points at it.
    pub fn dots(&mut self, colour: &str, points: &[(f64, f64)], tell: impl Fn(usize) -> String) {
        for (i, &point) in points.iter().enumerate() {
            let ((x, y), told) = (self.place(point), tell(i));
            self.put(format!(
                "<circle class=\"fill {colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{told}</title></circle>"
            ));
        }
    }

    /// A bar from 0 up for each height, side by side from the left end to the right.
    pub fn bars(&mut self, colour: &str, heights: &[f64], tell: impl Fn(usize) -> String) {
        let width = (self.x.to - self.x.from) / heights.len() as f64;
        let bottom = self.y.place(0.0);
        for (i, &height) in heights.iter().enumerate() {
            let (x, y) = self.place((self.x.from + i as f64 * width, height));
            let (next, told) = (self.x.place(self.x.from + (i + 1) as f64 * width), tell(i));
            let (width, height) = (next - x - 1.0, bottom - y);
            self.put(format!(
                "<rect class=\"fill {colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
                 <title>{told}</title></rect>"
            ));
        }
    }

    /// A line from one point to another that says what would be even.
    pub fn even(&mut self, from: (f64, f64), to: (f64, f64)) {
        let (from, to) = (self.place(from), self.place(to));
        self.put(line("even", from, to));
    }

    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.place(x), self.y.place(y))
    }

    fn put(&mut self, element: String) {
        write!(self.svg, "{element}").expect("a string takes all");
    }
}

fn line(class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    format!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")
}

fn text((x, y): (f64, f64), anchor: &str, class: &str, text: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_with_ticks_around_the_numbers() {
        for (range, from, to, labels) in [
            ((0.0, 1.0), 0.0, 1.0, "0.0 0.2 0.4 0.6 0.8 1.0"),
            ((0.7412, 0.7688), 0.74, 0.77, "0.74 0.75 0.76 0.77"),
            ((0.0, 2345.0), 0.0, 2500.0, "0 500 1000 1500 2000 2500"),
            ((0.0, 301_234.0), 0.0, 400_000.0, "0 100k 200k 300k 400k"),
            ((5.0, 5.0), 5.0, 5.1, "5.0 5.1"),
        ] {
            let axis = Axis::new(range, (0.0, 100.0));
            let found: Vec<String> = axis.ticks().map(|tick| axis.label(tick)).collect();
            assert!((axis.from - from).abs() < 1e-9 && (axis.to - to).abs() < 1e-9, "{range:?}: {found:?}");
            assert_eq!(found.join(" "), labels);
            assert!(axis.place(axis.from) == 0.0 && (axis.place(axis.to) - 100.0).abs() < 1e-9);
        }
    }
}
