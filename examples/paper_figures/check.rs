//! What the paper says of a figure, beside what came out.

/// One line of the table at the end.
pub struct Check {
    what: String,
    expected: String,
    obtained: f64,
    tolerance: f64,
    pub ok: bool,
}

impl Check {
    pub const HEADER: [&str; 5] = ["", "expected", "obtained", "tolerance", "ok"];

    /// A number that is to be at least so large.
    pub fn at_least(what: impl Into<String>, expected: f64, obtained: f64, tolerance: f64) -> Check {
        let ok = obtained >= expected - tolerance;
        Check { what: what.into(), expected: format!("at least {expected}"), obtained, tolerance, ok }
    }

    /// A number that is to be this one.
    pub fn near(what: impl Into<String>, expected: f64, obtained: f64, tolerance: f64) -> Check {
        let ok = (obtained - expected).abs() <= tolerance;
        Check { what: what.into(), expected: expected.to_string(), obtained, tolerance, ok }
    }

    pub fn cells(&self) -> Vec<String> {
        let ok = if self.ok { "yes" } else { "NO" };
        let numbers = [self.obtained, self.tolerance].map(|number| format!("{number:.4}"));
        [self.what.clone(), self.expected.clone()].into_iter().chain(numbers).chain([ok.into()]).collect()
    }
}
