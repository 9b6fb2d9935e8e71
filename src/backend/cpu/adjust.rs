//! What training does to values and gradients besides the model's own operations: dropout, scaling, norms.

use super::{Beta, Cpu, Dropout};
use crate::tensor::{self, Tensor};
use dlrm_kernels::elementwise;
use rayon::prelude::*;

/// Numbers a piece.
const PIECE: usize = 1 << 14;

/// The work of a number, in floating-point operations: the draw takes most of it.
const DRAW_WORK: usize = 16;

pub(super) fn dropout(cpu: &Cpu, mask: Dropout, x: &Tensor, y: &mut Tensor, beta: Beta) {
    assert_eq!(x.shape(), y.shape(), "dropout: x and y");
    let (columns, scale) = (x.cols(), 1.0 / (1.0 - mask.rate));
    let rows = cpu.piece(x.rows(), DRAW_WORK * x.len(), 1, PIECE.div_ceil(columns.max(1)));
    cpu.for_each_piece(y.as_mut_slice(), rows * columns, |i, y| {
        let first = i * rows;
        let x = x.as_slice()[first * columns..][..y.len()].chunks(columns);
        for (row, (y, x)) in y.chunks_mut(columns).zip(x).enumerate() {
            let passed = |c: usize, x: f32| if mask.drops(first + row, c, columns) { 0.0 } else { x * scale };
            let numbers = y.iter_mut().zip(x).enumerate();
            match beta {
                Beta::Zero => numbers.for_each(|(c, (y, &x))| *y = passed(c, x)),
                Beta::One => numbers.for_each(|(c, (y, &x))| *y += passed(c, x)),
            }
        }
    });
}

pub(super) fn scale(cpu: &Cpu, a: f32, x: &mut Tensor) {
    let len = cpu.piece(x.len(), x.len(), 16, PIECE);
    cpu.for_each_piece(x.as_mut_slice(), len, |_, x| x.iter_mut().for_each(|x| *x *= a));
}

/// On the calling thread.
pub(super) fn sum_of_squares(x: &Tensor) -> f64 {
    tensor::sum_of_squares(x.as_slice())
}

pub(super) fn check_finite(cpu: &Cpu, factor: f32, x: &Tensor, found: &mut Tensor) {
    let finite = |x: &[f32]| elementwise::all_finite(cpu.isa, factor, x);
    // A number takes as long as it takes to come from memory.
    let len = cpu.piece(x.len(), 4 * x.len(), 16, x.len());
    let all = match x.len() <= len {
        true => finite(x.as_slice()),
        false => cpu.pool.install(|| x.as_slice().par_chunks(len).all(finite)),
    };
    if !all {
        found.as_mut_slice()[0] = 1.0;
    }
}
