//! Products with a packed weight: `Y = act(X · Wᵀ + b)` and `dX = dY · W`, as one `C = A · B` with
//! B in panels of NR columns.
//!
//! ```text
//! for pc in blocks of KC steps of the sum
//!     for ic in blocks of MC rows of A                pack A: [row tile][step][MR], which stays in L2
//!         for j in panels of NR columns of B          KC × NR of a panel pass through L1
//!             for i in row tiles of the block
//!                 C tile (+)= packed A · panel
//! ```
//!
//! A tile reads MR values of A a step. In place they lie a row apart, and where K is a power of two
//! all of them fall into one set of the L1 cache: 1024 x 1024 ran at 73 % of the peak (Zen 4), packed at
//! 93 %. Where a block meets few panels, the copy is not repaid, and A is read in place.

use super::microkernel::{
    Epilogue, Left, Right, RowTiles, Target, Tiles, accumulate_for, for_each_column_tile, for_each_row_tile, write,
};
use crate::isa::Kernel;
use crate::scratch::Scratch;
use crate::simd::Simd;
use std::ops::Range;

/// Steps of the sum that are taken at a time: a packed block of [`ROOM`] then has tens of rows.
const KC: usize = 1024;

/// Values of a packed block of A: a quarter of a 1 MiB L2 cache, beside 128 KiB of a panel.
const ROOM: usize = 64 * 1024;

/// Steps of the sum up to which A is read in place: a row tile of it (28 KiB) then stays in L1
/// while the panels pass by, and the copy would only cost (K = 415 and 512: 3 to 6 %).
const IN_PLACE: usize = 512;

/// Columns of C up to which A is read in place: the copy costs about as much as a sixth of a panel.
const FEW_COLUMNS: usize = 64;

/// What a whole vector may write beyond the last packed row.
const SLACK: usize = 16;

/// `C = epilogue(A · B)`, added to what is there if `add`: `a` M × K, `panels` those of B, `c` M × N.
pub(super) struct Packed<'a> {
    pub a: &'a [f32],
    pub panels: &'a [f32],
    pub c: &'a mut [f32],
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub add: bool,
    pub epilogue: Epilogue,
    pub scratch: &'a mut Scratch,
}

impl Kernel for Packed<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if self.n == 0 || self.m == 0 {
            return;
        }
        if self.m == 1 && !self.add && (self.k <= KC || self.n <= FEW_COLUMNS) {
            return self.row(simd); // one chain for each sum, as everything below has up to here
        }
        if self.k <= IN_PLACE || self.n <= FEW_COLUMNS {
            return if self.add { self.in_place::<S, true>(simd) } else { self.in_place::<S, false>(simd) };
        }
        // Loop 4: blocks of the sum. What came before is added, and bias and activation wait for the last.
        let whole = self.epilogue;
        for pc in (0..self.k).step_by(KC) {
            let steps = pc..self.k.min(pc + KC);
            self.epilogue = if steps.end == self.k { whole } else { Epilogue::default() };
            if self.add || pc > 0 { self.packed::<S, true>(simd, steps) } else { self.packed::<S, false>(simd, steps) }
        }
    }
}

impl Packed<'_> {
    /// Rows from `first` on, and steps `steps` of the sum.
    #[inline(always)]
    fn block<S: Simd, const ADD: bool>(&mut self, steps: Range<usize>, first: usize) -> Block<ADD> {
        Block {
            a: self.a[first * self.k + steps.start..].as_ptr(),
            k: self.k,
            steps: steps.len(),
            panels: self.panels.as_ptr().wrapping_add(steps.start * S::LANES * S::TILE_VECTORS),
            c: self.c.as_mut_ptr().wrapping_add(first * self.n),
            n: self.n,
            epilogue: self.epilogue,
            columns: 0..self.n,
        }
    }

    #[inline(always)]
    fn in_place<S: Simd, const ADD: bool>(mut self, simd: S) {
        let block = self.block::<S, ADD>(0..self.k, 0);
        // SAFETY: a has m rows of k, and c has m rows of n, as the public functions checked.
        unsafe { for_each_row_tile(simd, self.m, &InPlace(block)) }
    }

    #[inline(always)]
    fn packed<S: Simd, const ADD: bool>(&mut self, simd: S, steps: Range<usize>) {
        let mc = (ROOM / steps.len() / S::TILE_ROWS).max(1) * S::TILE_ROWS;
        let [room] = self.scratch.rooms([mc.min(self.m) * steps.len() + SLACK]);
        let room = room.as_mut_ptr();
        // Loop 3: blocks of rows.
        for ic in (0..self.m).step_by(mc) {
            let (rows, block) = (mc.min(self.m - ic), self.block::<S, ADD>(steps.clone(), ic));
            let pack = PackA { from: block.a, k: self.k, steps: steps.len(), to: room };
            // SAFETY: A has these rows and steps; the room has rows × steps values and the slack.
            unsafe { for_each_row_tile(simd, rows, &pack) }
            // Loop 2: panels.
            for j in (0..self.n).step_by(S::LANES * S::TILE_VECTORS) {
                let columns = j..self.n.min(j + S::LANES * S::TILE_VECTORS);
                let panel = Copied { a: room, block: Block { columns, ..block } };
                // Loop 1: row tiles.
                // SAFETY: the rows are packed, and C has them and these columns.
                unsafe { for_each_row_tile(simd, rows, &panel) }
            }
        }
    }
}

/// A block of rows of A and C, some steps of the sum, and columns of C, which are added to if `ADD`.
struct Block<const ADD: bool> {
    a: *const f32,
    k: usize,
    steps: usize,
    panels: *const f32,
    c: *mut f32,
    n: usize,
    epilogue: Epilogue,
    columns: Range<usize>,
}

impl<const ADD: bool> Block<ADD> {
    /// # Safety
    /// Rows `i .. i + MR` of C and the columns of the tile at `j` must exist, and `a` must hold the
    /// left operand of these rows.
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(
        &self,
        simd: S,
        a: Left,
        i: usize,
        j: usize,
        tail: usize,
    ) {
        // SAFETY: the panel of column j (a multiple of NR) starts at j · k, padded to whole vectors;
        // the caller vouches for A and C.
        unsafe {
            let b = Right { at: self.panels.add(j * self.k), step: S::LANES * S::TILE_VECTORS };
            let to = Target { at: self.c.add(i * self.n + j), row: self.n, tail };
            let acc = accumulate_for::<S, MR, NV>(simd, self.steps, a, b, to, &mut ());
            let epilogue = Epilogue { bias: self.epilogue.bias.map(|bias| bias.add(j)), ..self.epilogue };
            write::<S, MR, NV, ADD>(simd, acc, to, epilogue);
        }
    }
}

/// Copies rows of A: the tile that starts at row `i` lies at `to + i · steps`, step after step.
/// Whole vectors are stored, each over the end of the one before.
struct PackA {
    from: *const f32,
    k: usize,
    steps: usize,
    to: *mut f32,
}

impl<S: Simd> RowTiles<S> for PackA {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        debug_assert!(MR <= S::LANES && S::LANES <= SLACK);
        for p in (0..self.steps).step_by(S::LANES) {
            let cols = S::LANES.min(self.steps - p);
            let (from, to) = (self.from.wrapping_add(i * self.k + p), self.to.wrapping_add(i * self.steps + p * MR));
            // SAFETY: the caller vouches for the rows and the room; p + cols ≤ steps.
            let row = |r: usize| unsafe {
                let from = from.add(r * self.k);
                if cols == S::LANES { simd.load(from) } else { simd.load_partial(from, cols) }
            };
            // SAFETY: as above.
            simd.transpose(MR, cols, row, |c, column| unsafe { simd.store(to.add(c * MR), column) });
        }
    }
}

/// A block whose rows of A are packed.
struct Copied<const ADD: bool> {
    a: *const f32,
    block: Block<ADD>,
}

impl<S: Simd, const ADD: bool> RowTiles<S> for Copied<ADD> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: the caller vouches for the rows; the columns exist.
        unsafe { for_each_column_tile::<S, MR>(simd, i, self.block.columns.clone(), self) }
    }
}

impl<S: Simd, const ADD: bool> Tiles<S> for Copied<ADD> {
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, j: usize, tail: usize) {
        let a = Left { at: self.a.wrapping_add(i * self.block.steps), row: 1, step: MR };
        // SAFETY: the caller vouches for the tile, whose rows are packed at i · steps.
        unsafe { self.block.tile::<S, MR, NV>(simd, a, i, j, tail) }
    }
}

/// A block whose rows of A are read where they are.
struct InPlace<const ADD: bool>(Block<ADD>);

impl<S: Simd, const ADD: bool> RowTiles<S> for InPlace<ADD> {
    #[inline(always)]
    unsafe fn rows<const MR: usize>(&self, simd: S, i: usize) {
        // SAFETY: the caller vouches for the rows; the columns exist.
        unsafe { for_each_column_tile::<S, MR>(simd, i, self.0.columns.clone(), self) }
    }
}

impl<S: Simd, const ADD: bool> Tiles<S> for InPlace<ADD> {
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(&self, simd: S, i: usize, j: usize, tail: usize) {
        let a = Left { at: self.0.a.wrapping_add(i * self.0.k), row: self.0.k, step: 1 };
        // SAFETY: the caller vouches for the tile; its rows start at i · k.
        unsafe { self.0.tile::<S, MR, NV>(simd, a, i, j, tail) }
    }
}
