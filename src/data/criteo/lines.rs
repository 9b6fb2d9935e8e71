//! Bytes to lines, without a copy where it can be helped, and with bounded memory where not.

use std::io::{self, BufRead, ErrorKind};

/// The longest line that is kept whole, in bytes. A Criteo row has about 250.
pub const MAX_LINE: usize = 64 * 1024;

/// Lends out the lines of `R` one by one.
///
/// A line that lies in the buffer of `R` as a whole is lent from there; only one that crosses a
/// buffer's end is put together. Of an overlong line the first `MAX_LINE + 1` bytes or more are
/// lent, so that its length shows, and the rest is passed over.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    /// Bytes at the head of the input's buffer that the last line lent took up.
    lent: usize,
    /// The pieces of a line that crosses a buffer's end.
    joined: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `input`.
    pub fn new(input: R) -> Self {
        Lines { input, lent: 0, joined: Vec::new() }
    }

    /// The next line without its `\n`, or `None` at the end.
    ///
    /// # Errors
    /// What the input said.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.input.consume(std::mem::take(&mut self.lent));
        self.joined.clear();
        loop {
            let buffer = match self.input.fill_buf() {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok((!self.joined.is_empty()).then_some(&self.joined));
            }
            let end = find_newline(buffer);
            if let (Some(end), true) = (end, self.joined.is_empty()) {
                self.lent = end + 1;
                return Ok(Some(&self.input.fill_buf()?[..end]));
            }
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            let room = (MAX_LINE + 1).saturating_sub(self.joined.len());
            self.joined.extend_from_slice(&piece[..piece.len().min(room)]);
            let taken = piece.len() + usize::from(end.is_some());
            self.input.consume(taken);
            if end.is_some() {
                return Ok(Some(&self.joined));
            }
        }
    }

    /// What is known of a line whose end was not reached because the input failed.
    pub fn unfinished(&self) -> &[u8] {
        &self.joined
    }
}

/// The position of the first `\n`: whole blocks are tested at once, which compiles to a few
/// vector comparisons.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let has_newline = |block: &[u8; BLOCK]| block.iter().fold(false, |found, &b| found | (b == b'\n'));
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let first = blocks.iter().position(has_newline);
    let start = first.unwrap_or(blocks.len()) * BLOCK;
    let rest = if first.is_some() { &bytes[start..start + BLOCK] } else { tail };
    rest.iter().position(|&b| b == b'\n').map(|p| start + p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines_of(text: &[u8], buffer: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(line.to_vec());
        }
        all
    }

    #[test]
    fn lines_do_not_depend_on_the_buffer() {
        let long = [b'x'; 200];
        let cases: [(&[u8], Vec<&[u8]>); 6] = [
            (b"", vec![]),
            (b"\n", vec![b""]),
            (b"a", vec![b"a"]),
            (b"a\n\nb", vec![b"a", b"", b"b"]),
            (b"ab\ncd\n", vec![b"ab", b"cd"]),
            (&long, vec![&long]),
        ];
        for (text, expected) in cases {
            for buffer in [1, 2, 3, 64, 4096] {
                assert_eq!(lines_of(text, buffer), expected, "{:?} by {buffer}", text.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn an_overlong_line_is_cut_and_the_next_is_whole() {
        let mut text = vec![b'x'; 10 * MAX_LINE];
        text.extend_from_slice(b"\nnext\n");
        for buffer in [1000, MAX_LINE, 20 * MAX_LINE] {
            let lines = lines_of(&text, buffer);
            assert_eq!(lines.len(), 2);
            assert!(lines[0].len() > MAX_LINE, "{} bytes by {buffer}", lines[0].len());
            assert_eq!(lines[1], b"next");
        }
    }

    #[test]
    fn newlines_are_found_at_every_place() {
        for length in 0..200 {
            let mut bytes = vec![b'.'; length];
            assert_eq!(find_newline(&bytes), None);
            for place in (0..length).rev() {
                bytes[place] = b'\n';
                assert_eq!(find_newline(&bytes), Some(place));
            }
        }
    }
}
