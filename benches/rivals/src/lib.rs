//! Matrix products of other crates, `out = a · b`, all with one safe signature: operands as views, which
//! may be transposed, and the output as a row-major slice.
//!
//! Threads are those of the rayon pool that the caller is in, `threads` of them at most.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// ndarray's product, which is the crate matrixmultiply's.
///
/// # Panics
/// If the shapes do not fit, or `threads` is not 1: it has no threads here.
pub fn matrixmultiply(a: ArrayView2<f32>, b: ArrayView2<f32>, out: &mut [f32], threads: usize) {
    assert_eq!(threads, 1, "matrixmultiply: threads");
    let mut out = ArrayViewMut2::from_shape((a.nrows(), b.ncols()), out).expect("the shape of the product");
    general_mat_mul(1.0, &a, &b, 0.0, &mut out);
}

/// The crate gemm's product.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm(a: ArrayView2<f32>, b: ArrayView2<f32>, out: &mut [f32], threads: usize) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    assert_eq!((b.nrows(), out.len()), (k, m * n), "gemm: rows of b, values of out");
    let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
    // SAFETY: a and b are views, whose pointers and strides reach their m × k and k × n values; out has
    // m × n values, nobody else sees them, and they are not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// faer's product.
///
/// # Panics
/// If the shapes do not fit, or an operand is neither row-major nor the transpose of what is.
pub fn faer(a: ArrayView2<f32>, b: ArrayView2<f32>, out: &mut [f32], threads: usize) {
    let out = MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols());
    let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
    matmul(out, Accum::Replace, faer_view(a), faer_view(b), 1.0, par);
}

fn faer_view(a: ArrayView2<'_, f32>) -> MatRef<'_, f32> {
    match a.to_slice() {
        Some(values) => MatRef::from_row_major_slice(values, a.nrows(), a.ncols()),
        None => {
            let values = a.reversed_axes().to_slice().expect("row-major, or the transpose of what is");
            MatRef::from_column_major_slice(values, a.nrows(), a.ncols())
        }
    }
}
