//! A product's operands, and what it should be.

use crate::common::{check, values};
use dlrm::Stream;
use dlrm::buffer::Buffer;
use dlrm_kernels::reference;
use ndarray::ArrayView2;

/// Which of a layer's products; the names are the kernels'.
#[derive(Clone, Copy)]
pub enum Form {
    /// `Y = X · Wᵀ`.
    Linear,
    /// `dX = dY · W`.
    BackwardInput,
    /// `dW = dYᵀ · X`.
    BackwardWeight,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Form::Linear => "linear",
            Form::BackwardInput => "backward-input",
            Form::BackwardWeight => "backward-weight",
        }
    }
}

/// Rows of a product that are compared with the plain loop: the first, the last and some between.
const CHECKED_ROWS: usize = 8;

pub struct Case {
    pub form: Form,
    /// M × N × K of the layer.
    pub shape: [usize; 3],
    /// X, dY or dY.
    pub left: Buffer,
    /// W, W or X.
    pub right: Buffer,
    /// matrixmultiply's answer, some rows of which the plain loop has confirmed: all of them would take it
    /// minutes.
    pub expected: Vec<f32>,
}

impl Case {
    pub fn new(form: Form, shape: [usize; 3]) -> Case {
        let [m, n, k] = shape;
        let (left, right) = match form {
            Form::Linear => (m * k, n * k),
            Form::BackwardInput => (m * n, n * k),
            Form::BackwardWeight => (m * n, m * k),
        };
        let mut stream = Stream::native(1);
        let (left, right) = (values(left, &mut stream), values(right, &mut stream));
        let mut case = Case { form, shape, left, right, expected: Vec::new() };
        let [a, b] = case.operands();
        let mut expected = vec![0.0; a.nrows() * b.ncols()];
        dlrm_rivals::matrixmultiply(a, b, &mut expected, 1);
        for i in (0..CHECKED_ROWS).map(|i| i * (a.nrows() - 1) / (CHECKED_ROWS - 1)) {
            let plain = case.plain_row(i);
            check("matrixmultiply", &expected[i * b.ncols()..][..b.ncols()], &plain, case.tolerance());
        }
        case.expected = expected;
        case
    }

    /// The two factors of the product.
    pub fn operands(&self) -> [ArrayView2<'_, f32>; 2] {
        let [m, n, k] = self.shape;
        let (left, right) = (self.left.as_slice(), self.right.as_slice());
        match self.form {
            Form::Linear => [matrix(left, m, k), matrix(right, n, k).reversed_axes()],
            Form::BackwardInput => [matrix(left, m, n), matrix(right, n, k)],
            Form::BackwardWeight => [matrix(left, m, n).reversed_axes(), matrix(right, m, k)],
        }
    }

    /// The error of a sum of products of values in [-1, 1], twice over.
    pub fn tolerance(&self) -> f32 {
        let depth = self.operands()[0].ncols() as f32;
        depth * f32::EPSILON * depth.max(4.0) / 2.0
    }

    /// The whole product.
    pub fn plain_loop(&self, out: &mut [f32]) {
        self.plain(self.left.as_slice(), out, self.shape);
    }

    /// Row `i` of the product.
    fn plain_row(&self, i: usize) -> Vec<f32> {
        let ([a, b], [m, n, k]) = (self.operands(), self.shape);
        let (row, mut out) = (a.row(i).to_vec(), vec![0.0; b.ncols()]);
        let shape = match self.form {
            Form::BackwardWeight => [m, 1, k],
            _ => [1, n, k],
        };
        self.plain(&row, &mut out, shape);
        out
    }

    fn plain(&self, left: &[f32], out: &mut [f32], shape: [usize; 3]) {
        match self.form {
            Form::Linear => reference::linear(left, self.right.as_slice(), None, false, out, shape),
            Form::BackwardInput => reference::linear_backward_input(left, self.right.as_slice(), out, shape),
            Form::BackwardWeight => reference::linear_backward_weight(left, self.right.as_slice(), out, shape),
        }
    }
}

fn matrix(values: &[f32], rows: usize, cols: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, cols), values).expect("the shape of the values")
}
