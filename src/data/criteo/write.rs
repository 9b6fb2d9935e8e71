//! Values to lines: the other way round from [`row`](super::row).

use super::{DENSE_FEATURES, SPARSE_FEATURES};

/// Appends one line of `text`: a label unless it is `None`, the integers, and the ids as eight
/// lowercase digits, with nothing where a value is missing.
pub fn write_row(
    text: &mut Vec<u8>,
    label: Option<u8>,
    ints: &[Option<i32>; DENSE_FEATURES],
    ids: &[Option<u32>; SPARSE_FEATURES],
) {
    if let Some(label) = label {
        text.extend_from_slice(&[b'0' + label, b'\t']);
    }
    for &value in ints {
        if let Some(value) = value {
            write_integer(text, value);
        }
        text.push(b'\t');
    }
    for &id in ids {
        if let Some(id) = id {
            text.extend_from_slice(&std::array::from_fn::<u8, 8, _>(|i| hex_digit(id >> (28 - 4 * i) & 15)));
        }
        text.push(b'\t');
    }
    let end = text.len() - 1;
    text[end] = b'\n';
}

fn hex_digit(value: u32) -> u8 {
    b"0123456789abcdef"[value as usize]
}

fn write_integer(text: &mut Vec<u8>, value: i32) {
    if value < 0 {
        text.push(b'-');
    }
    let mut digits = [0; 10];
    let mut first = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[first..]);
}
