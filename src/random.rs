//! Streams of random numbers: this crate's own, and NumPy's.
//!
//! A [`Stream`] of the native kind is fast and splits into sub-streams that threads fill
//! independently. One of the NumPy kind repeats `np.random.seed(seed)` word for word, so that data
//! and initial weights can be those of the public reference to the last bit.
//!
//! Normal deviates of both kinds take logarithms from the platform's mathematics library: the same
//! machine gives the same bits, two platforms may differ in the last one.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use rand_mt::Mt;

/// One sequence of random numbers; every draw moves it on.
///
/// A clone continues from the same place.
#[derive(Debug, Clone)]
pub struct Stream {
    words: Words,
    /// The polar method makes two normal deviates at a time; the second waits here.
    cached_normal: Option<f64>,
}

#[derive(Debug, Clone)]
enum Words {
    Native(Xoshiro256PlusPlus),
    Numpy(Box<Mt>), // 2.5 KB of state
    None,
}

impl Stream {
    /// A stream of xoshiro256++ (Blackman and Vigna 2019).
    pub fn native(seed: u64) -> Self {
        Words::Native(Xoshiro256PlusPlus::seed_from_u64(seed)).into()
    }

    /// Sub-stream `chunk` of `key`: what a thread draws from when it fills the `chunk`-th piece of
    /// an array, so that the array doesn't depend on the number of threads.
    ///
    /// Take `key` from [`parallel_key`](Self::parallel_key), a new one for each array.
    pub fn native_at(key: u64, chunk: u64) -> Self {
        // Keys and chunks count up; mixed, their neighbours land far apart in the seeding sequence.
        Self::native(mix(mix(key) ^ chunk))
    }

    /// NumPy's legacy generator after `np.random.seed(seed)`: MT19937 with `init_genrand`.
    pub fn numpy(seed: u32) -> Self {
        Words::Numpy(Box::new(Mt::new(seed))).into()
    }

    /// A stream of zeros that fills nothing: what it is given to fill stays as it is. For the parameters of a model
    /// that a [checkpoint](crate::checkpoint) fills.
    pub fn none() -> Self {
        Words::None.into()
    }

    /// A key for [`native_at`](Self::native_at), if this stream splits: NumPy's can only be drawn
    /// from in order.
    pub fn parallel_key(&mut self) -> Option<u64> {
        match &mut self.words {
            Words::Native(rng) => Some(rng.next_u64()),
            Words::Numpy(_) | Words::None => None,
        }
    }

    /// A native stream that depends on where this one stands, and does not move it.
    pub(crate) fn fork(&self) -> Self {
        // The first draw of a native stream is often the key of a table: mixed, it is another seed.
        Self::native(mix(self.clone().uniform().to_bits()))
    }

    /// A number of `[0, 1)` with 53 random bits: `np.random.random_sample()`.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        const ULP: f64 = 1.0 / (1u64 << 53) as f64;
        let bits = match &mut self.words {
            Words::Native(rng) => rng.next_u64() >> 11,
            Words::Numpy(mt) => {
                let (a, b) = (mt.next_u32() >> 5, mt.next_u32() >> 6);
                u64::from(a) << 26 | u64::from(b)
            }
            Words::None => 0,
        };
        bits as f64 * ULP
    }

    /// `lo + (hi - lo)·u`, `u` in `[0, 1)`: `np.random.uniform(lo, hi)`.
    #[inline]
    pub fn uniform_range(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.uniform()
    }

    /// A standard normal deviate by Marsaglia's polar method: `np.random.standard_normal()`.
    ///
    /// Every second call returns the deviate that the call before left over; uniform draws between
    /// the two don't touch it.
    pub fn normal(&mut self) -> f64 {
        if self.is_none() {
            return 0.0;
        }
        if let Some(second) = self.cached_normal.take() {
            return second;
        }
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let r2 = x * x + y * y;
            if r2 < 1.0 && r2 != 0.0 {
                let scale = (-2.0 * r2.ln() / r2).sqrt();
                self.cached_normal = Some(scale * x);
                return scale * y;
            }
        }
    }

    /// `mean + sd·normal`: `np.random.normal(mean, sd)`.
    pub fn normal_with(&mut self, mean: f64, sd: f64) -> f64 {
        mean + sd * self.normal()
    }

    /// Fills `out` in order with [`uniform_range`](Self::uniform_range), each draw rounded to f32:
    /// `np.random.uniform(lo, hi, out.size).astype(np.float32)`. Rounding may give `hi` itself.
    pub fn fill_uniform(&mut self, out: &mut [f32], lo: f64, hi: f64) {
        if !self.is_none() {
            out.fill_with(|| self.uniform_range(lo, hi) as f32);
        }
    }

    /// Fills `out` in order with [`normal_with`](Self::normal_with), each draw rounded to f32:
    /// `np.random.normal(mean, sd, out.size).astype(np.float32)`.
    pub fn fill_normal(&mut self, out: &mut [f32], mean: f64, sd: f64) {
        if !self.is_none() {
            out.fill_with(|| self.normal_with(mean, sd) as f32);
        }
    }
}

impl Stream {
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.words, Words::None)
    }
}

impl From<Words> for Stream {
    fn from(words: Words) -> Self {
        Stream { words, cached_normal: None }
    }
}

/// Numbers that one sub-stream of a large array fills: see [`Stream::native_at`].
pub(crate) const FILL_CHUNK: usize = 1 << 16;

/// Uniform draws of a large array, from any of its numbers on: those that its sub-streams fill it with.
pub(crate) struct Draws {
    key: u64,
    at: usize,
    stream: Stream,
}

impl Draws {
    pub fn new(key: u64) -> Self {
        Draws { key, at: 0, stream: Stream::native_at(key, 0) }
    }

    /// Fills `out` with numbers `first ..` of the array, from `U(lo, hi)`. Calls come in rising order.
    pub fn fill_uniform(&mut self, first: usize, out: &mut [f32], lo: f64, hi: f64) {
        if first / FILL_CHUNK > self.at / FILL_CHUNK {
            self.at = first / FILL_CHUNK * FILL_CHUNK;
            self.stream = Stream::native_at(self.key, (first / FILL_CHUNK) as u64);
        }
        (self.at..first).for_each(|_| _ = self.stream.uniform());
        self.at = first;
        for number in out {
            *number = self.stream.uniform_range(lo, hi) as f32;
            self.at += 1;
            if self.at.is_multiple_of(FILL_CHUNK) {
                self.stream = Stream::native_at(self.key, (self.at / FILL_CHUNK) as u64);
            }
        }
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014): a bijection of `u64` whose every output
/// bit depends on every input bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
