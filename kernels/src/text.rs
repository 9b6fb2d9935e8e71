//! Text: where its fields end, and what they hold.
//!
//! ```text
//! for (i, byte) in text                      separators
//!     if byte is a tab or a newline: push i
//! value = 0                                  hexadecimal, decimal
//! for digit in field: value = base · value + digit
//! ```
//!
//! 1. Sixty-four bytes are compared at once, which gives a bit for each; then only the set bits cost
//!    anything. A row of Criteo has 250 bytes and 40 separators.
//! 2. The digits of a field are eight bytes of one word, which are checked and put together by a
//!    few operations on all of them, without a branch a digit: neighbours to pairs, pairs to fours, fours to all.

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Appends to `out` where the tabs and newlines of `text` are.
///
/// # Panics
/// If `text` has 2³² bytes or more.
pub fn separators(isa: Isa, text: &[u8], out: &mut Vec<u32>) {
    assert!(u32::try_from(text.len()).is_ok(), "separators: {} bytes of text", text.len());
    isa.run(Separators { text, out });
}

struct Separators<'a> {
    text: &'a [u8],
    out: &'a mut Vec<u32>,
}

impl Kernel for Separators<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (blocks, rest) = self.text.as_chunks::<64>();
        for (i, block) in blocks.iter().enumerate() {
            let mut bits = simd.separators(block);
            self.out.reserve(64);
            while bits != 0 {
                self.out.push(64 * i as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        let first = self.text.len() - rest.len();
        let ends = rest.iter().enumerate().filter(|&(_, &byte)| byte == b'\t' || byte == b'\n');
        self.out.extend(ends.map(|(i, _)| (first + i) as u32));
    }
}

/// A byte in each of eight places.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The value of eight hexadecimal digits of either case, or `None` if one of them is none.
#[inline]
pub fn hexadecimal(digits: &[u8; 8]) -> Option<u32> {
    let word = u64::from_le_bytes(*digits);
    let low = word & all(0x0f);
    // Letters have bit 6: their value is 9 more than their lower half.
    let letter = word >> 6 & all(1);
    // A digit is 0x30 to 0x39, a letter 0x41 to 0x46 or 0x61 to 0x66. Bit 7 tells of a carry.
    let digits_fit = (low + all(0x76)) & all(0x80) | (word ^ all(0x30)) & all(0xf0);
    let letters_fit =
        (low + all(0x79)) & all(0x80) | (all(0x80) - low) & all(0x80) | ((word | all(0x20)) ^ all(0x60)) & all(0xf0);
    let is_letter = letter * 0xff;
    if (digits_fit & !is_letter | letters_fit & is_letter) != 0 {
        return None;
    }
    let nibbles = low + 9 * letter;
    let pairs = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs << 8 | pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours << 16 | fours >> 32) as u32)
}

/// The value of the last `len ≤ 8` of eight bytes as decimal digits, or `None` if one of them is no digit; 0 of
/// none.
#[inline]
pub fn decimal(digits: &[u8; 8], len: usize) -> Option<u32> {
    let missing = 8 * (8 - len as u32);
    // What is before the number becomes zeros: the first bytes are the lowest.
    let keep = u64::MAX.checked_shl(missing).unwrap_or(0);
    let word = u64::from_le_bytes(*digits) & keep | all(b'0') & !keep;
    let low = word ^ all(b'0');
    if (((low & all(0x7f)) + all(0x76)) | low) & all(0x80) != 0 {
        return None;
    }
    let pairs = (low * 10 + (low >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_of_every_length_and_place() {
        for isa in Isa::available() {
            for len in 0..200 {
                let text: Vec<u8> =
                    (0..len).map(|i| [b'\t', b'a', b'\n', 0, 0x89, b'\r', 8, 11][i * i % 11 % 8]).collect();
                let expected: Vec<u32> =
                    (0..len as u32).filter(|&i| matches!(text[i as usize], b'\t' | b'\n')).collect();
                let mut found = vec![7];
                separators(isa, &text, &mut found);
                assert_eq!(found[1..], expected, "{} {len}", isa.name());
            }
        }
    }

    #[test]
    fn hexadecimal_digits_and_nothing_else() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut digits = *b"09afAF7c";
                digits[at] = byte;
                let expected = std::str::from_utf8(&digits).ok().filter(|text| !text.contains('+'));
                let expected = expected.and_then(|text| u32::from_str_radix(text, 16).ok());
                assert_eq!(hexadecimal(&digits), expected, "{}", digits.escape_ascii());
            }
        }
    }

    #[test]
    fn decimal_digits_and_nothing_else() {
        for len in 0..=8 {
            for byte in 0..=255u8 {
                for at in 0..8 {
                    let mut digits = *b"90817263";
                    digits[at] = byte;
                    let text = std::str::from_utf8(&digits[8 - len..]).ok().filter(|text| !text.contains('+'));
                    let expected = if len == 0 { Some(0) } else { text.and_then(|text| text.parse().ok()) };
                    assert_eq!(decimal(&digits, len), expected, "last {len} of {}", digits.escape_ascii());
                }
            }
        }
    }
}
