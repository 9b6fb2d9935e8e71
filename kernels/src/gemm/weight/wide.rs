//! `dW = dYᵀ · X`, from blocks of both that the first tiles copy.

use super::{ROWS_AHEAD, WeightGradient, pack_right};
use crate::gemm::Beta;
use crate::gemm::microkernel::{
    EachStep, Epilogue, Left, Right, RowTiles, Target, Tiles, accumulate_for, for_each_column_tile, for_each_row_tile,
    write,
};
use crate::simd::Simd;

/// Samples that are summed in registers before they are added to `dW`: its tile is then read and written
/// once in 7000 cycles. (Zen 4: 384 and 512 are no faster, and need smaller groups for L2.)
const MC: usize = 256;

/// Rows of `dW` (columns of `dY`) that share a packed panel of `X`: 512 KiB of packed dY.
const GROUP: usize = 512;

impl WeightGradient<'_> {
    #[inline(always)]
    pub(super) fn wide<S: Simd>(mut self, simd: S) {
        let nr = S::LANES * S::TILE_VECTORS;
        let group = GROUP.min(self.rows.len());
        let block = MC.min(self.m);
        let [left, right] = self.scratch.rooms([block * group, block * nr]);
        let (left, right) = (left.as_mut_ptr(), right.as_mut_ptr());
        // Loop 4: blocks of samples.
        for pc in (0..self.m).step_by(MC) {
            let samples = MC.min(self.m - pc);
            // Loop 3: groups of rows of dW.
            for ic in (0..self.rows.len()).step_by(GROUP) {
                let rows = GROUP.min(self.rows.len() - ic);
                // Loop 2: panels of X.
                for j in (0..self.k).step_by(nr) {
                    let width = nr.min(self.k - j);
                    let panel = Panel {
                        dy: self.dy[pc * self.n + self.rows.start + ic..].as_ptr(),
                        n: self.n,
                        left,
                        pack_left: j == 0,
                        db: self.db.as_mut().map(|db| db[ic..].as_mut_ptr()).filter(|_| j == 0),
                        x: self.x[pc * self.k + j..].as_ptr(),
                        right,
                        dw: self.dw[ic * self.k + j..].as_mut_ptr(),
                        add: pc > 0 || self.beta == Beta::One,
                        samples,
                        k: self.k,
                        width,
                    };
                    // Loop 1: row tiles.
                    // SAFETY: dY has samples rows from pc on and rows columns from rows.start + ic on,
                    // db as many; X has those rows and width columns from j on; the rooms are as large
                    // as a block; dW has rows rows from ic on.
                    unsafe { panel.run(simd, rows) }
                }
            }
        }
    }
}

/// One panel's columns of a group of rows of `dW`.
///
/// The first row tile reads `X` where it is and leaves a copy, the others read the copy; the first
/// panel does the same with `dY`.
struct Panel {
    dy: *const f32,
    n: usize,
    /// Packed dY: the row tile that starts at row `i` lies at `left + i · samples`, sample after sample.
    left: *mut f32,
    pack_left: bool,
    /// What the column sums of dY are added to.
    db: Option<*mut f32>,
    x: *const f32,
    right: *mut f32,
    dw: *mut f32,
    /// Whether the products are added to what is there.
    add: bool,
    samples: usize,
    k: usize,
    width: usize,
}

impl Panel {
    /// Tiles of `rows` rows.
    ///
    /// # Safety
    /// Everything but the copies must hold that many rows of the block, and the copies must have room.
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, simd: S, rows: usize) {
        // SAFETY: the caller vouches for both.
        unsafe {
            if self.width < S::LANES * S::TILE_VECTORS {
                // The vectors of a tile would reach over the end of X.
                pack_right(simd, self.x, self.k, self.samples, self.width, self.right);
            }
            for_each_row_tile(simd, rows, self);
        }
    }

    /// The tile at row `i`; only with `COPY` does it look whether a copy is due.
    ///
    /// # Safety
    /// Rows `i .. i + MR` must exist.
    #[inline(always)]
    unsafe fn product<S: Simd, const MR: usize, const NV: usize, const COPY: bool>(
        &self,
        simd: S,
        i: usize,
        tail: usize,
    ) {
        let nr = S::LANES * S::TILE_VECTORS;
        let (pack_left, pack_right) = (COPY && self.pack_left, COPY && self.pack_right::<S>(i));
        let (dy, left) = (self.dy.wrapping_add(i), self.left.wrapping_add(i * self.samples));
        let a = if pack_left { Left { at: dy, row: 1, step: self.n } } else { Left { at: left, row: 1, step: MR } };
        let to = (self.k > nr).then_some(left);
        let strip = Strip { n: self.n, from: dy, to, db: self.db.map(|db| db.wrapping_add(i)) };
        let b = if pack_right { Right { at: self.x, step: self.k } } else { Right { at: self.right, step: nr } };
        let to = Target { at: self.dw.wrapping_add(i * self.k), row: self.k, tail };
        // SAFETY: the caller vouches for the rows; a, b and the copies are as large as the block.
        unsafe {
            let mut copy =
                Copy::<S, MR> { panel: self, pack_right, strip: pack_left.then_some(strip), sum: simd.zero() };
            if let Some(strip) = &copy.strip {
                copy.sum = strip.load_db::<S, MR>(simd);
            }
            let acc = if COPY {
                accumulate_for::<S, MR, NV>(simd, self.samples, a, b, to, &mut copy)
            } else {
                accumulate_for::<S, MR, NV>(simd, self.samples, a, b, to, &mut ())
            };
            if let Some(strip) = &copy.strip {
                strip.store_db::<S, MR>(simd, copy.sum);
            }
            if self.add {
                write::<S, MR, NV, true>(simd, acc, to, Epilogue::default());
            } else {
                write::<S, MR, NV, false>(simd, acc, to, Epilogue::default());
            }
        }
    }

    /// Whether the tile at row `i` reads X itself.
    #[inline(always)]
    fn pack_right<S: Simd>(&self, i: usize) -> bool {
        i == 0 && self.width == S::LANES * S::TILE_VECTORS
    }

    /// Copies the vectors of step `p` of X.
    ///
    /// # Safety
    /// The copy must have room for `p + 1` steps.
    #[inline(always)]
    unsafe fn copy_right<S: Simd, const NV: usize>(&self, simd: S, p: usize, vectors: [S::V; NV]) {
        let ahead = self.x.wrapping_add((p + ROWS_AHEAD) * self.k);
        // The vectors may lie across three cache lines.
        simd.prefetch_far(ahead.wrapping_add(NV * S::LANES - 1));
        for (v, vector) in vectors.into_iter().enumerate() {
            simd.prefetch_far(ahead.wrapping_add(v * S::LANES));
            // SAFETY: the caller vouches for the room.
            unsafe { simd.store(self.right.add((p * NV + v) * S::LANES), vector) }
        }
    }
}

impl<S: Simd> RowTiles<S> for Panel {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: the caller vouches for rows i .. i + MR; the panel has this width.
        unsafe { for_each_column_tile::<S, MR>(simd, i, 0..self.width, self) }
    }
}

impl<S: Simd> Tiles<S> for Panel {
    /// The panel is one tile wide: `j` is 0.
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, _: usize, tail: usize) {
        // SAFETY: the caller vouches for the tile.
        unsafe {
            if self.pack_left || self.pack_right::<S>(i) {
                self.product::<S, MR, NV, true>(simd, i, tail);
            } else {
                self.product::<S, MR, NV, false>(simd, i, tail);
            }
        }
    }
}

/// Some columns of dY, as many as a row tile has rows, and where their copy and their sums go.
struct Strip {
    n: usize,
    from: *const f32,
    /// None if there is one panel only, and nobody to read a copy.
    to: Option<*mut f32>,
    db: Option<*mut f32>,
}

impl Strip {
    /// # Safety
    /// `MR` sums must be readable, if there are sums.
    #[inline(always)]
    unsafe fn load_db<S: Simd, const MR: usize>(&self, simd: S) -> S::V {
        // SAFETY: the caller vouches for them.
        self.db.map_or(simd.zero(), |db| unsafe { simd.load_partial(db, MR) })
    }

    /// # Safety
    /// `MR` sums must be writable, if there are sums.
    #[inline(always)]
    unsafe fn store_db<S: Simd, const MR: usize>(&self, simd: S, sum: S::V) {
        if let Some(db) = self.db {
            // SAFETY: the caller vouches for them.
            unsafe { simd.store_partial(db, sum, MR) }
        }
    }

    /// Copies and returns row `p`. As rows are copied in order, whole vectors are stored, each over the end
    /// of the one before, where they do not leave the `left` rows that the copy still has room for.
    ///
    /// # Safety
    /// `MR` values of the row must be readable, and `left` rows of MR writable from the copy's row `p` on.
    #[inline(always)]
    unsafe fn copy<S: Simd, const MR: usize>(&self, simd: S, p: usize, left: usize) -> S::V {
        debug_assert!(MR <= S::LANES);
        let ahead = self.from.wrapping_add((p + ROWS_AHEAD) * self.n);
        simd.prefetch_far(ahead);
        simd.prefetch_far(ahead.wrapping_add(MR - 1));
        // SAFETY: the caller vouches for both sides.
        unsafe {
            let values = simd.load_partial(self.from.add(p * self.n), MR);
            if let Some(to) = self.to.map(|to| to.add(p * MR)) {
                if left * MR >= S::LANES { simd.store(to, values) } else { simd.store_partial(to, values, MR) }
            }
            values
        }
    }
}

/// What a tile that is the first to read an operand does on the way.
struct Copy<'a, S: Simd, const MR: usize> {
    panel: &'a Panel,
    pack_right: bool,
    strip: Option<Strip>,
    /// The sums of the strip's columns.
    sum: S::V,
}

impl<S: Simd, const MR: usize> EachStep<S> for Copy<'_, S, MR> {
    #[inline(always)]
    unsafe fn step<const NV: usize>(&mut self, simd: S, p: usize, right: [S::V; NV]) {
        // SAFETY: the caller vouches for the step.
        unsafe {
            if self.pack_right {
                self.panel.copy_right(simd, p, right);
            }
            if let Some(strip) = &self.strip {
                self.sum = simd.add(self.sum, strip.copy::<S, MR>(simd, p, self.panel.samples - p));
            }
        }
    }
}
