//! The operators, as their documentation says, in plain loops on `f64`.

use crate::file::{Graph, Node};
use std::collections::HashMap;

#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Tensor {
    pub fn list(values: Vec<f64>) -> Self {
        Tensor { shape: vec![values.len()], values }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Tensor {
        Tensor { shape: self.shape.clone(), values: self.values.iter().map(|&x| f(x)).collect() }
    }

    fn integers(&self) -> Vec<usize> {
        self.values.iter().map(|&x| x as usize).collect()
    }
}

/// The value of `pred`.
pub fn run(graph: &Graph, inputs: HashMap<String, Tensor>) -> Tensor {
    let mut values = graph.constants.clone();
    values.extend(inputs);
    for node in &graph.nodes {
        let inputs: Vec<&Tensor> = node.inputs.iter().map(|name| &values[name]).collect();
        let output = apply(node, &inputs);
        assert!(values.insert(node.output.clone(), output).is_none(), "{} twice", node.output);
    }
    values.remove("pred").unwrap()
}

fn apply(node: &Node, x: &[&Tensor]) -> Tensor {
    let int = |name: &str| node.ints[name][0];
    match &node.op[..] {
        "Gemm" => {
            assert_eq!(int("transB"), 1);
            let [m, k, n] = [x[0].shape[0], x[0].shape[1], x[1].shape[0]];
            assert_eq!(x[1].shape, [n, k]);
            let bias = x.get(2).map_or(vec![0.0; n], |bias| bias.values.clone());
            assert_eq!(bias.len(), n);
            let dot = |i: usize, j: usize| (0..k).map(|p| x[0].values[i * k + p] * x[1].values[j * k + p]).sum::<f64>();
            let values = (0..m * n).map(|at| dot(at / n, at % n) + bias[at % n]).collect();
            Tensor { shape: vec![m, n], values }
        }
        "Relu" => x[0].map(|v| v.max(0.0)),
        "Sigmoid" => x[0].map(|v| 1.0 / (1.0 + (-v).exp())),
        "Add" => broadcast(x, |a, b| a + b),
        "Sub" => broadcast(x, |a, b| a - b),
        "Mul" => broadcast(x, |a, b| a * b),
        "Div" => broadcast(x, |a, b| a / b),
        "Mod" => broadcast(x, |a, b| a % b),
        "Max" => broadcast(x, f64::max),
        "Gather" => gather(x[0], x[1], int("axis") as usize),
        "Concat" => concat(x, int("axis") as usize),
        "Shape" => Tensor::list(x[0].shape.iter().map(|&n| n as f64).collect()),
        "ConstantOfShape" => {
            let shape = x[0].integers();
            Tensor { values: vec![node.tensors["value"].values[0]; shape.iter().product()], shape }
        }
        "Unsqueeze" => {
            assert_eq!(x[1].values, [1.0]);
            Tensor { shape: [&x[0].shape[..1], &[1], &x[0].shape[1..]].concat(), values: x[0].values.clone() }
        }
        "Reshape" => {
            let known: f64 = x[1].values.iter().filter(|&&n| n > 0.0).product();
            let free = x[0].values.len() / known as usize;
            let shape = x[1].values.iter().map(|&n| if n < 0.0 { free } else { n as usize }).collect();
            Tensor { shape, values: x[0].values.clone() }
        }
        "Transpose" => {
            assert_eq!(node.ints["perm"], [0, 2, 1]);
            let [b, m, n] = x[0].shape[..] else { panic!("three dimensions") };
            let values = (0..b * n * m).map(|at| x[0].values[at / (n * m) * n * m + at % m * n + at / m % n]).collect();
            Tensor { shape: vec![b, n, m], values }
        }
        "MatMul" => matmul(x[0], x[1]),
        "CumSum" => {
            let mut sum = 0.0;
            x[0].map_in_order(|v| {
                sum += v;
                sum
            })
        }
        "Slice" => Tensor::list(x[0].values[x[1].integers()[0]..x[2].integers()[0]].to_vec()),
        "ScatterElements" | "ScatterND" => {
            assert_eq!(node.text["reduction"], "add");
            let mut sum = x[0].clone();
            let width = x[0].shape[1..].iter().product::<usize>();
            for (row, place) in x[1].integers().into_iter().enumerate() {
                (0..width).for_each(|c| sum.values[place * width + c] += x[2].values[row * width + c]);
            }
            sum
        }
        op => panic!("operator {op}"),
    }
}

impl Tensor {
    fn map_in_order(&self, mut f: impl FnMut(f64) -> f64) -> Tensor {
        Tensor { shape: self.shape.clone(), values: self.values.iter().map(|&x| f(x)).collect() }
    }
}

/// The second operand is as large as the first, or one number, or one a row.
fn broadcast(x: &[&Tensor], f: impl Fn(f64, f64) -> f64) -> Tensor {
    let (a, b) = (x[0], x[1]);
    let each = a.values.len() / b.values.len().max(1);
    let fits = a.shape == b.shape || b.values.len() == 1 || b.shape == [a.shape[0], 1];
    assert!(fits, "{:?} and {:?}", a.shape, b.shape);
    let values = a.values.iter().enumerate().map(|(i, &v)| f(v, b.values[i / each.max(1)]));
    Tensor { shape: a.shape.clone(), values: values.collect() }
}

fn gather(data: &Tensor, indices: &Tensor, axis: usize) -> Tensor {
    let (outer, inner) =
        (data.shape[..axis].iter().product::<usize>(), data.shape[axis + 1..].iter().product::<usize>());
    let mut values = Vec::new();
    for o in 0..outer {
        for i in indices.integers() {
            assert!(i < data.shape[axis]);
            values.extend_from_slice(&data.values[(o * data.shape[axis] + i) * inner..][..inner]);
        }
    }
    Tensor { shape: [&data.shape[..axis], &indices.shape, &data.shape[axis + 1..]].concat(), values }
}

fn concat(x: &[&Tensor], axis: usize) -> Tensor {
    let outer: usize = x[0].shape[..axis].iter().product();
    let mut values = Vec::new();
    for o in 0..outer {
        for part in x {
            let width = part.values.len() / outer;
            values.extend_from_slice(&part.values[o * width..][..width]);
        }
    }
    let mut shape = x[0].shape.clone();
    shape[axis] = x.iter().map(|part| part.shape[axis]).sum();
    Tensor { shape, values }
}

fn matmul(a: &Tensor, b: &Tensor) -> Tensor {
    let ([batch, m, k], n) = ([a.shape[0], a.shape[1], a.shape[2]], b.shape[2]);
    assert_eq!(b.shape, [batch, k, n]);
    let dot = |s: usize, i: usize, j: usize| {
        (0..k).map(|p| a.values[(s * m + i) * k + p] * b.values[(s * k + p) * n + j]).sum::<f64>()
    };
    let values = (0..batch * m * n).map(|at| dot(at / (m * n), at / n % m, at % n)).collect();
    Tensor { shape: vec![batch, m, n], values }
}
