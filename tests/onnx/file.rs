//! A file of ONNX to nodes and tensors, without trust in the code that wrote it.

use crate::run::Tensor;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

pub struct Graph {
    pub nodes: Vec<Node>,
    pub constants: HashMap<String, Tensor>,
    pub inputs: Vec<String>,
}

pub struct Node {
    pub op: String,
    pub inputs: Vec<String>,
    pub output: String,
    /// Integers.
    pub ints: HashMap<String, Vec<i64>>,
    pub text: HashMap<String, String>,
    pub tensors: HashMap<String, Tensor>,
}

/// A message's fields: number, value of an integer, bytes of anything else.
struct Fields<'a>(Vec<(u64, i64, &'a [u8])>);

impl<'a> Fields<'a> {
    fn of(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            match tag & 7 {
                0 => fields.push((tag >> 3, varint(&mut bytes) as i64, &[][..])),
                2 => {
                    let len = varint(&mut bytes) as usize;
                    let (field, rest) = bytes.split_at(len);
                    fields.push((tag >> 3, 0, field));
                    bytes = rest;
                }
                wire => panic!("wire type {wire}"),
            }
        }
        Fields(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.0 == number).map(|field| field.2)
    }

    fn ints(&self, number: u64) -> Vec<i64> {
        self.0.iter().filter(|field| field.0 == number).map(|field| field.1).collect()
    }

    fn texts(&self, number: u64) -> Vec<String> {
        self.all(number).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    fn text(&self, number: u64) -> String {
        self.texts(number).pop().unwrap_or_default()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let len = 1 + bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let (number, rest) = bytes.split_at(len);
    *bytes = rest;
    number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

pub fn read(path: &Path) -> Graph {
    let bytes = fs::read(path).unwrap();
    let model = Fields::of(&bytes);
    assert_eq!(model.ints(1), [8], "version of the format");
    let graph = Fields::of(model.all(7).next().unwrap());
    let nodes = graph.all(1).map(node).collect();
    let constants = graph.all(5).map(|bytes| tensor(bytes, path)).collect();
    let inputs = graph.all(11).map(|input| Fields::of(input).text(1)).collect();
    assert_eq!(graph.all(12).map(|output| Fields::of(output).text(1)).collect::<Vec<_>>(), ["pred"]);
    Graph { nodes, constants, inputs }
}

fn node(bytes: &[u8]) -> Node {
    let fields = Fields::of(bytes);
    let (mut ints, mut text, mut tensors) = (HashMap::new(), HashMap::new(), HashMap::new());
    for attribute in fields.all(5).map(Fields::of) {
        let name = attribute.text(1);
        match attribute.ints(20)[..] {
            [2] => drop(ints.insert(name, attribute.ints(3))),
            [3] => drop(text.insert(name, attribute.text(4))),
            [4] => drop(tensors.insert(name, tensor(attribute.all(5).next().unwrap(), Path::new("")).1)),
            [7] => drop(ints.insert(name, attribute.ints(8))),
            ref kind => panic!("attribute of type {kind:?}"),
        }
    }
    let output = fields.text(2);
    Node { op: fields.text(4), inputs: fields.texts(1), output, ints, text, tensors }
}

fn tensor(bytes: &[u8], path: &Path) -> (String, Tensor) {
    let fields = Fields::of(bytes);
    let entries = fields.all(13).map(Fields::of).map(|entry| (entry.text(1), entry.text(2)));
    let entries: HashMap<String, String> = entries.collect();
    let external = entries.get("location").map(|file| {
        let (from, len): (usize, usize) = (entries["offset"].parse().unwrap(), entries["length"].parse().unwrap());
        fs::read(path.with_file_name(file)).unwrap()[from..from + len].to_vec()
    });
    assert_eq!(fields.ints(14), if external.is_some() { vec![1] } else { vec![] }, "where the data are");
    let raw = external.unwrap_or_else(|| fields.all(9).next().unwrap().to_vec());
    let values: Vec<f64> = match fields.ints(2)[..] {
        [1] => raw.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        [7] => raw.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        ref kind => panic!("tensor of type {kind:?}"),
    };
    let shape: Vec<usize> = fields.ints(1).into_iter().map(|n| n as usize).collect();
    assert_eq!(values.len(), shape.iter().product::<usize>(), "{}", fields.text(8));
    (fields.text(8), Tensor { shape, values })
}
