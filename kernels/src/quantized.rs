//! Rows and weights in fewer bytes, for inference. Lookups in such rows are
//! [`embedding_bag_quantized`](crate::embedding_bag::embedding_bag_quantized); a linear layer
//! with such weights is [`linear_f16`] or [`linear_int8`].
//!
//! A row of `D` numbers in each [`RowFormat`]:
//!
//! ```text
//! F16, Bf16   D × 2 bytes                                    v = value
//! Int8        D × 1 byte    scale: f32   min: f32            v = q · scale + min
//! Int4        ⌈D / 2⌉ bytes scale: f16   min: f16            v = q · scale + min
//! ```
//!
//! All numbers are little-endian; of two 4-bit numbers in a byte, the first is the lower half. The bytes
//! are those of PyTorch's `quantized::embedding_bag_byte_prepack` and `embedding_bag_4bit_prepack`, which
//! the reference's `--quantize-emb-with-bit 8` and `4` use, so that tables can be exchanged.
//!
//! Weights of linear layers are [f16](linear_f16) or [8 bits](linear_int8).

mod layer_f16;
mod layer_int8;

pub use layer_f16::{f16_len, linear_f16, pack_f16};
pub use layer_int8::{INT8_MAX_INPUTS, int8_len, linear_int8, pack_int8};

use crate::check;
use half::{bf16, f16};

/// Added to the range of a row of 8 bits, so that one of equal numbers divides by something.
const RANGE_EPS: f32 = 1e-8;

/// How a row of a table is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// Half precision: 11 significant bits, up to 65504.
    F16,
    /// The upper half of an f32: 8 significant bits, any size.
    Bf16,
    /// Steps of 1/255 of the row's range.
    Int8,
    /// Steps of 1/15 of the row's range.
    Int4,
}

impl RowFormat {
    /// All of them, longest rows first.
    pub const ALL: [RowFormat; 4] = [RowFormat::F16, RowFormat::Bf16, RowFormat::Int8, RowFormat::Int4];

    /// Bytes of a row of `dim` numbers.
    pub fn row_bytes(self, dim: usize) -> usize {
        match self {
            RowFormat::F16 | RowFormat::Bf16 => 2 * dim,
            RowFormat::Int8 => dim + 8,
            RowFormat::Int4 => dim.div_ceil(2) + 4,
        }
    }

    /// The farthest from 0 that numbers of a row may be.
    pub fn max_value(self) -> f32 {
        match self {
            RowFormat::F16 | RowFormat::Int4 => 65504.0,
            RowFormat::Bf16 => bf16::MAX.to_f32(),
            RowFormat::Int8 => f32::MAX / 2.0, // the range of a row is finite, too
        }
    }

    /// `"f16"`, `"bf16"`, `"int8"` or `"int4"`.
    pub fn name(self) -> &'static str {
        match self {
            RowFormat::F16 => "f16",
            RowFormat::Bf16 => "bf16",
            RowFormat::Int8 => "int8",
            RowFormat::Int4 => "int4",
        }
    }
}

/// How the weights of a linear layer are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// Half precision, see [`linear_f16`].
    F16,
    /// Steps of 1/127 of the largest weight of the layer, see [`linear_int8`].
    Int8,
}

impl WeightFormat {
    /// Both, longest first.
    pub const ALL: [WeightFormat; 2] = [WeightFormat::F16, WeightFormat::Int8];

    /// `"f16"` or `"int8"`.
    pub fn name(self) -> &'static str {
        match self {
            WeightFormat::F16 => "f16",
            WeightFormat::Int8 => "int8",
        }
    }

    /// The farthest from 0 that a weight may be.
    pub fn max_value(self) -> f32 {
        match self {
            WeightFormat::F16 => 65504.0,
            WeightFormat::Int8 => f32::MAX,
        }
    }
}

/// Rows of `dim` numbers to rows of [`row_bytes`](RowFormat::row_bytes), each by itself.
///
/// `Int8`: `q = round((v − min) · 255 / (max − min + 10⁻⁸))`, `scale = (max − min) / 255`. `Int4`: `min`
/// is rounded to f16 first, then `scale = (max − min) / 15` (1 if that is 0), and `q` is
/// `round((v − min) / scale)`, from 0 to 15. Halves round to even. A row with a number that is not
/// finite, or in `F16` and `Int4` too large for f16, has no bytes that mean it; whoever may meet one asks first.
///
/// # Panics
/// If `values` or `out` is not a whole number of rows, or not as many.
pub fn quantize_rows(format: RowFormat, values: &[f32], dim: usize, out: &mut [u8]) {
    const OP: &str = "quantize_rows";
    let rows = values.len() / dim.max(1);
    check::shape(OP, "values", values.len(), [rows, dim]);
    check::shape(OP, "out", out.len(), [rows, format.row_bytes(dim)]);
    if rows == 0 {
        return;
    }
    let quantize = match format {
        RowFormat::F16 => |row: &[f32], out: &mut [u8]| halves(row, |v| f16::from_f32(v).to_le_bytes(), out),
        RowFormat::Bf16 => |row: &[f32], out: &mut [u8]| halves(row, |v| bf16::from_f32(v).to_le_bytes(), out),
        RowFormat::Int8 => quantize_int8,
        RowFormat::Int4 => quantize_int4,
    };
    for (row, out) in values.chunks_exact(dim).zip(out.chunks_exact_mut(format.row_bytes(dim))) {
        quantize(row, out);
    }
}

/// The inverse of [`quantize_rows`], as near as the format allows: what a lookup sums up.
///
/// # Panics
/// If `bytes` or `out` is not a whole number of rows, or not as many.
pub fn dequantize_rows(format: RowFormat, bytes: &[u8], dim: usize, out: &mut [f32]) {
    const OP: &str = "dequantize_rows";
    let rows = out.len() / dim.max(1);
    check::shape(OP, "out", out.len(), [rows, dim]);
    check::shape(OP, "bytes", bytes.len(), [rows, format.row_bytes(dim)]);
    if rows == 0 {
        return;
    }
    for (row, out) in bytes.chunks_exact(format.row_bytes(dim)).zip(out.chunks_exact_mut(dim)) {
        let half = |at: usize| f16::from_le_bytes([row[at], row[at + 1]]).to_f32();
        let single = |at: usize| f32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        for (d, v) in out.iter_mut().enumerate() {
            *v = match format {
                RowFormat::F16 => half(2 * d),
                RowFormat::Bf16 => bf16::from_le_bytes([row[2 * d], row[2 * d + 1]]).to_f32(),
                RowFormat::Int8 => f32::from(row[d]) * single(dim) + single(dim + 4),
                RowFormat::Int4 => {
                    let (q, end) = (row[d / 2] >> (4 * (d % 2)) & 15, dim.div_ceil(2));
                    f32::from(q) * half(end) + half(end + 2)
                }
            };
        }
    }
}

fn halves(row: &[f32], narrow: fn(f32) -> [u8; 2], out: &mut [u8]) {
    for (v, half) in row.iter().zip(out.as_chunks_mut::<2>().0) {
        *half = narrow(*v);
    }
}

fn bounds(row: &[f32]) -> (f32, f32) {
    row.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &v| (min.min(v), max.max(v)))
}

fn quantize_int8(row: &[f32], out: &mut [u8]) {
    let (min, max) = bounds(row);
    let (range, (numbers, tail)) = (max - min, out.split_at_mut(row.len()));
    let inverse = 255.0 / (range + RANGE_EPS);
    for (v, q) in row.iter().zip(numbers) {
        *q = ((v - min) * inverse).round_ties_even() as u8;
    }
    tail[..4].copy_from_slice(&(range / 255.0).to_le_bytes());
    tail[4..].copy_from_slice(&min.to_le_bytes());
}

fn quantize_int4(row: &[f32], out: &mut [u8]) {
    let (min, max) = bounds(row);
    let half_min = f16::from_f32(min);
    let min = half_min.to_f32();
    let mut half_scale = f16::from_f32((max - min) / 15.0);
    // Zero, or so small that its inverse is infinite: then every number of the row is the minimum.
    let mut inverse = 1.0 / half_scale.to_f32();
    if max == min || inverse.is_infinite() {
        (half_scale, inverse) = (f16::ONE, 1.0);
    }
    let (numbers, tail) = out.split_at_mut(row.len().div_ceil(2));
    let q = |v: f32| ((v - min) * inverse).round_ties_even().clamp(0.0, 15.0) as u8;
    for (pair, byte) in row.chunks(2).zip(numbers) {
        *byte = q(pair[0]) | pair.get(1).map_or(0, |&v| q(v) << 4);
    }
    tail[..2].copy_from_slice(&half_scale.to_le_bytes());
    tail[2..].copy_from_slice(&half_min.to_le_bytes());
}
