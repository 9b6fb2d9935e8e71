//! Protobuf, as far as ONNX's messages and TensorBoard's need it: <https://protobuf.dev/programming-guides/encoding>.

mod fields;

pub(crate) use fields::{Field, Fields};

use std::io::{self, Write};

/// A message: its fields, one after the other. Numbers of weights are borrowed, so that tables are written from where they
/// are.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    pieces: Vec<Piece<'a>>,
    len: u64,
}

#[derive(Debug)]
enum Piece<'a> {
    Bytes(Vec<u8>),
    Numbers(&'a [f32]),
}

/// Of a field's tag.
const VARINT: u64 = 0;
const DOUBLE: u64 = 1;
const LENGTH: u64 = 2;
const FLOAT: u64 = 5;

impl<'a> Message<'a> {
    /// An integer, a truth value or a name of an enumeration.
    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3 | VARINT);
        self.varint(value as u64); // a negative number is ten bytes of its two's complement
        self
    }

    /// A number of 64 bits.
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | DOUBLE);
        self.raw(&value.to_le_bytes());
        self
    }

    /// A number of 32 bits.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | FLOAT);
        self.raw(&value.to_le_bytes());
        self
    }

    /// Numbers of 64 bits, in one field.
    pub fn doubles(self, field: u64, values: &[f64]) -> Self {
        self.bytes(field, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// A list of integers, each a field.
    pub fn ints(self, field: u64, values: impl IntoIterator<Item = i64>) -> Self {
        values.into_iter().fold(self, |message, value| message.int(field, value))
    }

    /// Text or bytes.
    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | LENGTH);
        self.varint(bytes.as_ref().len() as u64);
        self.raw(bytes.as_ref());
        self
    }

    /// Numbers as bytes, little-endian.
    pub fn numbers(mut self, field: u64, values: &'a [f32]) -> Self {
        let len = 4 * values.len() as u64;
        self.varint(field << 3 | LENGTH);
        self.varint(len);
        self.pieces.push(Piece::Numbers(values));
        self.len += len;
        self
    }

    /// A message within.
    pub fn message(mut self, field: u64, inner: Message<'a>) -> Self {
        self.varint(field << 3 | LENGTH);
        self.varint(inner.len);
        self.len += inner.len;
        for piece in inner.pieces {
            match (self.pieces.last_mut(), piece) {
                (Some(Piece::Bytes(mine)), Piece::Bytes(bytes)) => mine.extend_from_slice(&bytes),
                (_, piece) => self.pieces.push(piece),
            }
        }
        self
    }

    /// Messages within, each a field.
    pub fn messages(self, field: u64, inner: impl IntoIterator<Item = Message<'a>>) -> Self {
        inner.into_iter().fold(self, |message, inner| message.message(field, inner))
    }

    /// Writes all fields.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Bytes(bytes) => out.write_all(bytes),
            Piece::Numbers(values) => out.write_all(bytemuck::cast_slice(values)),
        })
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.raw(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.raw(&[value as u8]);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        match self.pieces.last_mut() {
            Some(Piece::Bytes(mine)) => mine.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Bytes(bytes.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_the_guide_says() {
        let inner = Message::default().int(1, 150);
        let message = Message::default().int(1, -1).bytes(2, "testing").message(3, inner).numbers(16, &[1.0]);
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        let mut expected = vec![0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        expected.extend_from_slice(b"\x12\x07testing\x1a\x03\x08\x96\x01\x82\x01\x04\x00\x00\x80\x3f");
        assert_eq!(bytes, expected);
        assert_eq!(message.len, expected.len() as u64);
    }

    #[test]
    fn fields_are_read_back() {
        let message = Message::default().int(1, -1).double(2, 0.5).float(300, -2.5).bytes(4, "text").doubles(5, &[1.5]);
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        let fields: Result<Vec<_>, _> = Fields::of(&bytes).collect();
        let doubles = 1.5_f64.to_le_bytes();
        let expected = [
            (1, Field::Int(u64::MAX)),
            (2, Field::Double(0.5)),
            (300, Field::Float(-2.5)),
            (4, Field::Bytes(b"text")),
            (5, Field::Bytes(&doubles)),
        ];
        assert_eq!(fields.unwrap(), expected);
        for cut in [1, 2, 11, 12, 15, 20, 25, 27, bytes.len() - 1] {
            let fields: Vec<_> = Fields::of(&bytes[..cut]).collect();
            assert!(fields.iter().filter(|field| field.is_err()).count() <= 1, "{cut}: {fields:?}");
            assert!(
                fields.len() <= 5 && ([11, 20].contains(&cut) || fields.last().unwrap().is_err()),
                "{cut}: {fields:?}"
            );
        }
        for (bytes, expected) in [
            (&[0xff; 11][..], "a number of more than 64 bits"),
            (b"\x0b", "a field of kind 3"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "a field that ends early"),
        ] {
            assert_eq!(Fields::of(bytes).collect::<Vec<_>>(), [Err(expected.to_owned())]);
        }
    }
}
