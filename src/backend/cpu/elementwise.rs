//! Sums and products element by element, and columns in and out: batches cut by rows, and by columns where
//! rows are summed.

use super::{Beta, Cpu};
use crate::tensor::Tensor;
use dlrm_kernels::elementwise as kernel;

/// Numbers a piece, at most: three operands of it stay in a level-2 cache.
const MAX_NUMBERS: usize = 1 << 15;

/// Numbers of a copy a piece, at most: half a huge page, whose first touch takes a while.
const COPY_NUMBERS: usize = 1 << 18;

/// Columns of a sum over rows a piece, at least: whole cache lines.
const COLUMN_GRAIN: usize = 16;

/// Calls `f(first row, rows)` for pieces of the rows of `y`, on all threads.
fn for_each_rows(cpu: &Cpu, y: &mut Tensor, f: impl Fn(usize, &mut [f32]) + Send + Sync) {
    let (m, n) = (y.rows(), y.cols());
    let rows = cpu.piece(m, 8 * m * n, 1, MAX_NUMBERS.div_ceil(n.max(1)));
    cpu.for_each_piece(y.as_mut_slice(), rows * n, |i, y| f(i * rows, y));
}

pub(super) fn add_to(cpu: &Cpu, x: &Tensor, y: &mut Tensor, beta: Beta) {
    let (n, x_shape) = (y.cols(), x.shape());
    assert!(x.len() == y.len() || x.len() == n, "add_to: X {x_shape:?}, Y {:?}", y.shape());
    let (x, one_row) = (x.as_slice(), x.len() != y.len());
    let put = |x: &[f32], y: &mut [f32]| match beta {
        Beta::Zero => y.copy_from_slice(x),
        Beta::One => kernel::add_assign(cpu.isa, y, x),
    };
    for_each_rows(cpu, y, |row, y| match one_row {
        true => y.chunks_mut(n).for_each(|y| put(x, y)),
        false => put(&x[row * n..][..y.len()], y),
    });
}

pub(super) fn copy(cpu: &Cpu, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len(), "copy: numbers");
    let len = cpu.piece(to.len(), 8 * to.len(), 1, COPY_NUMBERS);
    cpu.for_each_piece(to, len, |i, to| to.copy_from_slice(&from[i * len..][..to.len()]));
}

pub(super) fn mul(cpu: &Cpu, [a, b]: [&Tensor; 2], y: &mut Tensor, beta: Beta) {
    let fits = a.len() == y.len() && a.rows() == y.rows() && (b.len() == a.len() || b.len() == a.rows());
    assert!(fits, "mul: A {:?}, B {:?}, Y {:?}", a.shape(), b.shape(), y.shape());
    let (n, one_a_row) = (y.cols(), b.len() != a.len());
    let (a, b) = (a.as_slice(), b.as_slice());
    for_each_rows(cpu, y, |row, y| {
        if beta == Beta::Zero {
            y.fill(0.0);
        }
        let a = &a[row * n..][..y.len()];
        if !one_a_row {
            return kernel::mul_add(cpu.isa, a, &b[row * n..][..y.len()], y);
        }
        let rows = y.chunks_mut(n).zip(a.chunks(n)).zip(&b[row..]);
        rows.for_each(|((y, a), &b)| kernel::axpy(cpu.isa, b, a, y));
    });
}

pub(super) fn dot_rows(cpu: &Cpu, [a, b]: [&Tensor; 2], y: &mut Tensor, beta: Beta) {
    let (m, n) = (a.rows(), a.cols());
    let fits = a.len() == b.len() && b.rows() == m && y.len() == m;
    assert!(fits, "dot_rows: A {:?}, B {:?}, Y {:?}", a.shape(), b.shape(), y.shape());
    let (a, b) = (a.as_slice(), b.as_slice());
    let rows = cpu.piece(m, 8 * m * n, 1, MAX_NUMBERS.div_ceil(n.max(1)));
    cpu.for_each_piece(y.as_mut_slice(), rows, |i, y| {
        for (row, y) in y.iter_mut().enumerate() {
            let at = (i * rows + row) * n;
            let dot = kernel::dot(cpu.isa, &a[at..at + n], &b[at..at + n]);
            *y = if beta == Beta::One { *y + dot } else { dot };
        }
    });
}

pub(super) fn sum_rows(cpu: &Cpu, x: &Tensor, y: &mut Tensor, beta: Beta) {
    let (m, n) = (x.rows(), x.cols());
    assert!(y.len() == n, "sum_rows: X {:?}, Y {:?}", x.shape(), y.shape());
    let x = x.as_slice();
    let columns = cpu.piece(n, 8 * m * n, COLUMN_GRAIN, usize::MAX);
    cpu.for_each_piece(y.as_mut_slice(), columns, |i, y| {
        if beta == Beta::Zero {
            y.fill(0.0);
        }
        (0..m).for_each(|row| kernel::add_assign(cpu.isa, y, &x[row * n + i * columns..][..y.len()]));
    });
}

pub(super) fn put_columns(cpu: &Cpu, x: &Tensor, first: usize, out: &mut Tensor) {
    let (width, n) = (x.cols(), out.cols());
    let fits = x.rows() == out.rows() && first + width <= n;
    assert!(fits, "put_columns: X {:?} from column {first} of {:?} on", x.shape(), out.shape());
    let x = x.as_slice();
    for_each_rows(cpu, out, |row, out| {
        let rows = out.chunks_mut(n).zip(x[row * width..].chunks(width));
        rows.for_each(|(out, x)| out[first..first + width].copy_from_slice(x));
    });
}

pub(super) fn take_columns(cpu: &Cpu, from: &Tensor, first: usize, x: &mut Tensor, beta: Beta) {
    let (width, n) = (x.cols(), from.cols());
    let fits = x.rows() == from.rows() && first + width <= n;
    assert!(fits, "take_columns: X {:?} from column {first} of {:?} on", x.shape(), from.shape());
    let from = from.as_slice();
    for_each_rows(cpu, x, |row, x| {
        for (x, from) in x.chunks_mut(width).zip(from[row * n..].chunks(n)) {
            let from = &from[first..first + width];
            match beta {
                Beta::Zero => x.copy_from_slice(from),
                Beta::One => kernel::add_assign(cpu.isa, x, from),
            }
        }
    });
}
