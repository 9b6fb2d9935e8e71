//! A linear layer of 8-bit numbers: `Y = act(X · Wᵀ + b)` with `W` rounded once, and each row of `X` when it
//! comes.
//!
//! ```text
//! s_w = max |W| / 127                      W[n][k] ≈ s_w · w[n][k]          w: i8
//! s, z of row m of X                       X[m][k] ≈ s · (x[m][k] − z)      x, z: 0..=255
//! Y[m][n] = act(s · s_w · (Σ_k x[m][k] · w[n][k] − z · Σ_k w[n][k]) + b[n])
//! ```
//!
//! The range of a row of `X` is made to hold 0, so that 0 (half of what ReLU leaves) stays 0: `s` is a 255th of
//! it, and `z` the step at which 0 lies.
//!
//! How the fast loop differs from those lines:
//!
//! 1. `W` lies in panels of NR columns, in words of four steps of the sum, with its column sums behind them. A word
//!    of `X` and a vector of such words make four products a lane in one instruction (`vpdpbusd`); where there is
//!    none, pairs are widened to i16 and multiplied, which is exact as well: see `simd::Bytes`.
//! 2. A panel stays in the L1 cache while all rows pass by, MR at a time.
//! 3. Rows are rounded without a call or a branch: adding 1.5 · 2²³ leaves the rounded number in the lowest byte.
//! 4. The range is a row's own and not the batch's (as in PyTorch's dynamic quantization): a sample's result does
//!    not depend on what else is in its batch, nor on how that is cut.
//!
//! Sums are of integers and the few operations on f32 are not contracted, so that every instruction set and
//! the plain loop give the same bits. Paper and reference: `--quantize-mlp-with-bit 8` of `dlrm_s_pytorch.py`.

use crate::check;
use crate::gemm::Activation;
use crate::isa::{BytesKernel, Isa};
use crate::scratch::Scratch;
use crate::simd::Bytes;

/// The longest sum that an i32 holds: K · 255 · 127 < 2³¹.
pub const INT8_MAX_INPUTS: usize = 66_311;

/// Bytes behind a rounded row: its scale, and where 0 lies.
const ROW_TAIL: usize = 8;

/// 1.5 · 2²³: f32 from here on are whole numbers, with the lowest in the last byte.
const WHOLE: f32 = 12_582_912.0;

/// Words of the packed `W` (N × K): `ceil(N / NR)` panels, and the scale.
pub fn int8_len(isa: Isa, n: usize, k: usize) -> usize {
    let nr = isa.run_bytes(Width);
    n.div_ceil(nr).saturating_mul(panel_len(nr, k)).saturating_add(1)
}

/// Words of a panel: groups of four steps, and the columns' sums.
fn panel_len(nr: usize, k: usize) -> usize {
    (k.div_ceil(4) + 1).saturating_mul(nr)
}

/// Rounds `w` (N × K) to 8 bits and lays it out for [`linear_int8`] on the same instruction set.
///
/// # Panics
/// If a slice does not have its shape, or K is above [`INT8_MAX_INPUTS`].
pub fn pack_int8(isa: Isa, w: &[f32], n: usize, k: usize, out: &mut [u32]) {
    const OP: &str = "pack_int8";
    check::shape(OP, "w", w.len(), [n, k]);
    check::shape(OP, "out", out.len(), [1, int8_len(isa, n, k)]);
    assert!(k <= INT8_MAX_INPUTS, "{OP}: {k} inputs, expected at most {INT8_MAX_INPUTS}");
    let nr = isa.run_bytes(Width);
    let (scale, inverse) = weight_scale(w);
    let (panels, last) = out.split_at_mut(out.len() - 1);
    last[0] = scale.to_bits();
    for (i, panel) in panels.chunks_exact_mut(panel_len(nr, k)).enumerate() {
        let (words, sums) = panel.split_at_mut(nr * k.div_ceil(4));
        for j in 0..nr {
            let row = if i * nr + j < n { &w[(i * nr + j) * k..][..k] } else { &[] };
            let mut sum = 0;
            for g in 0..k.div_ceil(4) {
                let mut word = [0; 4];
                for (byte, v) in word.iter_mut().zip(row.iter().skip(4 * g)) {
                    let q = (v * inverse).round_ties_even() as i8;
                    *byte = q as u8;
                    sum += i32::from(q);
                }
                words[g * nr + j] = u32::from_le_bytes(word);
            }
            sums[j] = sum as u32;
        }
    }
}

/// A 127th of the largest number's size, and what divides by it.
pub(crate) fn weight_scale(w: &[f32]) -> (f32, f32) {
    let max = w.iter().fold(0.0, |max: f32, v| max.max(v.abs()));
    let inverse = 127.0 / max;
    if inverse.is_finite() { (max / 127.0, inverse) } else { (0.0, 0.0) }
}

/// `Y = act(X · Wᵀ + b)` for `m` rows: `x` M × K, `y` M × N, `packed` what [`pack_int8`] made of `W`. A row of
/// `x` that is not finite gives NaN.
///
/// # Panics
/// If a slice does not have its shape.
#[allow(clippy::too_many_arguments)] // those of linear
pub fn linear_int8(
    isa: Isa,
    x: &[f32],
    packed: &[u32],
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
    m: usize,
    n: usize,
    k: usize,
    scratch: &mut Scratch,
) {
    check::linear("linear_int8", x, y, [packed.len(), int8_len(isa, n, k)], bias, [m, n, k]);
    let stride = 4 * k.div_ceil(4) + ROW_TAIL;
    let left = scratch.bytes(m * stride);
    isa.run_bytes(Linear { x, left, stride, packed, bias, relu: activation == Activation::Relu, y, m, n, k });
}

struct Width;

impl BytesKernel for Width {
    type Output = usize;
    #[inline(always)]
    fn run<B: Bytes>(self, _: B) -> usize {
        2 * B::LANES
    }
}

struct Linear<'a> {
    x: &'a [f32],
    /// Room for the rounded rows, `stride` bytes each.
    left: &'a mut [u8],
    stride: usize,
    packed: &'a [u32],
    bias: Option<&'a [f32]>,
    relu: bool,
    y: &'a mut [f32],
    m: usize,
    n: usize,
    k: usize,
}

impl BytesKernel for Linear<'_> {
    type Output = ();
    #[inline(always)]
    fn run<B: Bytes>(self, bytes: B) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        for i in 0..self.m {
            quantize_row(&self.x[i * self.k..][..self.k], &mut self.left[i * self.stride..][..self.stride]);
        }
        let (nr, weight_scale) = (2 * B::LANES, f32::from_bits(self.packed[self.packed.len() - 1]));
        for (p, panel) in self.packed.chunks_exact(panel_len(nr, self.k)).enumerate() {
            let width = nr.min(self.n - p * nr);
            let mut bias = [0.0; 32];
            if let Some(all) = self.bias {
                bias[..width].copy_from_slice(&all[p * nr..][..width]);
            }
            let (words, sums) = panel.split_at(nr * self.k.div_ceil(4));
            let mut tile = Tile {
                left: self.left,
                stride: self.stride,
                words,
                sums,
                weight_scale,
                bias,
                relu: self.relu,
                y: &mut self.y[p * nr..],
                n: self.n,
                width,
            };
            let mut i = 0;
            while i < self.m {
                let rows = tile_rows::<B>(self.m - i);
                // SAFETY: rows i .. i + rows are below m, and rounded; the panel is whole.
                unsafe {
                    match rows {
                        12 if B::TILE_ROWS == 12 => tile.rows::<B, 12>(bytes, i),
                        8 if B::TILE_ROWS == 12 => tile.rows::<B, 8>(bytes, i),
                        4 => tile.rows::<B, 4>(bytes, i),
                        2 => tile.rows::<B, 2>(bytes, i),
                        _ => tile.rows::<B, 1>(bytes, i),
                    }
                }
                i += rows;
            }
        }
    }
}

fn tile_rows<B: Bytes>(left: usize) -> usize {
    let sizes: &[usize] = match B::TILE_ROWS {
        12 => &[12, 8, 4, 2],
        4 => &[4, 2],
        _ => &[2],
    };
    sizes.iter().copied().find(|&rows| rows <= left).unwrap_or(1)
}

/// A panel of `W`, and all that is needed to make its columns of `Y`.
struct Tile<'a> {
    left: &'a [u8],
    stride: usize,
    words: &'a [u32],
    sums: &'a [u32],
    weight_scale: f32,
    bias: [f32; 32],
    relu: bool,
    /// From the panel's first column on.
    y: &'a mut [f32],
    n: usize,
    width: usize,
}

impl Tile<'_> {
    /// Rows `i .. i + MR` of the panel's columns.
    ///
    /// # Safety
    /// Those rows must be in `left`; `words` must be whole vectors.
    #[inline(always)]
    unsafe fn rows<B: Bytes, const MR: usize>(&mut self, bytes: B, i: usize) {
        let mut sums = [[bytes.zero(); 2]; MR];
        for (g, words) in self.words.chunks_exact(2 * B::LANES).enumerate() {
            // SAFETY: two vectors of words are a chunk; group g lies in each of the rows.
            unsafe {
                let weights = [bytes.load(words.as_ptr()), bytes.load(words.as_ptr().add(B::LANES))];
                for (r, row) in sums.iter_mut().enumerate() {
                    let four = self.left.as_ptr().add((i + r) * self.stride + 4 * g).cast::<u32>().read_unaligned();
                    for (sum, w) in row.iter_mut().zip(weights) {
                        *sum = bytes.dot4(*sum, u32::from_le(four), w);
                    }
                }
            }
        }
        for (r, row) in sums.into_iter().enumerate() {
            let mut products = [0; 32];
            // SAFETY: two vectors have at most 32 lanes.
            unsafe {
                bytes.store(products.as_mut_ptr(), row[0]);
                bytes.store(products.as_mut_ptr().add(B::LANES), row[1]);
            }
            self.finish(i + r, &products);
        }
    }

    /// Row `i` of `Y` from its sums.
    #[inline(always)]
    fn finish(&mut self, i: usize, products: &[i32; 32]) {
        let tail = &self.left[(i + 1) * self.stride - ROW_TAIL..(i + 1) * self.stride];
        let (scale, zero) = tail.split_at(4);
        let scale = f32::from_le_bytes([scale[0], scale[1], scale[2], scale[3]]) * self.weight_scale;
        let zero = i32::from_le_bytes([zero[0], zero[1], zero[2], zero[3]]);
        let y = &mut self.y[i * self.n..][..self.width];
        for ((y, product), (sum, bias)) in y.iter_mut().zip(products).zip(self.sums.iter().zip(&self.bias)) {
            let v = (product - zero * *sum as i32) as f32 * scale + bias;
            *y = if self.relu && v < 0.0 { 0.0 } else { v };
        }
    }
}

/// `row` in steps of its scale, zeros up to a whole word, and behind them the scale and where 0 lies.
#[inline(always)]
fn quantize_row(row: &[f32], out: &mut [u8]) {
    let (low, high, spoiled) = range(row);
    let inverse = 255.0 / (high - low);
    let (scale, inverse) = if inverse.is_finite() { ((high - low) / 255.0, inverse) } else { (0.0, 0.0) };
    let zero = (-low * inverse).round_ties_even();
    let (numbers, tail) = out.split_at_mut(out.len() - ROW_TAIL);
    for (q, x) in numbers.iter_mut().zip(row) {
        let v = x * inverse + zero;
        let v = if v < 255.0 { v } else { 255.0 };
        let v = if v > 0.0 { v } else { 0.0 };
        *q = (v + WHOLE).to_bits() as u8;
    }
    numbers[row.len()..].fill(0);
    tail[..4].copy_from_slice(&(scale + spoiled).to_le_bytes());
    tail[4..].copy_from_slice(&(zero as i32).to_le_bytes());
}

/// The smallest and the largest of 0 and `row`, and 0, or NaN if a number is not finite. Sixteen of each, so
/// that the loop is vectors.
#[inline(always)]
fn range(row: &[f32]) -> (f32, f32, f32) {
    let (mut low, mut high, mut spoiled) = ([0.0f32; 16], [0.0f32; 16], [0.0f32; 16]);
    let mut add = |l: usize, x: f32| {
        low[l] = if x < low[l] { x } else { low[l] };
        high[l] = if x > high[l] { x } else { high[l] };
        spoiled[l] += x * 0.0;
    };
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for (l, &x) in chunk.iter().enumerate() {
            add(l, x);
        }
    }
    rest.iter().enumerate().for_each(|(l, &x)| add(l, x));
    let low = low.into_iter().fold(0.0, f32::min);
    (low, high.into_iter().fold(0.0, f32::max), spoiled.into_iter().sum())
}
