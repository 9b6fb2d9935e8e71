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
