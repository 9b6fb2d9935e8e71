//! Ids by Zipf's law: a few rows of a table are met again and again, most hardly ever.
//!
//! Rank `k` of `n`, counted from 0, has the probability
//!
//! ```text
//! P(k) = (k + 1)^-s / Σ_{j=1..n} j^-s
//! ```
//!
//! with an exponent `s ≥ 0` of one's choice: 0 is the uniform law, and real columns of ids lie
//! about 1. [`ZipfBatches`] makes whole batches of them, with as many ids a bag as each table
//! should have.

mod batches;
mod scramble;

pub use batches::{ZipfBatches, ZipfConfig};

use crate::random::Stream;

/// Zipf's law over a number of ranks.
///
/// Draws take the same time however many ranks there are, and are exact but for the rounding of
/// `f64`: rejection-inversion (Hörmann and Derflinger 1996, "Rejection-inversion to generate
/// variates from monotone discrete distributions"). With `h(x) = x^-s` and its integral
/// `H(x) = ∫₁ˣ h`, a point is drawn evenly under the hat `h` between 1/2 and `n + 1/2`, and
/// inverting `H` finds its place. It is rounded to the next integer `k`, and kept if it lies in
/// the last `h(k)` of the area that `k` has: so each `k` is kept with a mass of `h(k)` exactly.
/// Fewer than two draws in a hundred have to be repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zipf {
    ranks: f64,
    /// `1 - s`.
    power: f64,
    /// `H(3/2) - h(1)`, where the area of the first rank begins.
    first: f64,
    /// `H(n + 1/2)`, where that of the last ends.
    last: f64,
    /// A place less than this below its integer is kept without a look at the area.
    sure: f64,
}

impl Zipf {
    /// The law of exponent `exponent` over `ranks` ranks.
    ///
    /// # Panics
    /// If there is no rank or more than 2³², or if the exponent is negative or not finite.
    pub fn new(ranks: usize, exponent: f64) -> Self {
        assert!((1..=1 << 32).contains(&(ranks as u64)), "Zipf: {ranks} ranks");
        assert!(exponent >= 0.0 && exponent.is_finite(), "Zipf: exponent {exponent}");
        let mut law = Zipf { ranks: ranks as f64, power: 1.0 - exponent, first: 0.0, last: 0.0, sure: 0.0 };
        law.first = law.integral(1.5) - 1.0;
        law.last = law.integral(law.ranks + 0.5);
        law.sure = 2.0 - law.place(law.integral(2.5) - law.height(2.0));
        law
    }

    /// Draws a rank, 0 the most frequent.
    #[inline]
    pub fn rank(&self, stream: &mut Stream) -> u32 {
        loop {
            let area = stream.uniform_range(self.last, self.first);
            let place = self.place(area);
            let k = place.round().clamp(1.0, self.ranks);
            if k - place <= self.sure || area >= self.integral(k + 0.5) - self.height(k) {
                return (k - 1.0) as u32;
            }
        }
    }

    /// `h(x) = x^-s`.
    fn height(&self, x: f64) -> f64 {
        ((self.power - 1.0) * x.ln()).exp()
    }

    /// `H(x) = (x^(1-s) - 1) / (1 - s)`, or `ln x` for `s = 1`: written so that no digits are lost
    /// between the two.
    fn integral(&self, x: f64) -> f64 {
        let ln = x.ln();
        ln * exp_m1_over(self.power * ln)
    }

    /// The `x` whose `H(x)` is `area`.
    fn place(&self, area: f64) -> f64 {
        // Rounding may carry the argument over the edge of the logarithm where `s` is large.
        let t = (self.power * area).max(-1.0);
        (area * ln_1p_over(t)).exp()
    }
}

/// `(e^x - 1) / x`.
fn exp_m1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`.
fn ln_1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}
