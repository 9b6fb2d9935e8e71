//! Argument checks at the public edge. A wrong length is a programmer's mistake: it panics with
//! the operation, the argument and both shapes.

/// Panics unless the argument `name` of `op` holds `shape[0] × shape[1]` values.
#[track_caller]
pub(crate) fn shape(op: &str, name: &str, len: usize, shape: [usize; 2]) {
    if Some(len) != shape[0].checked_mul(shape[1]) {
        wrong_length(op, name, len, shape);
    }
}

#[cold]
#[track_caller]
fn wrong_length(op: &str, name: &str, len: usize, [rows, cols]: [usize; 2]) -> ! {
    panic!("{op}: {name} has {len} values, expected {rows} x {cols}")
}

/// Panics with the operation if the operands of a linear layer do not have their shapes: `x` M × K, `y` M × N, `bias` N,
/// and `packed`, so many numbers of how many it should be.
#[track_caller]
pub(crate) fn linear(op: &str, x: &[f32], y: &[f32], packed: [usize; 2], bias: Option<&[f32]>, [m, n, k]: [usize; 3]) {
    shape(op, "x", x.len(), [m, k]);
    shape(op, "y", y.len(), [m, n]);
    shape(op, "packed", packed[0], [1, packed[1]]);
    if let Some(bias) = bias {
        shape(op, "bias", bias.len(), [1, n]);
    }
}
