//! Records with their checksums.

/// CRC-32C (Castagnoli's polynomial, lowest bit first), a byte at a time by a table: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// A checksum as records have it, so that one of data with checksums in it is none of these.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Bytes in front of the data of a record: its length and the checksum of that.
pub(super) const HEADER: usize = 12;

/// Bytes after the data.
pub(super) const FOOTER: usize = 4;

/// A record, from the data that `write` puts into it.
pub(super) fn record(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut record = vec![0; HEADER];
    write(&mut record);
    let len = ((record.len() - HEADER) as u64).to_le_bytes();
    let crc = masked_crc(&record[HEADER..]);
    record[..8].copy_from_slice(&len);
    record[8..HEADER].copy_from_slice(&masked_crc(&len).to_le_bytes());
    record.extend_from_slice(&crc.to_le_bytes());
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4; the check value of the catalogue of CRCs, and its mask by hand.
    #[test]
    fn checksums_are_those_of_others() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
    }
}
