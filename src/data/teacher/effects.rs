//! What each feature adds to the logit.

use super::draw::{four_uniform, hash, stream};
use super::{Features, TeacherConfig};
use crate::data::criteo::DENSE_FEATURES;

/// Rows that the scales and the bias are set on.
pub(super) const SAMPLE: u64 = 1 << 15;

/// Components of the vector of an id.
const VECTOR: usize = 2;

/// The teacher's functions of the features.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    seed: u64,
    /// Per integer column: centre and width of its logarithm, slope and curvature of its effect.
    ints: [IntEffect; DENSE_FEATURES],
    pairs: Vec<(usize, usize)>,
    /// Factors of the three parts of the logit: integers, ids, pairs.
    scales: [f64; 3],
    bias: f64,
}

#[derive(Debug, Clone, Copy)]
struct IntEffect {
    centre: f32,
    width: f32,
    slope: f32,
    curvature: f32,
}

impl Effects {
    /// Effects whose scales are not set yet.
    pub fn new(seed: u64, config: &TeacherConfig) -> Self {
        let ints = std::array::from_fn(|j| {
            let [slope, curvature, ..] = four_uniform(hash(seed, stream::INT, j as u64));
            let column = config.ints[j];
            // A logistic variable of scale s has the standard deviation π s / √3 = 1.8 s.
            let (centre, width) = (column.median.ln_1p() as f32, 1.8 * column.spread as f32);
            IntEffect { centre, width, slope, curvature }
        });
        Effects { seed, ints, pairs: config.pairs.clone(), scales: [1.0; 3], bias: 0.0 }
    }

    /// Sets the three scales so that each part has the standard deviation of the configuration
    /// over `sample`, and the bias so that the mean probability is the base rate.
    pub fn calibrate(&mut self, config: &TeacherConfig, sample: &[Features]) {
        let parts: Vec<[f64; 3]> = sample.iter().map(|features| self.parts(features)).collect();
        let n = parts.len() as f64;
        let wanted = [config.int_effect, config.id_effect, config.pair_effect];
        for (i, scale) in self.scales.iter_mut().enumerate() {
            let mean = parts.iter().map(|p| p[i]).sum::<f64>() / n;
            let variance = parts.iter().map(|p| (p[i] - mean).powi(2)).sum::<f64>() / n;
            *scale = if variance > 0.0 { wanted[i] / variance.sqrt() } else { 0.0 };
        }
        let (mut low, mut high) = (-50.0, 50.0);
        for _ in 0..60 {
            self.bias = (low + high) / 2.0;
            let mean = parts.iter().map(|p| sigmoid(self.weigh(p))).sum::<f64>() / n;
            *(if mean < config.base_rate { &mut low } else { &mut high }) = self.bias;
        }
    }

    /// The log odds of a click.
    pub fn logit(&self, features: &Features) -> f64 {
        self.weigh(&self.parts(features))
    }

    fn weigh(&self, parts: &[f64; 3]) -> f64 {
        self.bias + parts.iter().zip(self.scales).map(|(part, scale)| part * scale).sum::<f64>()
    }

    /// What integers, ids and pairs of ids add, before scaling. A missing id adds nothing.
    fn parts(&self, features: &Features) -> [f64; 3] {
        let ints = self.ints.iter().zip(&features.ints).map(|(effect, x)| effect.of(x.unwrap_or(0))).sum::<f32>();
        let mut ids = 0.0;
        for (c, rank) in features.ranks.iter().enumerate() {
            ids += rank.map_or(0.0, |rank| self.weight(c, rank));
        }
        let mut pairs = 0.0;
        for &(a, b) in &self.pairs {
            if let (Some(i), Some(j)) = (features.ranks[a], features.ranks[b]) {
                let (u, v) = (self.vector(a, i), self.vector(b, j));
                pairs += u.iter().zip(v).map(|(u, v)| u * v).sum::<f32>();
            }
        }
        [f64::from(ints), f64::from(ids), f64::from(pairs)]
    }

    /// What an id adds on its own: less, the rarer it is, since what is seen a few times cannot
    /// be learned by anyone.
    fn weight(&self, c: usize, rank: u32) -> f32 {
        let [weight, ..] = four_uniform(hash(self.seed, stream::ID + c as u64, rank.into()));
        weight / (1.0 + rank as f32 / 20.0)
    }

    fn vector(&self, c: usize, rank: u32) -> [f32; VECTOR] {
        let numbers = four_uniform(hash(self.seed, stream::VECTOR + c as u64, rank.into()));
        std::array::from_fn(|k| numbers[k])
    }
}

impl IntEffect {
    fn of(&self, x: i32) -> f32 {
        let z = (((x.max(0) as f32).ln_1p() - self.centre) / self.width).clamp(-3.0, 3.0);
        self.slope * z + self.curvature * 0.5 * (z * z - 1.0)
    }
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
