//! Many lines to rows, by way of where their fields end: several times as fast as one at a time.

use super::lines::MAX_LINE;
use super::row::BadField;
use super::{DENSE_FEATURES, Labels, Row, SPARSE_FEATURES};
use dlrm_kernels::{Isa, text};

/// Finds rows with labels in text that is read as a whole.
#[derive(Debug)]
pub struct Scanner {
    isa: Isa,
    /// Where tabs and newlines are.
    ends: Vec<u32>,
}

/// A line, if it is a row, else what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A row with a label.
    Row(Row),
    /// A line that [`Row::parse`] may tell more of.
    Other(&'a [u8]),
}

impl Scanner {
    /// One that uses `isa`.
    pub fn new(isa: Isa) -> Scanner {
        Scanner { isa, ends: Vec::new() }
    }

    /// Hands the lines of `text` to `each` in order, until it returns an error.
    ///
    /// # Errors
    /// Those of `each`.
    ///
    /// # Panics
    /// If `text` has 2³² bytes or more.
    pub fn for_each<'a, E>(
        &mut self,
        text: &'a [u8],
        mut each: impl FnMut(Line<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.ends.clear();
        text::separators(self.isa, text, &mut self.ends);
        if text.last().is_some_and(|&byte| byte != b'\n') {
            self.ends.push(text.len() as u32);
        }
        let (mut start, mut ends) = (0, &self.ends[..]);
        while !ends.is_empty() {
            if let Some((head, rest)) = ends.split_first_chunk::<FIELDS>()
                && let Some(row) = row(text, start, head)
            {
                each(Line::Row(row))?;
                (start, ends) = (head[FIELDS - 1] as usize + 1, rest);
                continue;
            }
            let is_end = |&end: &u32| text.get(end as usize).is_none_or(|&byte| byte == b'\n');
            let fields = 1 + ends.iter().position(is_end).expect("the last end is a line's");
            let end = ends[fields - 1] as usize;
            each(Line::Other(&text[start..end]))?;
            (start, ends) = (end + 1, &ends[fields..]);
        }
        Ok(())
    }
}

const FIELDS: usize = 1 + DENSE_FEATURES + SPARSE_FEATURES;

/// The row whose fields end at `ends`, the first of which begins at `start`; `None` if it is not such
/// as most are: then it may still be one.
#[inline]
fn row(text: &[u8], start: usize, ends: &[u32; FIELDS]) -> Option<Row> {
    // A line ends where its last field does, and nowhere before.
    let tabs = ends[..FIELDS - 1].iter().fold(true, |tabs, &end| tabs & (text[end as usize] == b'\t'));
    if !tabs || text.get(ends[FIELDS - 1] as usize).is_some_and(|&byte| byte != b'\n') {
        return None;
    }
    let label = text[start].wrapping_sub(b'0');
    if label > 1 || ends[0] as usize != start + 1 {
        return None;
    }
    let mut row = Row { label: Some(label), ints: [0; DENSE_FEATURES], ids: [0; SPARSE_FEATURES] };
    let mut from = ends[0] as usize + 1;
    let (dense, sparse) = ends[1..].split_at(DENSE_FEATURES);
    for (value, &end) in row.ints.iter_mut().zip(dense) {
        *value = integer(text, from, end as usize)?;
        from = end as usize + 1;
    }
    for (value, &end) in row.ids.iter_mut().zip(sparse) {
        *value = match end as usize - from {
            0 => 0,
            8 => text::hexadecimal(text[from..].first_chunk()?)?,
            _ => return None,
        };
        from = end as usize + 1;
    }
    Some(row)
}

/// An integer of up to eight digits, perhaps after a minus; nothing is 0.
#[inline]
fn integer(text: &[u8], from: usize, end: usize) -> Option<i32> {
    let negative = text[from] == b'-';
    let len = end - from - usize::from(negative);
    if len > 8 || (negative && len == 0) {
        return None;
    }
    let value = text::decimal(text.get(end.checked_sub(8)?..end)?.first_chunk()?, len)? as i32;
    Some(if negative { -value } else { value })
}

impl Line<'_> {
    /// The row, as [`Row::parse`] reads it.
    ///
    /// # Errors
    /// Those of [`Row::parse`], and one for a line of more than [`MAX_LINE`] bytes.
    pub fn parse(self) -> Result<Row, BadField> {
        match self {
            Line::Row(row) => Ok(row),
            Line::Other(line) if line.len() > MAX_LINE => Err(BadField::overlong(line)),
            Line::Other(line) => Row::parse(line, Labels::Present),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::criteo::write_row;

    /// A line for a number: most are rows, with integers of any length and ids missing or not.
    fn line(i: u64, out: &mut Vec<u8>) {
        let bits =
            |n: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
        let ints = std::array::from_fn(|j| {
            let value = bits(j as u64);
            (value % 5 > 0).then_some((value >> 8) as i32 >> (value >> 3 & 31))
        });
        let ids = std::array::from_fn(|c| (bits(c as u64 + 13) % 4 > 0).then_some(bits(c as u64 + 50) as u32));
        write_row(out, Some((i & 1) as u8), &ints, &ids);
    }

    /// What line after line gives.
    fn slowly(text: &[u8]) -> Vec<Result<Row, BadField>> {
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        lines.map(|line| Row::parse(line.strip_suffix(b"\n").unwrap_or(line), Labels::Present)).collect()
    }

    fn quickly(text: &[u8], isa: Isa) -> (Vec<Result<Row, BadField>>, usize) {
        let (mut rows, mut quick) = (Vec::new(), 0);
        let done = Scanner::new(isa).for_each(text, |line| {
            quick += usize::from(matches!(line, Line::Row(_)));
            rows.push(line.parse());
            Ok::<(), ()>(())
        });
        done.unwrap();
        (rows, quick)
    }

    #[test]
    fn lines_are_what_they_are_one_at_a_time() {
        let mut text = Vec::new();
        (0..300).for_each(|i| line(i, &mut text));
        for isa in Isa::available() {
            let (rows, quick) = quickly(&text, isa);
            assert_eq!(rows, slowly(&text));
            assert!(quick > 30 && rows.iter().all(Result::is_ok), "{quick}");
            // Without the last newline, cut, and with bytes changed.
            for cut in text.len() - 300..text.len() {
                assert_eq!(quickly(&text[..cut], isa).0, slowly(&text[..cut]));
            }
            for i in 0..3000usize {
                let mut text = text.clone();
                let at = i * 7919 % text.len();
                text[at] = [b'\t', b'\n', b'-', b'0', b'7', b'g', b'A', 0xff, b' '][i % 9];
                assert_eq!(quickly(&text, isa).0, slowly(&text), "byte {at}");
            }
        }
    }
}
