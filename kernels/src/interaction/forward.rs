//! The dot products, from vectors to pairs: LANES samples side by side, one a lane.
//!
//! 1. Laid over pairs, vectors would compute 40 of them a step where the triangle of F = 27 has 22 (whole
//!    vectors of each row). Laid over samples they compute what is asked for, but for the corners of
//!    blocks on the diagonal.
//! 2. The price is two transposes: of the inputs, LANES values of a feature at a time, so that they
//!    stay in the L1 cache, and of the pairs.
//! 3. A block of 4 × 4 pairs is 16 chains of multiply-adds on 8 loads. The chains run over `d` from 0 up,
//!    also from one piece of the vectors to the next, so that the bits are those of the plain loop where
//!    it fuses its products, however samples are grouped.

use super::{Rows, Shape, copy};
use crate::isa::Kernel;
use crate::scratch::Scratch;
use crate::simd::Simd;

/// Rows of a block of pairs.
const BLOCK: usize = 4;

pub(super) struct Dot<'a> {
    pub shape: Shape,
    pub batch: usize,
    pub dense: &'a [f32],
    pub pooled: &'a [f32],
    pub out: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for Dot<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Shape { dim, features, lead, .. } = self.shape;
        let pairs = self.shape.row_start(features);
        let width = features.next_multiple_of(BLOCK);
        let [t, p] = self.scratch.rooms([S::LANES * width * S::LANES, pairs * S::LANES]);
        for first in (0..self.batch).step_by(S::LANES) {
            let group = Group { shape: self.shape, width, first, samples: S::LANES.min(self.batch - first) };
            for d in (0..dim).step_by(S::LANES) {
                group.gather(simd, [self.dense, self.pooled], d, t);
                group.multiply(simd, t, S::LANES.min(dim - d), d > 0, p);
            }
            group.scatter(simd, p, lead * dim, self.out);
            for b in first..first + group.samples {
                let from = Rows::of_sample(self.shape, self.dense, self.pooled, b).first;
                let to = self.out[b * self.shape.out_dim()..][..lead * dim].as_mut_ptr();
                // SAFETY: without a dense vector nothing is copied, and with it D values.
                unsafe { copy(simd, from, to, lead * dim) }
            }
        }
    }
}

/// Samples `first .. first + samples`, at most LANES.
struct Group {
    shape: Shape,
    /// F, padded to whole blocks.
    width: usize,
    first: usize,
    samples: usize,
}

impl Group {
    /// Columns `d .. d + LANES` of every row, transposed: `t[(c · width + f) · LANES + s]` is column
    /// `d + c` of feature `f` of sample `s`. What the next group will ask for is prefetched.
    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S, [dense, pooled]: [&[f32]; 2], d: usize, t: &mut [f32]) {
        let Shape { dim, features, lead, .. } = self.shape;
        let (cols, tables) = (S::LANES.min(dim - d), features - lead);
        let t = t[..S::LANES * self.width * S::LANES].as_mut_ptr();
        for f in 0..features {
            // Feature f of the first sample, and how far the next sample's is.
            let (from, stride) = if f < lead {
                (dense[self.first * dim..].as_ptr(), dim)
            } else {
                (pooled[(self.first * tables + f - lead) * dim..].as_ptr(), tables * dim)
            };
            let from = from.wrapping_add(d);
            let row = |s: usize| {
                let at = from.wrapping_add(s * stride);
                simd.prefetch_far(at.wrapping_add(S::LANES * stride));
                // SAFETY: feature f of the sample has D values, of which these are the cols from d on.
                unsafe { if cols == S::LANES { simd.load(at) } else { simd.load_partial(at, cols) } }
            };
            simd.transpose(self.samples, cols, row, |c, column| {
                // SAFETY: c < LANES and f < width.
                unsafe { simd.store(t.add((c * self.width + f) * S::LANES), column) }
            });
        }
    }

    /// The products of `depth` columns, added to the pairs if `add`: `p[q · LANES + s]` is pair `q` of
    /// sample `s`.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, t: &[f32], depth: usize, add: bool, p: &mut [f32]) {
        let mut block = PairBlock { shape: self.shape, width: self.width, t, depth, add, p };
        for i in (0..self.shape.features).step_by(BLOCK) {
            let last = (i + BLOCK).min(self.shape.features) - 1;
            // 4 × 4 sums in 32 registers, 4 × 2 in 16.
            let columns = if S::LANES == 16 { 4 } else { 2 };
            for j in (0..self.shape.row_len(last)).step_by(columns) {
                if S::LANES == 16 { block.run::<S, 4>(simd, i, j) } else { block.run::<S, 2>(simd, i, j) }
            }
        }
    }

    /// The pairs of each sample, behind `copied` values that are not touched.
    #[inline(always)]
    fn scatter<S: Simd>(&self, simd: S, p: &[f32], copied: usize, out: &mut [f32]) {
        let (pairs, out_dim) = (self.shape.row_start(self.shape.features), self.shape.out_dim());
        let p = p[..pairs * S::LANES].as_ptr();
        let out = out[self.first * out_dim..][..self.samples * out_dim].as_mut_ptr();
        for q in (0..pairs).step_by(S::LANES) {
            let lanes = S::LANES.min(pairs - q);
            // SAFETY: pair q + r exists.
            let row = |r: usize| unsafe { simd.load(p.add((q + r) * S::LANES)) };
            simd.transpose(lanes, self.samples, row, |s, values| {
                // SAFETY: the sample has that many pairs from q on, behind what is copied.
                unsafe { simd.store_partial(out.add(s * out_dim + copied + q), values, lanes) }
            });
        }
    }
}

struct PairBlock<'a> {
    shape: Shape,
    width: usize,
    t: &'a [f32],
    depth: usize,
    add: bool,
    p: &'a mut [f32],
}

impl PairBlock<'_> {
    /// Rows `i .. i + BLOCK` with columns `j .. j + MJ`: what of it belongs to the triangle.
    #[inline(always)]
    fn run<S: Simd, const MJ: usize>(&mut self, simd: S, i: usize, j: usize) {
        let shape = self.shape;
        assert!(i + BLOCK <= self.width && j + MJ <= self.width);
        let t = self.t[..self.depth * self.width * S::LANES].as_ptr();
        let p = self.p[..shape.row_start(shape.features) * S::LANES].as_mut_ptr();
        let place = |r: usize, v: usize| {
            let wanted = i + r < shape.features && j + v < shape.row_len(i + r);
            wanted.then(|| p.wrapping_add((shape.row_start(i) + shape.rows_from(i, r) + j + v) * S::LANES))
        };
        let mut acc = [[simd.zero(); MJ]; BLOCK];
        for (r, row) in acc.iter_mut().enumerate().filter(|_| self.add) {
            for (v, sum) in row.iter_mut().enumerate() {
                if let Some(place) = place(r, v) {
                    // SAFETY: the pair lies in the triangle.
                    *sum = unsafe { simd.load(place) };
                }
            }
        }
        for c in 0..self.depth {
            // SAFETY: c < depth, and both blocks lie in the width.
            let load = |f: usize| unsafe { simd.load(t.add((c * self.width + f) * S::LANES)) };
            let mut right = [simd.zero(); MJ];
            for (v, right) in right.iter_mut().enumerate() {
                *right = load(j + v);
            }
            for (r, row) in acc.iter_mut().enumerate() {
                let left = load(i + r);
                for (sum, right) in row.iter_mut().zip(right) {
                    *sum = simd.fma(left, right, *sum);
                }
            }
        }
        for (r, row) in acc.into_iter().enumerate() {
            for (v, sum) in row.into_iter().enumerate() {
                if let Some(place) = place(r, v) {
                    // SAFETY: the pair lies in the triangle.
                    unsafe { simd.store(place, sum) }
                }
            }
        }
    }
}
