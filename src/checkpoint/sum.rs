//! Checksums of tensors from those of their parts.
//!
//! A CRC is the remainder of a division of polynomials over GF(2), whose sum is the exclusive or, but for constants that
//! are mixed in at both ends. Without those it is linear: that of a tensor is the sum of those of its parts, each with
//! zeros in the place of the others, in any order. And the constants make of a tensor's remainder its checksum by adding
//! the checksum of as many zeros.

use crc32fast::Hasher;

/// The remainder of the bytes of a tensor so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PartSum {
    remainder: u32,
    /// Bytes so far.
    at: u64,
}

impl PartSum {
    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut hasher = Hasher::new_with_initial(!self.remainder);
        hasher.update(bytes);
        self.remainder = !hasher.finalize();
        self.at += bytes.len() as u64;
    }

    /// Goes on with zeros up to byte `at`.
    pub fn skip_to(&mut self, at: u64) {
        const FEW: [u8; 512] = [0; 512];
        match at - self.at {
            gap if gap <= FEW.len() as u64 => self.update(&FEW[..gap as usize]),
            gap => self.remainder = shifted(self.remainder, gap),
        }
        self.at = at;
    }

    /// The remainder of the tensor of `len` bytes that has these and zeros.
    pub fn remainder(mut self, len: u64) -> u32 {
        self.skip_to(len);
        self.remainder
    }
}

/// The checksum of a tensor of `len` bytes from its remainder.
pub(super) fn crc(remainder: u32, len: u64) -> u32 {
    let of_zeros = !shifted(!0, len);
    remainder ^ of_zeros
}

/// The remainder behind which `zeros` bytes of zeros follow.
fn shifted(remainder: u32, zeros: u64) -> u32 {
    let mut hasher = Hasher::new_with_initial(remainder);
    hasher.combine(&Hasher::new_with_initial_len(0, zeros));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_checksum_of_the_whole() {
        for len in [0usize, 1, 7, 512, 513, 5000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * i + 3 * i + len) as u8).collect();
            for parts in [1, 2, 3, 7] {
                for stride in [1, 13, 700] {
                    // Every part has each `parts`-th run of `stride` bytes.
                    let remainder = (0..parts).fold(0, |all, part| {
                        let mut sum = PartSum::default();
                        for (i, run) in bytes.chunks(stride).enumerate().filter(|(i, _)| i % parts == part) {
                            sum.skip_to((i * stride) as u64);
                            sum.update(run);
                        }
                        all ^ sum.remainder(len as u64)
                    });
                    assert_eq!(crc(remainder, len as u64), crc32fast::hash(&bytes), "{len} {parts} {stride}");
                }
            }
        }
    }
}
