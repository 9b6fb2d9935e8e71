//! Embedding tables of which some are compressed.

use super::compression::{Compression, QrOperation, TableShape};
use super::embedding::EmbeddingBag;
use super::init;
use crate::backend::{Activation, Pooling};
use crate::jagged::JaggedTensor;
use crate::ops;
use crate::parameters::{DenseId, Parameters};
use crate::random::Stream;
use crate::tape::{Tape, Var};

/// The tables of a model, some of them compressed: `B` bags a table to `B × T × D`.
#[derive(Debug, Clone)]
pub struct CompressedEmbeddings {
    tables: Vec<CompressedTable>,
}

#[derive(Debug, Clone, Copy)]
enum CompressedTable {
    Plain(EmbeddingBag),
    QuotientRemainder { quotient: EmbeddingBag, remainder: EmbeddingBag, collisions: u32, operation: QrOperation },
    Projected { bag: EmbeddingBag, projection: DenseId },
}

impl CompressedEmbeddings {
    /// Tables for `num_embeddings` rows each, with the reference's names and initial values:
    ///
    /// | table | name | initial values |
    /// |---|---|---|
    /// | as it is | `emb_l.{t}.weight` | `U(−√(1/n), √(1/n))` |
    /// | quotients, remainders | `emb_l.{t}.weight_q`, `emb_l.{t}.weight_r` | `U(√(1/n), 1)`, both |
    /// | short rows | `emb_l.{t}.embs.weight` | `U(−√(1/n), √(1/n))` |
    /// | their matrix | `emb_l.{t}.proj.weight` | Xavier's uniform law |
    ///
    /// `n` is the number of rows asked for. That the values of quotients and remainders are all positive comes from a
    /// bound that the reference leaves at its default, 1; products of two values near 0 would barely learn.
    ///
    /// Quotients, remainders and matrices are drawn from a stream of their own, which begins where `stream` stands and
    /// does not move it: the reference takes them from PyTorch's generator and not from NumPy's, so that with NumPy's
    /// stream all other values are the reference's.
    ///
    /// # Panics
    /// If there is no table.
    pub fn new(
        params: &mut Parameters,
        num_embeddings: &[usize],
        embedding_dim: usize,
        pooling: Pooling,
        compression: Compression,
        stream: &mut Stream,
    ) -> Self {
        assert!(!num_embeddings.is_empty(), "CompressedEmbeddings: no table");
        let shapes = compression.shapes(num_embeddings, embedding_dim);
        let mut own = stream.fork();
        let new = |(t, (&rows, shape)): (usize, (&usize, TableShape))| {
            let name = format!("emb_l.{t}");
            match shape {
                TableShape::Plain => {
                    CompressedTable::Plain(EmbeddingBag::new(params, &name, rows, embedding_dim, pooling, stream))
                }
                TableShape::QuotientRemainder { collisions, operation, width } => {
                    let mut part = |part: &str, part_rows: usize| {
                        let low = (1.0 / rows as f64).sqrt();
                        let name = format!("{name}.weight_{part}");
                        let table = init::uniform_table(params, name, part_rows, width, [low, 1.0], &mut own);
                        EmbeddingBag { table, pooling }
                    };
                    let quotient = part("q", rows.div_ceil(collisions as usize));
                    let remainder = part("r", collisions as usize);
                    CompressedTable::QuotientRemainder { quotient, remainder, collisions, operation }
                }
                TableShape::Projected { width } => {
                    let bag = EmbeddingBag::new(params, &format!("{name}.embs"), rows, width, pooling, stream);
                    if width == embedding_dim {
                        return CompressedTable::Plain(bag);
                    }
                    let name = format!("{name}.proj.weight");
                    let projection = init::xavier_uniform(params, name, embedding_dim, width, &mut own);
                    CompressedTable::Projected { bag, projection }
                }
            }
        };
        CompressedEmbeddings { tables: num_embeddings.iter().zip(shapes).enumerate().map(new).collect() }
    }

    /// One list of `B` bags a table to the pooled vectors, `B × T × D`.
    ///
    /// # Panics
    /// If there are not as many lists as tables, or an id is not below its table's rows.
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, lists: &[JaggedTensor]) -> Var {
        assert_eq!(lists.len(), self.tables.len(), "CompressedEmbeddings: lists of ids and tables");
        let mut pooled = tape.list(lists.len());
        for (table, list) in self.tables.iter().zip(lists) {
            let vector = table.forward(tape, params, list);
            tape.push(&mut pooled, vector);
        }
        ops::stack(tape, pooled)
    }
}

impl CompressedTable {
    fn forward(self, tape: &mut Tape, params: &Parameters, list: &JaggedTensor) -> Var {
        match self {
            CompressedTable::Plain(bag) => bag.forward(tape, params, list),
            CompressedTable::Projected { bag, projection } => {
                let pooled = bag.forward(tape, params, list);
                ops::linear(tape, params, pooled, projection, None, Activation::None)
            }
            CompressedTable::QuotientRemainder { quotient, remainder, collisions, operation } => {
                // Whole numbers all the way: the reference divides in f32, which is wrong from 2²⁴ on.
                let q = quotient.forward_mapped(tape, params, list, |id| id / collisions);
                let r = remainder.forward_mapped(tape, params, list, |id| id % collisions);
                match operation {
                    QrOperation::Mult => ops::mul(tape, q, r),
                    QrOperation::Add => ops::add(tape, q, r),
                    QrOperation::Concat => ops::cat(tape, &[q, r]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::setup;

    fn bags(bags: &[&[u32]]) -> JaggedTensor {
        let mut list = JaggedTensor::default();
        bags.iter().for_each(|bag| list.push_bag(bag));
        list
    }

    fn set(params: &mut Parameters, name: &str, values: &[f32]) {
        let table = params.tables_mut().iter_mut().find(|t| t.name() == name).unwrap();
        table.values_mut().copy_from_slice(values);
    }

    fn names(params: &Parameters) -> Vec<&str> {
        params.tables().iter().map(|t| t.name()).chain(params.dense().iter().map(|p| p.name())).collect()
    }

    /// A table of 3 rows, whole, beside one of 7, of which 3 ids share a row: quotients 0 to 2, remainders 0 to 2.
    fn quotients(operation: QrOperation, params: &mut Parameters) -> CompressedEmbeddings {
        let compression = Compression::QuotientRemainder { threshold: 3, collisions: 3, operation };
        let embeddings =
            CompressedEmbeddings::new(params, &[3, 7], 2, Pooling::Sum, compression, &mut Stream::native(1));
        assert_eq!(names(params), ["emb_l.0.weight", "emb_l.1.weight_q", "emb_l.1.weight_r"]);
        set(params, "emb_l.0.weight", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        embeddings
    }

    fn pooled(embeddings: &CompressedEmbeddings, params: &Parameters, lists: &[JaggedTensor]) -> Vec<f32> {
        let mut tape = Tape::new(params.backend().clone());
        let out = embeddings.forward(&mut tape, params, lists);
        assert_eq!(&*tape.value(out).shape(), [lists[0].num_bags(), lists.len(), 2]);
        tape.value(out).as_slice().to_vec()
    }

    #[test]
    fn quotients_and_remainders_by_hand() {
        // Ids 1 and 6 are quotients 0 and 2, remainders 1 and 0.
        let lists = [bags(&[&[2], &[0, 1]]), bags(&[&[1, 6], &[]])];
        for (operation, expected) in [
            // (1 + 3)(0.5 + 0.1), (10 + 30)(5 + 1): the product of the sums.
            (QrOperation::Mult, [2.4, 240.0]),
            (QrOperation::Add, [4.6, 46.0]),
        ] {
            let mut params = setup();
            let embeddings = quotients(operation, &mut params);
            set(&mut params, "emb_l.1.weight_q", &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
            set(&mut params, "emb_l.1.weight_r", &[0.5, 5.0, 0.1, 1.0, 0.0, 0.0]);
            let [first, second] = expected;
            assert_eq!(pooled(&embeddings, &params, &lists), [5.0, 6.0, first, second, 4.0, 6.0, 0.0, 0.0]);
        }
        let mut params = setup();
        let embeddings = quotients(QrOperation::Concat, &mut params);
        set(&mut params, "emb_l.1.weight_q", &[1.0, 2.0, 3.0]);
        set(&mut params, "emb_l.1.weight_r", &[0.5, 0.1, 0.0]);
        assert_eq!(pooled(&embeddings, &params, &lists), [5.0, 6.0, 4.0, 0.6, 4.0, 6.0, 0.0, 0.0]);
    }

    /// The reference finds row 10,000,000 for this id, of a table that has as many.
    #[test]
    fn large_ids_are_divided_exactly() {
        let mut params = setup();
        let compression =
            Compression::QuotientRemainder { threshold: 200, collisions: 4, operation: QrOperation::Concat };
        let embeddings =
            CompressedEmbeddings::new(&mut params, &[40_000_000], 2, Pooling::Sum, compression, &mut Stream::native(1));
        let [quotient, remainder] = [0, 1].map(|t| params.tables()[t].num_embeddings());
        assert_eq!((quotient, remainder), (10_000_000, 4));
        params.tables_mut()[0].values_mut()[9_999_999] = 7.0;
        params.tables_mut()[1].values_mut()[3] = 5.0;
        assert_eq!(pooled(&embeddings, &params, &[bags(&[&[39_999_999]])]), [7.0, 5.0]);
    }

    #[test]
    fn quotients_and_remainders_start_as_the_reference_s() {
        let mut params = setup();
        let compression = Compression::QuotientRemainder { threshold: 3, collisions: 4, operation: QrOperation::Mult };
        CompressedEmbeddings::new(&mut params, &[1000], 16, Pooling::Sum, compression, &mut Stream::native(1));
        for table in params.tables() {
            let (min, max) = table.values().iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            assert!(min >= 0.0316 && max < 1.0 && max > 0.9, "{}: {min} to {max}", table.name());
        }
    }

    /// d₀ = 2, α = 1/2 and a smallest table of 3 rows: 2 √(3 / 36) = 0.58 for the one of 36, so 1. Those of 3 rows are
    /// not over the threshold, and whole.
    #[test]
    fn mixed_dimensions_by_hand() {
        let mut params = setup();
        let compression = Compression::MixedDimension { threshold: 5, temperature: 0.5, round_dims: false };
        let mut stream = Stream::native(1);
        let embeddings = CompressedEmbeddings::new(&mut params, &[3, 36, 3], 2, Pooling::Sum, compression, &mut stream);
        let expected = ["emb_l.0.weight", "emb_l.1.embs.weight", "emb_l.2.weight", "emb_l.1.proj.weight"];
        assert_eq!(names(&params), expected);
        assert_eq!((params.tables()[1].embedding_dim(), &*params.dense()[0].value().shape()), (1, &[2, 1][..]));
        set(&mut params, "emb_l.0.weight", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        set(&mut params, "emb_l.2.weight", &[7.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        let rows: Vec<f32> = (0..36).map(|id| id as f32).collect();
        set(&mut params, "emb_l.1.embs.weight", &rows);
        params.update(DenseId(0), |t| t.copy_from_slice(&[0.5, -2.0]));
        // 10 + 20 = 30, by (0.5, -2).
        let lists = [bags(&[&[1]]), bags(&[&[10, 20]]), bags(&[&[0]])];
        assert_eq!(pooled(&embeddings, &params, &lists), [3.0, 4.0, 15.0, -60.0, 7.0, 8.0]);
    }

    #[test]
    fn a_width_of_d_needs_no_matrix() {
        let mut params = setup();
        let compression = Compression::MixedDimension { threshold: 0, temperature: 0.0, round_dims: true };
        CompressedEmbeddings::new(&mut params, &[3, 36], 2, Pooling::Sum, compression, &mut Stream::native(1));
        assert_eq!(names(&params), ["emb_l.0.embs.weight", "emb_l.1.embs.weight"]);
    }
}
