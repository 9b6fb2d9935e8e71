//! Dense arrays of up to three dimensions.

use crate::buffer::Buffer;
use ndarray::{Array, ArrayViewD, Dimension, IxDyn};

/// A contiguous row-major array of `f32` with one to three dimensions.
///
/// Layers and operations hand tensors to a [`Backend`](crate::backend::Backend) and never look
/// inside; the slices are for the edge: data in, results out, tests, and operations of one's own.
#[derive(Debug, Default)]
pub struct Tensor {
    shape: Shape,
    data: Buffer,
}

/// The lengths of one to three dimensions, as a value; a slice of them by dereference.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    dims: [usize; 3],
    rank: usize,
}

impl Shape {
    pub(crate) fn new(dims: &[usize]) -> Self {
        assert!((1..=3).contains(&dims.len()), "Tensor: shape {dims:?}, expected one to three dimensions");
        let mut shape = Shape { dims: [1; 3], rank: dims.len() };
        shape.dims[..dims.len()].copy_from_slice(dims);
        shape
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl Tensor {
    /// Zeros of shape `shape`.
    ///
    /// # Panics
    /// If `shape` has no or more than three dimensions.
    pub fn zeros(shape: &[usize]) -> Self {
        Tensor { shape: Shape::new(shape), data: Buffer::zeros(shape.iter().product()) }
    }

    /// A shape without numbers, for a plan of what is to be.
    pub(crate) fn hollow(shape: &[usize]) -> Self {
        Tensor { shape: Shape::new(shape), data: Buffer::default() }
    }

    /// A tensor of shape `shape` with a copy of `values`, row-major.
    ///
    /// # Panics
    /// If there are more or fewer values than the shape has places.
    pub fn from_slice(shape: &[usize], values: &[f32]) -> Self {
        let mut t = Tensor::zeros(shape);
        t.copy_from_slice(values);
        t
    }

    /// Takes shape `shape` in the memory it has; the values are unspecified afterwards.
    ///
    /// # Panics
    /// If `shape` has no or more than three dimensions.
    pub fn resize(&mut self, shape: &[usize]) {
        self.shape = Shape::new(shape);
        self.data.resize(shape.iter().product());
    }

    /// The lengths of the dimensions.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The length of the first dimension.
    pub fn rows(&self) -> usize {
        self.shape.dims[0]
    }

    /// The product of all dimensions but the first.
    pub fn cols(&self) -> usize {
        self.shape.dims[1] * self.shape.dims[2]
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements, row-major.
    pub fn as_slice(&self) -> &[f32] {
        self.data.as_slice()
    }

    /// The elements, row-major, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.data.as_mut_slice()
    }

    /// Overwrites the elements.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn copy_from_slice(&mut self, values: &[f32]) {
        assert_eq!(self.len(), values.len(), "Tensor: shape {:?} from {} values", self.shape(), values.len());
        self.data.overwrite().copy_from_slice(values);
    }

    /// Where the elements are, for a backend on a device.
    pub fn buffer(&self) -> &Buffer {
        &self.data
    }

    /// The same, to write.
    pub fn buffer_mut(&mut self) -> &mut Buffer {
        &mut self.data
    }

    /// The same numbers as an ndarray view.
    pub fn view(&self) -> ArrayViewD<'_, f32> {
        ArrayViewD::from_shape(IxDyn(&self.shape()), self.as_slice()).expect("a tensor is contiguous")
    }
}

/// `Σ x²` in an order that depends on the length alone: eight sums side by side, which the compiler keeps in vectors.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    for chunk in values.chunks(8) {
        sums.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
    }
    sums.iter().sum()
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        match self.shape.rank {
            0 => Tensor::default(),
            _ => Tensor::from_slice(&self.shape, self.as_slice()),
        }
    }
}

impl<D: Dimension> From<&Array<f32, D>> for Tensor {
    /// A row-major copy of an array.
    ///
    /// # Panics
    /// If the array has no or more than three dimensions.
    fn from(array: &Array<f32, D>) -> Self {
        let mut t = Tensor::zeros(array.shape());
        t.as_mut_slice().iter_mut().zip(array).for_each(|(t, &a)| *t = a);
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ndarray_in_and_out() {
        let a = ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let column_major = a.t().to_owned();
        let t = Tensor::from(&column_major.t().to_owned());
        assert_eq!((&*t.shape(), t.rows(), t.cols()), (&[2, 3][..], 2, 3));
        assert_eq!(t.view(), a.into_dyn());
    }

    #[test]
    #[should_panic(expected = "shape [2, 2] from 3 values")]
    fn a_wrong_number_of_values_panics_with_both() {
        Tensor::from_slice(&[2, 2], &[0.0; 3]);
    }
}
