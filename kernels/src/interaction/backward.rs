//! The gradients of the dot products, from pairs to vectors: `G · T`, with `G` the gradient of the pairs as a
//! symmetric matrix.
//!
//! `G` is never built. A register tile of rows `i .. i + MR` reads it from the triangle `g`, whose rows were
//! copied to equal distances:
//!
//! ```text
//! for p in 0 .. i              acc[r] += g[i + r][p] · t_p         left of the tile: one value of each of its rows
//! for p = i + s, s in 0 .. MR  acc[r] += g[p][i + r] · t_p         r < s: above the diagonal of G
//!                              acc[r] += g[i + r][p] · t_p         r > s: below it
//! for p in i + MR .. F         acc[r] += g[p][i + r] · t_p         right of the tile: neighbours in row p
//! with itself                  acc[r] += 2 g[i + r][i + r] · t_{i + r}
//! ```
//!
//! Built by transposes, `G` took 150 of 390 ns a sample (Zen 4, F = 27, D = 16); the copies take 30. Large samples are
//! asked for one ahead, vectors and gradient both, a share with each tile.

use super::{Rows, Shape, copy};
use crate::isa::Kernel;
use crate::scratch::Scratch;
use crate::simd::Simd;
use std::hint::black_box;
use std::ops::Range;

pub(super) struct DotBackward<'a> {
    pub shape: Shape,
    pub batch: usize,
    pub dense: &'a [f32],
    pub pooled: &'a [f32],
    pub grad_out: &'a [f32],
    pub grad_dense: &'a mut [f32],
    pub grad_pooled: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for DotBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The arms that a set never takes are gone at compile time.
        match tile_rows::<S>(self.shape.features) {
            14 if S::TILE_ROWS == 14 => self.of_tiles::<S, 14>(simd),
            8 if S::TILE_ROWS == 14 => self.of_tiles::<S, 8>(simd),
            6 if S::TILE_ROWS == 6 => self.of_tiles::<S, 6>(simd),
            4 => self.of_tiles::<S, 4>(simd),
            3 => self.of_tiles::<S, 3>(simd),
            2 => self.of_tiles::<S, 2>(simd),
            1 => self.of_tiles::<S, 1>(simd),
            _ => {}
        }
    }
}

impl DotBackward<'_> {
    #[inline(always)]
    fn of_tiles<S: Simd, const MR: usize>(self, simd: S) {
        // With a constant width, all the pairs that a tile reads are at constant distances.
        match self.shape.features {
            0..=NARROW => self.of_width::<S, MR>(simd, NARROW),
            features => self.of_width::<S, MR>(simd, features.next_multiple_of(S::LANES)),
        }
    }

    /// All samples, with tiles of `MR ≤ F` rows and the rows of the triangle `width` apart (a multiple of
    /// LANES, and F or more).
    #[inline(always)]
    fn of_width<S: Simd, const MR: usize>(self, simd: S, width: usize) {
        let shape = self.shape;
        let stride = shape.dim.next_multiple_of(S::LANES);
        // Rows of whole vectors are read where they are.
        let copied_rows = if stride == shape.dim { 0 } else { shape.features };
        let [g, t] = self.scratch.rooms([shape.features * width, copied_rows * stride]);
        t.fill(0.0);
        let (out_dim, tables) = (shape.out_dim(), shape.features - shape.lead);
        for b in 0..self.batch {
            let grad_out = &self.grad_out[b * out_dim..][..out_dim];
            let (copied, pairs) = grad_out.split_at(shape.lead * shape.dim);
            let mut rows = Rows::of_sample(shape, self.dense, self.pooled, b);
            if copied_rows > 0 {
                for (i, to) in t.chunks_exact_mut(stride).enumerate() {
                    // SAFETY: row i < F has D values, and to is longer.
                    unsafe { copy(simd, rows.row(i), to.as_mut_ptr(), shape.dim) }
                }
                rows = Rows { first: t.as_ptr(), rest: t.as_ptr(), stride };
            }
            let after = self.grad_out.len() - (b + 1) * out_dim;
            spread(simd, shape, pairs, after, g, width);
            let next = (b + 1) * tables * shape.dim;
            let sample = Sample {
                next: [self.pooled.as_ptr().wrapping_add(next), self.grad_pooled.as_ptr().wrapping_add(next)],
                shape,
                g: g.as_ptr(),
                width,
                rows,
                copied,
                dense: self.grad_dense[b * copied.len()..][..copied.len()].as_mut_ptr(),
                pooled: self.grad_pooled[b * tables * shape.dim..][..tables * shape.dim].as_mut_ptr(),
            };
            // SAFETY: there are F rows of the triangle, F rows of T, padded to whole vectors, and the gradients
            // have F rows of D.
            unsafe { sample.gradient::<S, MR>(simd) }
        }
    }
}

/// Values of a sample beyond which the next one is asked for. Tiles take some columns of each row at a time, and what a
/// processor fetches by itself ends with a page of 4 KiB: with 13 KiB a sample (F = 27, D = 128) the backward pass took a
/// third longer on a Zen 4. Smaller samples come by themselves, and the requests cost a tenth (F = 9, D = 64).
const PAGE: usize = 1024;

/// F up to which the triangle has rows of a constant width.
const NARROW: usize = 32;

/// Copies the triangle's rows to `width` apart in `g`; what is above the diagonal is of no use. Where `after`
/// the pairs there are values enough, whole rows are copied, of whatever follows.
#[inline(always)]
fn spread<S: Simd>(simd: S, shape: Shape, pairs: &[f32], after: usize, g: &mut [f32], width: usize) {
    let last = shape.row_start(shape.features.max(1) - 1);
    let whole = last + width <= pairs.len() + after;
    let mut from = pairs[..shape.row_start(shape.features)].as_ptr();
    for (i, to) in g[..shape.features * width].chunks_exact_mut(width).enumerate() {
        let len = shape.row_len(i);
        if whole {
            for v in (0..width).step_by(S::LANES) {
                // SAFETY: no row starts after the last, which has width values before it; `to` has width.
                unsafe { simd.store(to.as_mut_ptr().add(v), simd.load(from.add(v))) }
            }
        } else {
            // SAFETY: the row has len pairs, and `to` is as long or longer.
            unsafe { copy(simd, from, to.as_mut_ptr(), len) }
        }
        from = from.wrapping_add(len);
    }
}

/// One sample: the triangle, T, and where the gradient goes.
struct Sample<'a> {
    shape: Shape,
    /// The triangle, its rows `width` apart.
    g: *const f32,
    width: usize,
    rows: Rows,
    /// The gradient of the copied dense vector.
    copied: &'a [f32],
    dense: *mut f32,
    pooled: *mut f32,
    /// The next sample's vectors and their gradient, to be asked for.
    next: [*const f32; 2],
}

/// Rows of a register tile for `f` rows: of the sizes, the one that computes the fewest rows (tiles are
/// whole, so that the last overlaps the one before), and the largest of these. Smaller tiles than four
/// rows would wait for their own sums.
#[inline(always)]
fn tile_rows<S: Simd>(f: usize) -> usize {
    let sizes: &[usize] = match S::TILE_ROWS {
        14 => &[14, 8, 4],
        6 => &[6, 4],
        _ => &[4],
    };
    let fitting = sizes.iter().copied().filter(|&size| size <= f);
    fitting.min_by_key(|size| f.next_multiple_of(*size)).unwrap_or(f)
}

impl Sample<'_> {
    /// # Safety
    /// All that this points to must have F rows, MR or more.
    #[inline(always)]
    unsafe fn gradient<S: Simd, const MR: usize>(&self, simd: S) {
        let Shape { features, dim, .. } = self.shape;
        let nr = S::LANES * S::TILE_VECTORS;
        // What each tile asks for of the next sample: whole lines.
        let tiles = features.div_ceil(MR) * dim.div_ceil(nr);
        let share = if features * dim > PAGE { (features * dim / tiles).next_multiple_of(16) } else { 0 };
        let mut next = self.next;
        for i in (0..features).step_by(MR) {
            let i = i.min(features - MR);
            for d in (0..dim).step_by(nr) {
                for line in (0..share).step_by(16) {
                    simd.prefetch_far(next[0].wrapping_add(line));
                    simd.prefetch_far(next[1].wrapping_add(line));
                }
                next = next.map(|next| next.wrapping_add(share));
                let width = nr.min(dim - d);
                // SAFETY: i + MR ≤ F, and the columns end where D does.
                unsafe {
                    if S::TILE_VECTORS == 2 && width > S::LANES {
                        self.tile::<S, MR, 2>(simd, i, d, width - S::LANES);
                    } else {
                        self.tile::<S, MR, 1>(simd, i, d, width);
                    }
                }
            }
        }
    }

    /// Rows `i .. i + MR` of the gradient, and `NV` vectors from column `d` on, the last of `tail` lanes.
    ///
    /// # Safety
    /// Those rows and columns must exist.
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(&self, simd: S, i: usize, d: usize, tail: usize) {
        let Shape { features, diagonal, .. } = self.shape;
        let width = self.width;
        // SAFETY: only rows of T are asked for, which are padded to whole vectors.
        let load = |row: *const f32| std::array::from_fn(|v| unsafe { simd.load(row.add(d + v * S::LANES)) });
        let t = |p: usize| load(self.rows.row(p));
        // SAFETY: only pairs of the triangle are asked for.
        let pair = |from: *const f32, at: usize| unsafe { simd.splat(*from.add(at)) };
        let rows = self.g.wrapping_add(i * width);
        // Two names of one place, and neither known to the compiler: it would compute each address apart,
        // and keep each pair from its first use to its second, which is more than the registers hold.
        let [below, above] = [black_box(rows.wrapping_add(i)), black_box(rows.wrapping_add(i))];
        let mut acc = [[simd.zero(); NV]; MR];
        let left = black_box(rows);
        for p in 0..i {
            add_scaled(simd, &mut acc, 0..MR, t(p), |r| pair(left, r * width + p));
        }
        let stride = self.rows.stride;
        let later = self.rows.rest.wrapping_add(i * stride);
        // Every step is a case of its own, in which all but the values is known when compiled.
        macro_rules! steps {
            ($($s:literal)*) => {$(
                if $s < MR {
                    let t = if $s == 0 { t(i) } else { load(later.wrapping_add($s * stride)) };
                    add_scaled(simd, &mut acc, 0..$s, t, |r| pair(above, $s * width + r));
                    add_scaled(simd, &mut acc, $s + 1..MR, t, |r| pair(below, r * width + $s));
                }
            )*};
        }
        steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
        for p in i + MR..features {
            let row = self.g.wrapping_add(p * width + i);
            add_scaled(simd, &mut acc, 0..MR, t(p), |r| pair(row, r));
        }
        if diagonal == 1 {
            for r in 0..MR {
                add_scaled(simd, &mut acc, r..r + 1, t(i + r), |_| twice(simd, pair(rows, r * width + i + r)));
            }
        }
        // SAFETY: the caller vouches for the rows and columns.
        unsafe { self.write(simd, acc, i, d, tail) }
    }

    /// Writes a tile, on top of the gradient of the copied vector in the row of the dense vector.
    ///
    /// # Safety
    /// As for [`tile`](Self::tile).
    #[inline(always)]
    unsafe fn write<S: Simd, const MR: usize, const NV: usize>(
        &self,
        simd: S,
        acc: [[S::V; NV]; MR],
        i: usize,
        d: usize,
        tail: usize,
    ) {
        let Shape { dim, lead, .. } = self.shape;
        let pooled = self.pooled.wrapping_add(i * dim).wrapping_sub(lead * dim);
        for (r, sums) in acc.into_iter().enumerate() {
            for (v, mut sum) in sums.into_iter().enumerate() {
                let column = d + v * S::LANES;
                let lanes = if v == NV - 1 { tail } else { S::LANES };
                // SAFETY: the caller vouches for row and columns.
                unsafe {
                    let mut to = pooled.wrapping_add(r * dim);
                    if r == 0 && i < lead {
                        sum = simd.add(sum, simd.load_partial(self.copied.as_ptr().add(column), lanes));
                        to = self.dense;
                    }
                    simd.store_partial(to.add(column), sum, lanes);
                }
            }
        }
    }
}

/// `acc[r] += factor(r) · t` for some rows.
#[inline(always)]
fn add_scaled<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    acc: &mut [[S::V; NV]; MR],
    rows: Range<usize>,
    t: [S::V; NV],
    factor: impl Fn(usize) -> S::V,
) {
    for r in rows {
        let factor = factor(r);
        for (sum, t) in acc[r].iter_mut().zip(t) {
            *sum = simd.fma(factor, t, *sum);
        }
    }
}

#[inline(always)]
fn twice<S: Simd>(simd: S, x: S::V) -> S::V {
    simd.add(x, x)
}
