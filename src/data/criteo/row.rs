//! One line to one [`Row`], and back.
//!
//! A good line is read in one pass over its bytes. Only when that pass fails is the line looked
//! at again, slowly, to say what is wrong: see [`BadField`].

use super::{DENSE_FEATURES, SPARSE_FEATURES};

/// Whether lines begin with a label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Labels {
    /// 40 fields: Kaggle's `train.txt`, the Terabyte set's `day_*`.
    #[default]
    Present,
    /// 39 fields: Kaggle's `test.txt`.
    Absent,
}

impl Labels {
    /// Fields a line.
    pub fn fields(self) -> usize {
        usize::from(self == Labels::Present) + DENSE_FEATURES + SPARSE_FEATURES
    }

    /// What a column (from 1) holds: the label, an integer or an id, with its number.
    fn kind(self, column: usize) -> Kind {
        match column - 1 + usize::from(self == Labels::Absent) {
            0 => Kind::Label,
            i if i <= DENSE_FEATURES => Kind::Integer(i),
            i => Kind::Id(i - DENSE_FEATURES),
        }
    }
}

enum Kind {
    Label,
    Integer(usize),
    Id(usize),
}

/// A row as it stands in the file, with 0 for what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// 1 click, 0 none; `None` where lines have no label.
    pub label: Option<u8>,
    /// `I1..I13`.
    pub ints: [i32; DENSE_FEATURES],
    /// `C1..C26`, not yet looked up in a vocabulary.
    pub ids: [u32; SPARSE_FEATURES],
}

/// Why a line is not a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadField {
    /// Field, from 1.
    pub column: usize,
    /// What stood there and what was expected.
    pub message: String,
}

impl Row {
    /// Reads a line (without its `\n`).
    ///
    /// # Errors
    /// [`BadField`] for the number of fields if that is wrong, else for the first bad field.
    pub fn parse(line: &[u8], labels: Labels) -> Result<Row, BadField> {
        let mut cursor = Cursor { rest: line, column: 1 };
        cursor.row(labels).ok_or_else(|| BadField::explain(line, cursor.column, labels))
    }
}

/// The rest of a line, and the column that it starts with.
struct Cursor<'a> {
    rest: &'a [u8],
    column: usize,
}

impl Cursor<'_> {
    /// The row, or `None` with `column` at the first bad field.
    fn row(&mut self, labels: Labels) -> Option<Row> {
        let label = match labels {
            Labels::Present => Some(self.label()?),
            Labels::Absent => None,
        };
        let mut row = Row { label, ints: [0; DENSE_FEATURES], ids: [0; SPARSE_FEATURES] };
        for value in &mut row.ints {
            *value = self.integer()?;
            self.tab()?;
        }
        for value in &mut row.ids[..SPARSE_FEATURES - 1] {
            *value = self.id()?;
            self.tab()?;
        }
        row.ids[SPARSE_FEATURES - 1] = self.id()?;
        self.rest.is_empty().then_some(row)
    }

    fn tab(&mut self) -> Option<()> {
        self.rest = self.rest.strip_prefix(b"\t")?;
        self.column += 1;
        Some(())
    }

    fn label(&mut self) -> Option<u8> {
        let (&digit, rest) = self.rest.split_first()?;
        self.rest = rest;
        let label = digit.wrapping_sub(b'0');
        if label > 1 {
            return None;
        }
        self.tab()?;
        Some(label)
    }

    /// Digits, perhaps after a minus, as far as they go; nothing is 0.
    fn integer(&mut self) -> Option<i32> {
        let (negative, digits) = match self.rest {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let limit = i64::from(i32::MAX) + i64::from(negative);
        let mut value = 0i64;
        let mut length = 0;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value * 10 + i64::from(digit);
            if value > limit {
                return None;
            }
            length += 1;
        }
        if negative && length == 0 {
            return None;
        }
        self.rest = &digits[length..];
        Some(if negative { -value } else { value } as i32)
    }

    /// Up to eight hexadecimal digits, as far as they go; nothing is 0.
    fn id(&mut self) -> Option<u32> {
        if let Some(digits) = self.rest.first_chunk::<8>() {
            let (value, all_hex) = eight_digits(digits);
            if all_hex {
                self.rest = &self.rest[8..];
                return Some(value);
            }
        }
        let mut value = 0;
        let mut length = 0;
        for &byte in self.rest.iter().take(8) {
            let digit = HEX[usize::from(byte)];
            if digit == NOT_HEX {
                break;
            }
            value = value << 4 | u32::from(digit);
            length += 1;
        }
        self.rest = &self.rest[length..];
        Some(value)
    }
}

/// The usual id, without a branch a digit.
fn eight_digits(digits: &[u8; 8]) -> (u32, bool) {
    let (mut value, mut bad) = (0u32, 0u8);
    for &byte in digits {
        let digit = HEX[usize::from(byte)];
        value = value << 4 | u32::from(digit & 15);
        bad |= digit;
    }
    (value, bad < 16)
}

const NOT_HEX: u8 = 0xff;

/// The value of each byte as a hexadecimal digit of either case.
const HEX: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

impl BadField {
    /// What is wrong with `line`, which could not be read further than `column`.
    #[cold]
    fn explain(line: &[u8], column: usize, labels: Labels) -> BadField {
        let (found, expected) = (field_at_end(line), labels.fields());
        if found != expected {
            return BadField { column: found.min(expected + 1), message: count_message(line, found, labels) };
        }
        let text = line.split(|&b| b == b'\t').nth(column - 1).unwrap_or_default();
        BadField { column, message: field_message(text, labels.kind(column)) }
    }

    /// That a line is longer than any row.
    #[cold]
    pub(super) fn overlong(line: &[u8]) -> BadField {
        BadField {
            column: field_at_end(line),
            message: format!("line of more than {} bytes, expected a row of a few hundred", super::lines::MAX_LINE),
        }
    }
}

/// The field, from 1, that the end of `line` lies in.
pub(super) fn field_at_end(line: &[u8]) -> usize {
    1 + line.iter().filter(|&&b| b == b'\t').count()
}

fn count_message(line: &[u8], found: usize, labels: Labels) -> String {
    let found = match found {
        _ if line.is_empty() => "empty line".to_owned(),
        1 => format!("one field, {}", quoted(line)),
        n => format!("{n} fields"),
    };
    let parts = match labels {
        Labels::Present => "label, 13 integers, 26 ids",
        Labels::Absent => "13 integers, 26 ids",
    };
    format!("{found}, expected {} separated by tabs ({parts})", labels.fields())
}

fn field_message(text: &[u8], kind: Kind) -> String {
    if text.ends_with(b"\r") {
        return format!("{} ends in a carriage return, expected lines to end in \\n alone", quoted(text));
    }
    let text = quoted(text);
    match kind {
        Kind::Label => format!("label {text}, expected 0 or 1"),
        Kind::Integer(i) => format!("I{i} is {text}, expected an integer of 32 bits or nothing"),
        Kind::Id(i) => format!("C{i} is {text}, expected up to 8 hexadecimal digits or nothing"),
    }
}

/// `text` in quotes, on one line, in ASCII, and not too long.
pub(in crate::data) fn quoted(text: &[u8]) -> String {
    const SHOWN: usize = 24;
    match text.get(..SHOWN) {
        Some(head) if text.len() > SHOWN => format!("\"{}\"... ({} bytes)", head.escape_ascii(), text.len()),
        _ => format!("\"{}\"", text.escape_ascii()),
    }
}
