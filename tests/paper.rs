//! The paper's equations (1) to (5), its example of lookups and its figure 3, each as it is printed there, beside what
//! this crate makes of the same numbers. The page `dlrm::guide::paper_map` names them.

use dlrm::backend::{Activation, Cpu, Interaction, Pooling};
use dlrm::data::trace::{StackDistribution, trace_profile};
use dlrm::nn::Mlp;
use dlrm::parameters::TableId;
use dlrm::{JaggedTensor, Parameters, Stream, Tape, Var, ops};
use std::sync::Arc;

/// `m × d` with m = 6 and d = 2, and nothing to be rounded.
const W: [[f32; 2]; 6] = [[1.0, 2.0], [3.0, -1.0], [0.5, 4.0], [-2.0, 0.25], [8.0, 1.5], [-0.5, 6.0]];

fn parameters(rows: &[[f32; 2]]) -> (Parameters, TableId) {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let table = params.add_table("W", rows.len(), 2);
    params.tables_mut()[0].values_mut().copy_from_slice(rows.as_flattened());
    (params, table)
}

/// Pooled vectors of one list of bags.
fn pooled(params: &Parameters, table: TableId, list: JaggedTensor) -> Vec<f32> {
    let mut tape = Tape::new(params.backend().clone());
    let bags = tape.bags(&[list]);
    let out = ops::embedding_bags(&mut tape, params, table, Pooling::Sum, bags, None);
    tape.value(out).as_slice().to_vec()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `wᵢᵀ = eᵢᵀ W`: a lookup is a product with a one-hot vector.
#[test]
fn equation_1_a_lookup() {
    let (params, table) = parameters(&W);
    for i in 0..W.len() {
        let one_hot: Vec<f32> = (0..W.len()).map(|j| f32::from(u8::from(i == j))).collect();
        let product = [0, 1].map(|d| dot(&one_hot, &W.map(|row| row[d])));
        assert_eq!(pooled(&params, table, JaggedTensor::one_per_bag(vec![i as u32])), product, "e{i}");
    }
}

/// `S = AᵀW`: a column of `A` has the weights of a lookup.
#[test]
fn equation_2_a_mini_batch_of_lookups() {
    let bags: [&[(u32, f32)]; 4] = [&[(0, 1.0), (2, 0.5)], &[(5, -2.0)], &[], &[(1, 4.0), (3, 1.0), (4, 0.25)]];
    let flat: Vec<(u32, f32)> = bags.concat();
    let (ids, weights) = flat.into_iter().unzip();
    let list = JaggedTensor::new(ids, vec![0, 2, 3, 3, 6], Some(weights)).unwrap();
    let mut product = Vec::new();
    for bag in bags {
        let mut a = [0.0; W.len()];
        bag.iter().for_each(|&(id, weight)| a[id as usize] = weight);
        product.extend([0, 1].map(|d| dot(&a, &W.map(|row| row[d]))));
    }
    let (params, table) = parameters(&W);
    assert_eq!(pooled(&params, table, list), product);
}

/// Footnote 4: the lookups {0, 2}, {0, 1, 5} and {3} have the lengths 2, 3, 1 and start at 0, 2, 5. Here the end is
/// written down as well.
#[test]
fn footnote_4_lookups_by_rows() {
    let mut list = JaggedTensor::default();
    let bags: [&[u32]; 3] = [&[0, 2], &[0, 1, 5], &[3]];
    bags.iter().for_each(|bag| list.push_bag(bag));
    assert_eq!(list.values(), [0, 2, 0, 1, 5, 3]);
    assert_eq!(list.offsets(), [0, 2, 5, 6]);
    let lengths: Vec<u32> = list.offsets().windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(lengths, [2, 3, 1]);
}

/// The interaction of vectors, one each of as many tables as there are bags of one id; each bag has a weight.
fn dots(vectors: &[[f32; 2]], weights: &[f32]) -> Vec<f32> {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    for (t, vector) in vectors.iter().enumerate() {
        params.add_table(format!("V{t}"), 1, 2);
        params.tables_mut()[t].values_mut().copy_from_slice(vector);
    }
    let first = params.find_table("V0").unwrap();
    let lists: Vec<_> =
        weights.iter().map(|&x| JaggedTensor::new(vec![0], vec![0, 1], Some(vec![x])).unwrap()).collect();
    let mut tape = Tape::new(params.backend().clone());
    let bags = tape.bags(&lists);
    let pooled = ops::embedding_bags(&mut tape, &params, first, Pooling::Sum, bags, None);
    let out = Interaction::Dot.forward(&mut tape, None, pooled);
    tape.value(out).as_slice().to_vec()
}

/// The prediction `wᵢᵀ vⱼ` of a rating: two tables, no dense features, and the interaction alone.
#[test]
fn equation_3_the_product_of_two_factors() {
    for (w, v) in [(W[0], W[1]), (W[2], W[5]), (W[4], W[3])] {
        assert_eq!(dots(&[w, v], &[1.0, 1.0]), [dot(&w, &v)]);
    }
}

/// `xᵀ upper(V Vᵀ) x`: the sum of the interaction's numbers, if row `i` is looked up with weight `xᵢ`.
#[test]
fn equation_4_the_second_order_of_a_factorization_machine() {
    let x = [1.0, -0.5, 2.0, 0.0, 0.25, 4.0];
    let mut upper = 0.0;
    for i in 0..W.len() {
        for j in i + 1..W.len() {
            upper += x[i] * dot(&W[i], &W[j]) * x[j];
        }
    }
    let products = dots(&W, &x);
    assert_eq!(products.len(), 15);
    assert_eq!(products.iter().sum::<f32>(), upper);
}

/// `ŷ = W₃ σ(W₂ σ(W₁ x + b₁) + b₂) + b₃`, with σ = ReLU as in the reference.
#[test]
fn equation_5_layers_one_in_another() {
    let mut params = Parameters::new(Arc::new(Cpu::new(1)));
    let mlp = Mlp::new(&mut params, "mlp", 3, &[4, 2, 1], Activation::None, &mut Stream::native(7));
    let x = [0.5, -1.0, 2.0];
    let mut y = x.to_vec();
    for (l, layer) in mlp.layers().iter().enumerate() {
        let [weight, bias] = [layer.weight, layer.bias].map(|id| params.get(id).value().as_slice());
        let rows = weight.chunks(y.len()).zip(bias).map(|(row, b)| dot(row, &y) + b);
        y = rows.map(|z| if l < 2 { z.max(0.0) } else { z }).collect();
    }
    let mut tape = Tape::new(params.backend().clone());
    let x: Var = tape.input(&[1, 3], &x);
    let out = mlp.forward(&mut tape, &params, x);
    let got = tape.value(out).as_slice();
    assert!(got.len() == 1 && (got[0] - y[0]).abs() < 1e-6, "{got:?}, expected {y:?}");
}

/// Probabilities of the distances 0 to 100.
fn probabilities(trace: &[u64]) -> Vec<f64> {
    let mut p = vec![0.0; 101];
    trace_profile(trace).stack_distances.iter().for_each(|&d| p[d] += 1.0 / trace.len() as f64);
    p
}

/// Half the sum of the differences: 0 for the same distribution, 1 for two that share nothing.
fn apart(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0
}

/// `tr = random.uniform(1, 100, 100K)`: (a) all distances alike; (b) a trace generated from it takes long to have met
/// every id, and has short distances more often; (c) with new ids counted on top it comes near the original.
#[test]
fn figure_3_original_synthetic_and_adjusted() {
    let mut stream = Stream::native(3);
    let trace: Vec<u64> = (0..100_000).map(|_| 1 + (stream.uniform() * 100.0) as u64).collect();
    let (profile, original) = (trace_profile(&trace), probabilities(&trace));
    assert!((original[0] - 0.001).abs() < 1e-9, "100 new ids: {}", original[0]);
    for (d, p) in original.iter().enumerate().skip(1) {
        assert!((p - 0.00999).abs() < 5.0 * 3.2e-4, "P({d}) = {p}: 5 standard deviations");
    }
    let [synthetic, adjusted] = [false, true].map(|padding| {
        let distribution = StackDistribution::new(&profile, padding).unwrap();
        let trace = distribution.trace_generate_lru(100_000, padding, &mut Stream::native(4));
        apart(&original, &probabilities(&trace))
    });
    assert!(adjusted < 0.05 && synthetic > 2.0 * adjusted, "synthetic {synthetic}, adjusted {adjusted}");
}
