//! The header of a `.npy` file: NumPy's `numpy/lib/format.py`, versions 1 and 2.

use super::literal::Literal;
use super::place::Place;
use crate::error::Result;
use std::io::Read;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The data begin at a multiple of this many bytes.
const ALIGN: usize = 64;

/// The longest header that is read, as `_MAX_HEADER_SIZE`.
const MAX_HEADER: u32 = 10_000;

/// NumPy leaves room for the first length to grow to so many digits (`GROWTH_AXIS_MAX_DIGITS`).
const GROWTH_DIGITS: usize = 21;

/// How a number is stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    Int32,
    Int64,
    Float32,
    Float64,
}

impl Dtype {
    pub const ALL: [Dtype; 4] = [Dtype::Int32, Dtype::Int64, Dtype::Float32, Dtype::Float64];

    /// NumPy's name.
    pub fn descr(self) -> &'static str {
        match self {
            Dtype::Int32 => "<i4",
            Dtype::Int64 => "<i8",
            Dtype::Float32 => "<f4",
            Dtype::Float64 => "<f8",
        }
    }

    /// Bytes of a number.
    pub fn size(self) -> u64 {
        match self {
            Dtype::Int32 | Dtype::Float32 => 4,
            Dtype::Int64 | Dtype::Float64 => 8,
        }
    }
}

/// What an array is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub dtype: Dtype,
    /// Whether the first index runs fastest, as in a transposed array.
    pub fortran: bool,
    pub shape: Vec<u64>,
}

impl Header {
    /// The header of a matrix in C order, or of a vector.
    pub fn new(dtype: Dtype, shape: &[u64]) -> Header {
        Header { dtype, fortran: false, shape: shape.to_vec() }
    }

    /// The shape as Python writes it.
    pub fn shape_text(&self) -> String {
        match self.shape.as_slice() {
            [one] => format!("({one},)"),
            shape => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        }
    }

    /// Bytes of all numbers, if there can be so many.
    pub fn data_len(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |len, &n| len.checked_mul(n))
    }

    /// All bytes before the numbers, version 1, as `_write_array_header`.
    pub fn encode(&self) -> Vec<u8> {
        let order = if self.fortran { "True" } else { "False" };
        let mut text = format!(
            "{{'descr': '{}', 'fortran_order': {order}, 'shape': {}, }}",
            self.dtype.descr(),
            self.shape_text()
        );
        let grows = if self.fortran { self.shape.last() } else { self.shape.first() };
        let spare = grows.map_or(0, |n| GROWTH_DIGITS - n.to_string().len());
        let start = MAGIC.len() + 4;
        let unaligned = start + text.len() + spare + 1;
        // Where the end is aligned already, NumPy pads by as much again.
        let pad = ALIGN - unaligned % ALIGN;
        text.extend(std::iter::repeat_n(' ', spare + pad));
        text.push('\n');
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// Reads all bytes before the numbers, and how many they are.
    ///
    /// # Errors
    /// What is no header of a dtype in `allowed`.
    pub fn read(reader: &mut impl Read, place: &Place, allowed: &[Dtype]) -> Result<(Header, u64)> {
        let mut take = |len: u32| {
            let mut bytes = vec![0; len as usize];
            reader.read_exact(&mut bytes).map(|()| bytes).map_err(|e| place.unreadable(e))
        };
        let start = take(8)?;
        let (magic, version) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(place.fault("is no .npy file, expected it to begin with \\x93NUMPY"));
        }
        let (start, len) = match version[0] {
            1 => (10, u32::from(u16::from_le_bytes(take(2)?.try_into().expect("two bytes")))),
            2 => (12, u32::from_le_bytes(take(4)?.try_into().expect("four bytes"))),
            version => return Err(place.fault(format_args!("is a .npy of version {version}, expected 1 or 2"))),
        };
        if len > MAX_HEADER {
            return Err(place.fault(format_args!("has a header of {len} bytes, expected at most {MAX_HEADER}")));
        }
        let text = take(len)?;
        let fields = std::str::from_utf8(&text).ok().and_then(Literal::fields);
        let fields = fields
            .ok_or_else(|| place.fault("has a header that is none, expected one dtype, fortran_order and shape"))?;
        let dtype = allowed.iter().copied().find(|dtype| dtype.descr() == fields.descr);
        let dtype = dtype.ok_or_else(|| {
            let names = allowed.iter().map(|dtype| dtype.descr()).collect::<Vec<_>>().join(", ");
            place.fault(format_args!("has dtype {}, expected {names}", fields.descr))
        })?;
        Ok((Header { dtype, fortran: fields.fortran_order, shape: fields.shape }, start + u64::from(len)))
    }
}
