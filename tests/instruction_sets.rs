//! Which operations have the same bits on which instruction sets, and what a trained model comes out as on each. The page
//! `src/guide/determinism.md` says what this pins.

use dlrm::backend::{Activation, Cpu, Interaction, LossKind, Pooling};
use dlrm::gradients::Gradients;
use dlrm::nn::{Dcn, DcnConfig, Dlrm, DlrmConfig, Model};
use dlrm::optim::{Optimizer, UpdateRule, schedule::LrPolicy};
use dlrm::train::{TrainOptions, Trainer};
use dlrm::{Batch, JaggedTensor, Parameters, Stream, Tape, Tensor, Var, ops};
use dlrm_kernels::Isa;
use std::sync::Arc;

const RULES: [UpdateRule; 4] = [UpdateRule::Sgd, UpdateRule::ADAGRAD, UpdateRule::ROW_WISE_ADAGRAD, UpdateRule::ADAM];

/// Numbers between -1 and 1.
fn uniform(shape: &[usize], seed: u64) -> Tensor {
    let mut stream = Stream::native(seed);
    let mut tensor = Tensor::zeros(shape);
    stream.fill_uniform(tensor.as_mut_slice(), -1.0, 1.0);
    tensor
}

fn bits<'a>(tensors: impl IntoIterator<Item = &'a [f32]>) -> Vec<u32> {
    tensors.into_iter().flatten().map(|x| x.to_bits()).collect()
}

fn parameters(params: &Parameters) -> Vec<u32> {
    let dense = params.dense().iter().map(|p| p.value().as_slice());
    bits(dense.chain(params.tables().iter().map(|t| t.values())))
}

/// Parameters of a backend, with one table of 500 rows of 24.
fn setup(cpu: &Arc<Cpu>) -> Parameters {
    let mut params = Parameters::new(cpu.clone());
    params.add_table("t", 500, 24);
    params.tables_mut()[0].values_mut().copy_from_slice(uniform(&[500, 24], 1).as_slice());
    params
}

/// The bits of what an operation on two inputs gives, and of the gradients of both and of the parameters.
fn through(cpu: &Arc<Cpu>, shapes: [&[usize]; 2], f: impl Fn(&mut Tape, &mut Parameters, [Var; 2]) -> Var) -> Vec<u32> {
    let mut params = setup(cpu);
    let mut tape = Tape::new(cpu.clone());
    let [a, b] = [2, 3].map(|seed| {
        let input = uniform(shapes[seed as usize - 2], seed);
        tape.variable(&input.shape(), input.as_slice())
    });
    let y = f(&mut tape, &mut params, [a, b]);
    let (value, mut grads) = (bits([tape.value(y).as_slice()]), Gradients::new(&params));
    let seed = uniform(&tape.value(y).shape(), 4);
    tape.backward_from(y, seed.as_slice(), &params, &mut grads);
    let inputs = [a, b].into_iter().filter_map(|var| tape.grad(var)).map(Tensor::as_slice);
    let mut all = [value, bits(inputs)].concat();
    grads.scale(&**cpu, 1.0); // writes the sums of rows out
    for (i, _) in params.dense().iter().enumerate() {
        let id = params.find_dense(&format!("p{i}")).unwrap();
        all.extend(bits(grads.dense(id).map(Tensor::as_slice)));
    }
    all
}

/// A batch of `b` samples with so many dense features, and up to three ids a bag.
fn batch(b: usize, dense_features: usize, stream: &mut Stream) -> Batch {
    let list = |rows: usize, stream: &mut Stream| {
        let mut list = JaggedTensor::default();
        for i in 0..b {
            let ids = [0; 3].map(|_| (stream.uniform().powi(3) * rows as f64) as u32);
            list.push_bag(&ids[..i % 4]);
        }
        list
    };
    Batch {
        dense: (0..dense_features * b).map(|_| stream.uniform() as f32).collect(),
        dense_features,
        sparse: TABLES.iter().map(|&rows| list(rows, stream)).collect(),
        labels: (0..b).map(|_| f32::from(stream.uniform() < 0.3)).collect(),
    }
}

const TABLES: [usize; 4] = [3000, 500, 20, 3];

fn lookups(cpu: &Arc<Cpu>, pooling: Pooling) -> Vec<u32> {
    let mut params = Parameters::new(cpu.clone());
    let tables = dlrm::nn::EmbeddingBagCollection::new(&mut params, &TABLES, 16, pooling, None, &mut Stream::native(1));
    let batch = batch(300, 0, &mut Stream::native(2));
    let mut tape = Tape::new(cpu.clone());
    let y = tables.forward(&mut tape, &params, &batch.sparse);
    let (value, mut grads) = (bits([tape.value(y).as_slice()]), Gradients::new(&params));
    tape.backward_from(y, uniform(&tape.value(y).shape(), 4).as_slice(), &params, &mut grads);
    // The rule is part of it: sums of rows are made when tables are updated.
    Optimizer::new(UpdateRule::Sgd, &params).step(&mut params, &grads, 0.1);
    [value, parameters(&params)].concat()
}

/// Three steps of a rule, of gradients that do not depend on the instruction set.
fn updates(cpu: &Arc<Cpu>, rule: UpdateRule) -> Vec<u32> {
    let mut params = setup(cpu);
    let weight = params.add_dense("p0", uniform(&[33, 70], 5));
    let mut optimizer = Optimizer::new(rule, &params);
    for step in 0..3 {
        let (mut tape, mut grads) = (Tape::new(cpu.clone()), Gradients::new(&params));
        grads.contribute(weight, &[33, 70]).0.copy_from_slice(uniform(&[33, 70], 6 + step).as_slice());
        let mut ids = JaggedTensor::default();
        (0..40).for_each(|i| ids.push_bag(&[(i * 7 + step as u32) % 90]));
        let bags = tape.bags(&[ids]);
        let table = dlrm::nn::EmbeddingBag { table: params.find_table("t").unwrap(), pooling: Pooling::Sum };
        let y = ops::embedding_bags(&mut tape, &params, table.table, table.pooling, bags, None);
        tape.backward_from(y, uniform(&[40, 1, 24], 9 + step).as_slice(), &params, &mut grads);
        optimizer.step(&mut params, &grads, 0.01);
    }
    parameters(&params)
}

/// What is trained, and how.
#[derive(Debug, Clone, Copy)]
enum Training {
    /// The Kaggle model with so many dense features.
    Dlrm(usize, UpdateRule),
    Dcn(UpdateRule),
}

/// Every parameter after ten steps, as bits.
fn trained(cpu: &Arc<Cpu>, training: Training) -> Vec<u32> {
    let (mut params, mut stream) = (Parameters::new(cpu.clone()), Stream::native(9));
    let (dlrm, dcn) = (DlrmConfig::criteo_kaggle(TABLES.to_vec()), DcnConfig::criteo_kaggle(TABLES.to_vec()));
    let (model, dense_features, rule): (Box<dyn Model>, _, _) = match training {
        Training::Dlrm(dense_features, rule) => {
            let config = DlrmConfig { dense_features, ..dlrm };
            (Box::new(Dlrm::new(&config, &mut params, &mut stream).unwrap()), dense_features, rule)
        }
        Training::Dcn(rule) => (Box::new(Dcn::new(&dcn, &mut params, &mut stream).unwrap()), 13, rule),
    };
    let options = TrainOptions { dropout: 0.1, clip_norm: Some(1.0), l2_embeddings: 1e-4, ..TrainOptions::default() };
    let trainer = Trainer::new(model, params, rule, LrPolicy::constant(0.02), LossKind::BCE);
    let mut trainer = trainer.with_options(options).unwrap();
    for b in [400, 400, 400, 399, 400, 37, 400, 400, 1, 400] {
        trainer.step(&batch(b, dense_features, &mut stream)).unwrap();
    }
    parameters(trainer.params())
}

/// Which instruction sets give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    /// All.
    Everywhere,
    /// AVX2 and AVX-512, which round a product and its sum once; scalar code rounds twice.
    Fused,
    /// None: sums are made in another order.
    Nowhere,
}

/// What an operation gives on a backend, as bits.
type Operation = Box<dyn Fn(&Arc<Cpu>) -> Vec<u32>>;

fn layer([m, n, k]: [usize; 3]) -> Operation {
    Box::new(move |cpu| {
        through(cpu, [&[m, k], &[1]], |tape, params, [x, _]| {
            let w = params.add_dense("p0", uniform(&[n, k], 7));
            let b = params.add_dense("p1", uniform(&[n], 8));
            ops::linear(tape, params, x, w, Some(b), Activation::Relu)
        })
    })
}

fn interaction(kind: Interaction, b: usize, t: usize) -> Operation {
    let [x, pooled] = [vec![b, 16], vec![b, t, 16]];
    Box::new(move |cpu| {
        through(cpu, [&x, &pooled], |tape, _, [x, pooled]| ops::interaction(tape, kind, Some(x), pooled))
    })
}

fn loss(kind: LossKind) -> Operation {
    Box::new(move |cpu| {
        through(cpu, [&[200], &[1]], |tape, _, [x, _]| {
            let labels = tape.input(&[200], &[0.0, 1.0].repeat(100));
            ops::loss(tape, kind, x, labels)
        })
    })
}

fn cross(cpu: &Arc<Cpu>) -> Vec<u32> {
    through(cpu, [&[70, 45], &[70, 45]], |tape, params, [x, u]| {
        let b = params.add_dense("p0", uniform(&[45], 8));
        let y = ops::cross(tape, params, x, u, Some(b), x);
        ops::mul(tape, y, u)
    })
}

#[test]
fn operations_have_the_bits_that_their_instruction_set_promises() {
    let mut all: Vec<(String, Same, Operation)> = vec![
        ("sums of rows".into(), Same::Everywhere, Box::new(|cpu| lookups(cpu, Pooling::Sum))),
        ("means of rows".into(), Same::Everywhere, Box::new(|cpu| lookups(cpu, Pooling::Mean))),
        ("vectors side by side".into(), Same::Everywhere, interaction(Interaction::Cat, 70, 26)),
        ("binary cross entropy".into(), Same::Everywhere, loss(LossKind::BCE)),
        ("squared error".into(), Same::Everywhere, loss(LossKind::Mse)),
        ("cross, mul, add".into(), Same::Everywhere, Box::new(cross)),
    ];
    for rule in RULES {
        all.push((format!("{rule:?}"), Same::Everywhere, Box::new(move |cpu| updates(cpu, rule))));
    }
    for [b, t] in [[400, 4], [37, 4], [70, 26], [1, 9]] {
        all.push((format!("pairs, {b} × {t}"), Same::Fused, interaction(Interaction::Dot, b, t)));
    }
    // The gradient of a weight of few inputs has a kernel of its own, and what is few depends on the registers.
    for k in [1, 5, 6, 13, 14, 26, 512] {
        let same = if (6..14).contains(&k) { Same::Nowhere } else { Same::Fused };
        all.push((format!("a layer of {k} inputs"), same, layer([400, 64, k])));
    }
    for [m, n, k] in [[1500, 70, 600], [37, 256, 512], [3, 16, 64], [400, 1, 256]] {
        all.push((format!("a layer, {m} × {n} × {k}"), Same::Fused, layer([m, n, k])));
    }
    for (name, same, operation) in all {
        let of = |isa: Isa| (isa.name(), operation(&Arc::new(Cpu::with_isa(2, isa))));
        let bits: Vec<(&str, Vec<u32>)> = Isa::available().map(of).collect();
        for pair in bits.windows(2) {
            let [(a, one), (b, other)] = pair else { unreachable!("windows of two") };
            let expected = match same {
                Same::Everywhere => true,
                Same::Fused => *b != "scalar" || cfg!(target_feature = "fma"),
                Same::Nowhere => false,
            };
            assert_eq!(one == other, expected, "{name}: whether {a} and {b} have the same bits");
        }
    }
}

/// The checksum of all parameters after a training, on each instruction set. What changes it changes every model that
/// anyone has trained: a commit that does says so, and why.
const TRAINED: [(Training, [(&str, u32); 3]); 4] = [
    (Training::Dlrm(13, RULES[0]), [("avx512", 0xf3fe_46e1), ("avx2", 0x1eb1_b306), ("scalar", 0x5e6a_aa8f)]),
    (Training::Dlrm(20, RULES[1]), [("avx512", 0x892a_6a42), ("avx2", 0x892a_6a42), ("scalar", 0xb3e5_66b4)]),
    (Training::Dlrm(20, RULES[2]), [("avx512", 0x3ad0_853f), ("avx2", 0x3ad0_853f), ("scalar", 0x5ab0_e2d5)]),
    (Training::Dcn(RULES[3]), [("avx512", 0x2e52_891c), ("avx2", 0x2e52_891c), ("scalar", 0xd5dc_dd36)]),
];

fn checksum(words: impl IntoIterator<Item = u32>) -> u32 {
    crc32fast::hash(&words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}

/// The checksum of the functions of the C library that a training takes numbers from: those above are of one that has
/// [`MATH`], which glibc 2.36 does on a processor with FMA.
fn math() -> u32 {
    let single = (1..20_000).flat_map(|i| {
        let x = i as f32 * 1e-3;
        [(-x).exp(), (-x).exp().ln_1p(), x.ln()].map(f32::to_bits)
    });
    let double = (1..20_000).flat_map(|i| {
        let x = f64::from(i) * 5e-5;
        let bits = [x.ln(), x.cos(), x.sin()].map(f64::to_bits);
        bits.map(|bits| bits as u32 ^ (bits >> 32) as u32)
    });
    checksum(single.chain(double))
}

const MATH: u32 = 0x9cc8_ddce;

#[test]
fn a_trained_model_has_the_bits_it_had_on_another_day_on_any_number_of_threads() {
    let known = math() == MATH;
    if !known {
        eprintln!("another C library ({:#010x}): checksums are compared between threads alone", math());
    }
    let mut differ = Vec::new();
    for (training, expected) in TRAINED {
        for isa in Isa::available() {
            let trained = |threads| checksum(trained(&Arc::new(Cpu::with_isa(threads, isa)), training));
            let (_, on_that_day) =
                expected.into_iter().find(|(name, _)| *name == isa.name()).expect("one of the three");
            // Compiled for a processor with FMA scalar code rounds once, as the other two do.
            let comparable = known && !(isa == Isa::scalar() && cfg!(target_feature = "fma"));
            let expected = if comparable { on_that_day } else { trained(4) };
            for threads in [1, 2, 3, 5, 8] {
                let found = trained(threads);
                if found != expected {
                    differ.push(format!("{training:?}, {}, {threads} threads: {found:#010x}", isa.name()));
                }
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
