//! What is in a record: TensorFlow's `Event`, to bytes and back.

use super::framing::record;
use super::histogram::Histogram;
use crate::proto::{Field, Fields, Message};

/// One event of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step that it is about.
    pub step: i64,
    /// What it says.
    pub what: What,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The version of the file: its first event.
    Version(String),
    /// The run begins, or goes on, with this step: what earlier files have of this step and later ones is void.
    Start,
    /// Figures by their names (TensorBoard's tags).
    Summary(Vec<(String, Value)>),
    /// Something that is not read here.
    Other,
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f32),
    /// Numbers, counted.
    Histogram(Box<Histogram>),
    /// Something that is not read here, such as a picture.
    Other,
}

/// `SessionLog.status`.
const START: u64 = 1;

impl Event {
    /// The record of an event file.
    pub(super) fn to_record(&self) -> Vec<u8> {
        let event = Message::default().double(1, self.wall_time).int(2, self.step);
        let event = match &self.what {
            What::Version(version) => event.bytes(3, version),
            What::Start => event.message(7, Message::default().int(1, START as i64)),
            What::Summary(values) => {
                let values = values.iter().map(|(tag, value)| encode_value(tag, value));
                event.message(5, Message::default().messages(1, values))
            }
            What::Other => event,
        };
        record(|bytes| event.write(bytes).expect("memory takes everything"))
    }

    /// What the data of a record says.
    pub(super) fn parse(data: &[u8]) -> Result<Self, String> {
        let mut event = Event { wall_time: 0.0, step: 0, what: What::Other };
        for field in Fields::of(data) {
            match field? {
                (1, Field::Double(time)) => event.wall_time = time,
                (2, Field::Int(step)) => event.step = step as i64,
                (3, Field::Bytes(version)) => event.what = What::Version(text(version)?),
                (5, Field::Bytes(summary)) => event.what = What::Summary(parse_summary(summary)?),
                (7, Field::Bytes(log)) => {
                    let is_start = Fields::of(log).any(|field| field == Ok((1, Field::Int(START))));
                    event.what = if is_start { What::Start } else { What::Other };
                }
                (1 | 2 | 3 | 5 | 7, _) => return Err("an event with a field of another kind".into()),
                _ => {}
            }
        }
        Ok(event)
    }
}

fn encode_value<'a>(tag: &str, value: &Value) -> Message<'a> {
    let message = Message::default().bytes(1, tag);
    match value {
        Value::Scalar(number) => message.float(2, *number),
        Value::Histogram(h) => {
            let totals = [h.min, h.max, h.num, h.sum, h.sum_squares];
            let histogram = (1..).zip(totals).fold(Message::default(), |m, (field, number)| m.double(field, number));
            message.message(5, histogram.doubles(6, &h.bucket_limit).doubles(7, &h.bucket))
        }
        Value::Other => message,
    }
}

fn parse_summary(summary: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let mut values = Vec::new();
    for field in Fields::of(summary) {
        if let (1, Field::Bytes(value)) = field? {
            values.push(parse_value(value)?);
        }
    }
    Ok(values)
}

fn parse_value(bytes: &[u8]) -> Result<(String, Value), String> {
    let (mut tag, mut value) = (None, Value::Other);
    for field in Fields::of(bytes) {
        match field? {
            (1, Field::Bytes(name)) => tag = Some(text(name)?),
            (2, Field::Float(number)) => value = Value::Scalar(number),
            (5, Field::Bytes(histogram)) => value = Value::Histogram(Box::new(parse_histogram(histogram)?)),
            _ => {}
        }
    }
    Ok((tag.ok_or("a figure without a name")?, value))
}

fn parse_histogram(bytes: &[u8]) -> Result<Histogram, String> {
    let mut h = Histogram::default();
    for field in Fields::of(bytes) {
        match field? {
            (1, Field::Double(min)) => h.min = min,
            (2, Field::Double(max)) => h.max = max,
            (3, Field::Double(num)) => h.num = num,
            (4, Field::Double(sum)) => h.sum = sum,
            (5, Field::Double(squares)) => h.sum_squares = squares,
            (6, Field::Bytes(limits)) => h.bucket_limit = doubles(limits)?,
            (7, Field::Bytes(counts)) => h.bucket = doubles(counts)?,
            _ => {}
        }
    }
    if h.bucket.len() == h.bucket_limit.len() { Ok(h) } else { Err("a histogram without a limit a bucket".into()) }
}

fn doubles(bytes: &[u8]) -> Result<Vec<f64>, String> {
    let (numbers, []) = bytes.as_chunks() else { return Err("a list of numbers that ends early".into()) };
    Ok(numbers.iter().map(|&number| f64::from_le_bytes(number)).collect())
}

fn text(bytes: &[u8]) -> Result<String, String> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a name that is not UTF-8".into())
}
