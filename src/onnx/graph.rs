//! A DLRM as a graph of ONNX operators.

use super::Bags;
use crate::backend::{Interaction, Pooling};
use crate::nn::{Dlrm, DlrmConfig, QrOperation, TableShape};
use crate::parameters::Parameters;
use crate::proto::Message;
use std::collections::HashSet;

/// The operators' version, and that of the format they came with.
const OPSET: i64 = 16;
const IR_VERSION: i64 = 8;

/// Of tensors' elements.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A graph in the making: nodes in the order in which they can run.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    nodes: Vec<Message<'a>>,
    inputs: Vec<Message<'a>>,
    /// By name: only those that a node has use of are written.
    constants: Vec<(String, Message<'a>)>,
    used: HashSet<String>,
    weights: Vec<Weight<'a>>,
}

#[derive(Debug)]
struct Weight<'a> {
    name: &'a str,
    shape: Vec<i64>,
    values: &'a [f32],
}

/// A tensor of rows, and what is looked up in it.
struct Lookup<'n> {
    bags: Bags,
    /// Where each bag begins, if bags are lists.
    offsets: &'n str,
    weight: String,
    /// Of its rows.
    width: usize,
}

/// An attribute of a node.
enum Attribute {
    Int(&'static str, i64),
    Text(&'static str, &'static str),
    /// A tensor of one element.
    Float(&'static str, f32),
    Integer(&'static str, i64),
}
use Attribute::{Float, Int, Integer, Text};

impl<'a> Graph<'a> {
    /// The graph of `model`.
    pub fn of(model: &Dlrm, params: &'a Parameters, bags: Bags) -> Graph<'a> {
        let config = model.config();
        let mut graph =
            Graph { nodes: vec![], inputs: vec![], constants: vec![], used: HashSet::new(), weights: weights(params) };
        let x = (config.dense_features > 0).then(|| {
            graph.input("dense_x", FLOAT, &[None, Some(config.dense_features)]);
            graph.mlp("bot_l", config.bottom_mlp.len(), "dense_x".into(), true)
        });
        let pooled = graph.lookups(config, bags);
        let z = graph.interaction(config, x, pooled);
        let z = graph.cross(config.cross.map_or(0, |cross| cross.layers), z);
        graph.mlp("top_l", config.top_mlp.len(), z, false);
        graph
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        self.weights().map(|values| 4 * values.len() as u64).sum()
    }

    /// The numbers of all weights, in the order in which they lie in a file of their own.
    pub fn weights(&self) -> impl Iterator<Item = &'a [f32]> {
        self.weights.iter().map(|w| w.values)
    }

    /// The whole model; its weights lie in the file called `external`, if there is one.
    pub fn encode(self, external: Option<&str>) -> Message<'a> {
        let mut at = 0;
        let weights = self.weights.into_iter().map(|w| {
            let tensor = Message::default().ints(1, w.shape).int(2, FLOAT).bytes(8, w.name);
            let Some(file) = external else { return tensor.numbers(9, w.values) };
            let len = 4 * w.values.len() as u64;
            let entries = [("location", file.to_owned()), ("offset", at.to_string()), ("length", len.to_string())];
            at += len;
            let entries = entries.map(|(key, value)| Message::default().bytes(1, key).bytes(2, value));
            tensor.messages(13, entries).int(14, 1)
        });
        let weights: Vec<_> = weights.collect();
        let constants =
            self.constants.into_iter().filter(|(name, _)| self.used.contains(name)).map(|(_, tensor)| tensor);
        let graph = Message::default().messages(1, self.nodes).bytes(2, "dlrm").messages(5, constants);
        let graph = graph.messages(5, weights).messages(11, self.inputs);
        let graph = graph.message(12, value("pred", FLOAT, &[None, Some(1)]));
        let opset = Message::default().bytes(1, "").int(2, OPSET);
        Message::default().int(1, IR_VERSION).bytes(2, "dlrm").message(7, graph).message(8, opset)
    }

    /// Fully connected layers; the last has ReLU in the bottom MLP, and is the output, by a sigmoid, in the top one.
    fn mlp(&mut self, name: &str, layers: usize, input: String, bottom: bool) -> String {
        (0..layers).fold(input, |x, i| {
            let layer = format!("{name}.{}", 2 * i);
            let parameters = [format!("{layer}.weight"), format!("{layer}.bias")];
            let y = self.node("Gemm", &[&x, &parameters[0], &parameters[1]], &layer, &[Int("transB", 1)]);
            match i + 1 < layers || bottom {
                true => self.node("Relu", &[&y], &format!("{name}.{}", 2 * i + 1), &[]),
                false => self.node("Sigmoid", &[&y], "pred", &[]),
            }
        })
    }

    /// The pooled rows of each table, `batch × D`.
    fn lookups(&mut self, config: &DlrmConfig, bags: Bags) -> Vec<String> {
        let tables = config.num_embeddings.len();
        if tables > 0 {
            self.integers("zero", &[0], &[]);
            self.integers("zeros", &[0], &[1]);
            self.integers("one", &[1], &[]);
            self.integers("ones", &[1], &[1]);
            self.floats("one_row", &[1.0]);
        }
        if bags == Bags::One && tables > 0 {
            self.input("indices", INT64, &[Some(tables), None]);
        }
        let shapes = match config.compression {
            Some(compression) => compression.shapes(&config.num_embeddings, config.embedding_dim),
            None => vec![TableShape::Plain; tables],
        };
        shapes.into_iter().enumerate().map(|(t, shape)| self.lookup(config, bags, t, shape)).collect()
    }

    /// The vector of table `t`, whatever stands for the table.
    fn lookup(&mut self, config: &DlrmConfig, bags: Bags, t: usize, shape: TableShape) -> String {
        let name = |what: &str| format!("{what}_{t}");
        let indices = name("indices");
        if bags == Bags::One {
            self.integers(&name("table"), &[t as i64], &[]);
            self.node("Gather", &["indices", &name("table")], &indices, &[Int("axis", 0)]);
        } else {
            self.free_input(&indices, &name("lookups"));
            self.input(&name("offsets"), INT64, &[None]);
        }
        let offsets = &name("offsets");
        let table = |weight: String, width: usize| Lookup { bags, offsets, weight, width };
        match shape {
            TableShape::Plain => {
                let table = table(format!("emb_l.{t}.weight"), config.embedding_dim);
                self.pooled(config, table, &indices, &t.to_string())
            }
            TableShape::Projected { width } => {
                let table = table(format!("emb_l.{t}.embs.weight"), width);
                let pooled = self.pooled(config, table, &indices, &t.to_string());
                if width == config.embedding_dim {
                    return pooled;
                }
                let matrix = format!("emb_l.{t}.proj.weight");
                self.node("Gemm", &[&pooled, &matrix], &name("projected"), &[Int("transB", 1)])
            }
            TableShape::QuotientRemainder { collisions, operation, width } => {
                self.integers(&name("collisions"), &[collisions.into()], &[]);
                let mut part = |op: &str, part: &str| {
                    let ids = self.node(op, &[&indices, &name("collisions")], &format!("ids_{t}_{part}"), &[]);
                    let table = table(format!("emb_l.{t}.weight_{part}"), width);
                    self.pooled(config, table, &ids, &format!("{t}_{part}"))
                };
                let (q, r) = (part("Div", "q"), part("Mod", "r"));
                match operation {
                    QrOperation::Mult => self.node("Mul", &[&q, &r], &name("combined"), &[]),
                    QrOperation::Add => self.node("Add", &[&q, &r], &name("combined"), &[]),
                    QrOperation::Concat => self.node("Concat", &[&q, &r], &name("combined"), &[Int("axis", 1)]),
                }
            }
        }
    }

    /// The pooled rows of one tensor; names of nodes end with `suffix`.
    fn pooled(&mut self, config: &DlrmConfig, table: Lookup, indices: &str, suffix: &str) -> String {
        let name = |what: &str| format!("{what}_{suffix}");
        let mut rows = self.node("Gather", &[&table.weight, indices], &name("rows"), &[Int("axis", 0)]);
        if config.weighted_pooling.is_some() {
            let weights =
                self.node("Gather", &[&format!("v_W_l.{suffix}"), indices], &name("weights"), &[Int("axis", 0)]);
            let weights = self.node("Unsqueeze", &[&weights, "ones"], &name("weight_column"), &[]);
            rows = self.node("Mul", &[&rows, &weights], &name("weighted"), &[]);
        }
        match table.bags {
            Bags::One => rows,
            Bags::Lists => self.pool(config.pooling, &table, &name, indices, &rows),
        }
    }

    /// Adds the rows of each bag.
    fn pool(
        &mut self,
        pooling: Pooling,
        table: &Lookup,
        name: &dyn Fn(&str) -> String,
        indices: &str,
        rows: &str,
    ) -> String {
        let add = [Text("reduction", "add")];
        // A mark where each bag begins; their running sum is one more than the number of the bag. There is room for the marks
        // of empty bags at the end.
        let count = self.node("Shape", &[indices], &name("count"), &[]);
        let room = self.node("Add", &[&count, "ones"], &name("room"), &[]);
        let blank = self.node("ConstantOfShape", &[&room], &name("blank"), &[Integer("value", 0)]);
        let batch = self.node("Shape", &[table.offsets], &name("batch"), &[]);
        let mark = self.node("ConstantOfShape", &[&batch], &name("mark"), &[Integer("value", 1)]);
        let marks = self.node("ScatterElements", &[&blank, table.offsets, &mark], &name("marks"), &add);
        let sums = self.node("CumSum", &[&marks, "zero"], &name("sums"), &[]);
        let sums = self.node("Slice", &[&sums, "zeros", &count], &name("bags_from_1"), &[]);
        let bag = self.node("Sub", &[&sums, "one"], &name("bags"), &[]);
        let bag = self.node("Unsqueeze", &[&bag, "ones"], &name("places"), &[]);

        self.integers(&name("width"), &[table.width as i64], &[1]);
        let shape = self.node("Concat", &[&batch, &name("width")], &name("pooled_shape"), &[Int("axis", 0)]);
        let nothing = self.node("ConstantOfShape", &[&shape], &name("nothing"), &[Float("value", 0.0)]);
        let pooled = self.node("ScatterND", &[&nothing, &bag, rows], &name("pooled"), &add);
        if pooling == Pooling::Sum {
            return pooled;
        }
        let none = self.node("ConstantOfShape", &[&batch], &name("none"), &[Float("value", 0.0)]);
        let each = self.node("ConstantOfShape", &[&count], &name("each"), &[Float("value", 1.0)]);
        let lengths = self.node("ScatterND", &[&none, &bag, &each], &name("lengths"), &add);
        let lengths = self.node("Max", &[&lengths, "one_row"], &name("divisors"), &[]);
        let lengths = self.node("Unsqueeze", &[&lengths, "ones"], &name("divisor_column"), &[]);
        self.node("Div", &[&pooled, &lengths], &name("mean"), &[])
    }

    /// The input of the top MLP.
    fn interaction(&mut self, config: &DlrmConfig, x: Option<String>, pooled: Vec<String>) -> String {
        if pooled.is_empty() {
            return x.expect("a valid configuration has dense features or tables");
        }
        let vectors: Vec<&str> = x.iter().chain(&pooled).map(String::as_str).collect();
        let f = vectors.len();
        let side_by_side = self.node("Concat", &vectors, "vectors", &[Int("axis", 1)]);
        if config.interaction == Interaction::Cat {
            return side_by_side;
        }
        self.integers("vector_shape", &[-1, f as i64, config.embedding_dim as i64], &[3]);
        self.integers("square", &[-1, (f * f) as i64], &[2]);
        let itself = usize::from(config.interaction == Interaction::DotItself);
        let pairs: Vec<i64> = (0..f).flat_map(|i| (0..i + itself).map(move |j| (i * f + j) as i64)).collect();
        self.integers("pairs", &pairs, &[pairs.len()]);
        let rows = self.node("Reshape", &[&side_by_side, "vector_shape"], "rows", &[]);
        self.nodes.push(
            Message::default()
                .bytes(1, "rows")
                .bytes(2, "columns")
                .bytes(3, "columns")
                .bytes(4, "Transpose")
                .message(5, Message::default().bytes(1, "perm").ints(8, [0, 2, 1]).int(20, 7)),
        );
        let products = self.node("MatMul", &[&rows, "columns"], "products", &[]);
        let flat = self.node("Reshape", &[&products, "square"], "flat_products", &[]);
        let dots = self.node("Gather", &[&flat, "pairs"], "dots", &[Int("axis", 1)]);
        match x {
            Some(x) => self.node("Concat", &[&x, &dots], "interaction", &[Int("axis", 1)]),
            None => dots,
        }
    }

    /// The cross layers of DCN-v2.
    fn cross(&mut self, layers: usize, x0: String) -> String {
        (0..layers).fold(x0.clone(), |x, l| {
            let name = |what: &str| format!("crossnet.{what}.{l}");
            let low = self.node("Gemm", &[&x, &name("V_kernels")], &name("low"), &[Int("transB", 1)]);
            let inputs = [&low[..], &name("W_kernels"), &name("bias")];
            let product = self.node("Gemm", &inputs, &name("product"), &[Int("transB", 1)]);
            let crossed = self.node("Mul", &[&x0, &product], &name("crossed"), &[]);
            self.node("Add", &[&crossed, &x], &name("sum"), &[])
        })
    }

    /// Appends a node, and returns the name of its output.
    fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) -> String {
        self.used.extend(inputs.iter().map(|&input| input.to_owned()));
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = node.bytes(2, output).bytes(3, output).bytes(4, op);
        self.nodes.push(node.messages(5, attributes.iter().map(Attribute::encode)));
        output.into()
    }

    /// An input; a dimension without a length is the batch.
    fn input(&mut self, name: &str, element: i64, shape: &[Option<usize>]) {
        self.inputs.push(value(name, element, shape));
    }

    /// A list of integers of a length that has a name.
    fn free_input(&mut self, name: &str, length: &str) {
        let dim = Message::default().bytes(2, length);
        self.inputs.push(typed(name, INT64, Message::default().message(1, dim)));
    }

    fn integers(&mut self, name: &str, values: &[i64], shape: &[usize]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        self.constant(name, INT64, shape, bytes);
    }

    fn floats(&mut self, name: &str, values: &[f32]) {
        self.constant(name, FLOAT, &[values.len()], bytemuck::cast_slice(values));
    }

    fn constant(&mut self, name: &str, element: i64, shape: &[usize], bytes: &[u8]) {
        let tensor = Message::default().ints(1, shape.iter().map(|&n| n as i64));
        self.constants.push((name.into(), tensor.int(2, element).bytes(8, name).bytes(9, bytes)));
    }
}

impl Attribute {
    fn encode<'a>(&self) -> Message<'a> {
        let element = |name: &str, element: i64, bytes: &[u8]| {
            let tensor = Message::default().int(1, 1).int(2, element).bytes(9, bytes);
            Message::default().bytes(1, name).message(5, tensor).int(20, 4)
        };
        match self {
            Int(name, value) => Message::default().bytes(1, name).int(3, *value).int(20, 2),
            Text(name, text) => Message::default().bytes(1, name).bytes(4, text).int(20, 3),
            Float(name, value) => element(name, FLOAT, &value.to_le_bytes()),
            Integer(name, value) => element(name, INT64, &value.to_le_bytes()),
        }
    }
}

fn weights(params: &Parameters) -> Vec<Weight<'_>> {
    let tables = params.tables().iter().map(|t| {
        let shape = [t.num_embeddings() as i64, t.embedding_dim() as i64];
        let shape = if t.name().starts_with("v_W_l.") { vec![shape[0]] } else { shape.to_vec() };
        Weight { name: t.name(), shape, values: t.values() }
    });
    let dense = params.dense().iter().map(|p| {
        let shape = p.value().shape().iter().map(|&n| n as i64).collect();
        Weight { name: p.name(), shape, values: p.value().as_slice() }
    });
    tables.chain(dense).collect()
}

/// What an input or output is.
fn value<'a>(name: &str, element: i64, shape: &[Option<usize>]) -> Message<'a> {
    let dims = shape.iter().map(|n| match n {
        Some(n) => Message::default().int(1, *n as i64),
        None => Message::default().bytes(2, "batch"),
    });
    typed(name, element, Message::default().messages(1, dims))
}

fn typed<'a>(name: &str, element: i64, shape: Message<'a>) -> Message<'a> {
    let tensor = Message::default().int(1, element).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}
