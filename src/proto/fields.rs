//! Messages read: field after field, out of bytes that may be anything.

use super::{DOUBLE, FLOAT, LENGTH, VARINT};

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Int(u64),
    Double(f64),
    Float(f32),
    /// Text, bytes, numbers in one field, or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; what is wrong with the first that is no field, and no more after it.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn field(&mut self) -> Result<(u64, Field<'a>), String> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Field::Int(self.varint()?),
            DOUBLE => Field::Double(f64::from_le_bytes(self.array()?)),
            FLOAT => Field::Float(f32::from_le_bytes(self.array()?)),
            LENGTH => {
                let len = self.varint()?;
                Field::Bytes(self.take(len)?)
            }
            kind => return Err(format!("a field of kind {kind}")),
        };
        Ok((tag >> 3, value))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = u64::from(self.take(1)?[0]);
            if shift > 63 || (shift == 63 && byte > 1) {
                return Err("a number of more than 64 bits".into());
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N as u64)?.try_into().expect("so many bytes"))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let len = usize::try_from(len).ok();
        let taken = len.and_then(|len| self.rest.split_at_checked(len)).ok_or("a field that ends early")?;
        self.rest = taken.1;
        Ok(taken.0)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
