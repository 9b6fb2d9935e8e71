//! Embedding tables with pooling.

use super::compressed::CompressedEmbeddings;
use super::config::{DlrmConfig, WeightedPooling};
use super::init;
use super::sharded::{ShardedEmbeddings, Started};
use crate::backend::Pooling;
use crate::jagged::JaggedTensor;
use crate::ops::{self, RowWeights};
use crate::parameters::{Parameters, TableId};
use crate::random::Stream;
use crate::tape::{Tape, Var};

/// One table: bags of ids to pooled vectors (`B × 1 × D`). A bag of one id gives its row of the table (paper section 2.1.1,
/// equation 1).
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingBag {
    /// The table.
    pub table: TableId,
    /// How the rows of a bag become one vector.
    pub pooling: Pooling,
}

impl EmbeddingBag {
    /// A table of `num_embeddings × embedding_dim` with the reference's initial values.
    pub fn new(
        params: &mut Parameters,
        name: &str,
        num_embeddings: usize,
        embedding_dim: usize,
        pooling: Pooling,
        stream: &mut Stream,
    ) -> Self {
        let table = init::table(params, format!("{name}.weight"), num_embeddings, embedding_dim, stream);
        EmbeddingBag { table, pooling }
    }

    /// `B` bags to `B × 1 × D`.
    ///
    /// # Panics
    /// If an id is not below the table's number of rows.
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, bags: &JaggedTensor) -> Var {
        self.forward_mapped(tape, params, bags, |id| id)
    }

    /// As [`forward`](Self::forward), of the rows `map(id)`.
    pub(super) fn forward_mapped(
        &self,
        tape: &mut Tape,
        params: &Parameters,
        bags: &JaggedTensor,
        map: impl Fn(u32) -> u32,
    ) -> Var {
        let bags = tape.bags(std::slice::from_ref(bags));
        tape.bags_mut(bags)[0].map_ids(map);
        ops::embedding_bags(tape, params, self.table, self.pooling, bags, None)
    }
}

/// The tables of a model, looked up together: `B` bags a table to `B × T × D`.
///
/// Between this output and the interaction is where several ranks would exchange pooled vectors.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingBagCollection {
    first: TableId,
    count: usize,
    pooling: Pooling,
    row_weights: Option<RowWeights>,
}

impl EmbeddingBagCollection {
    /// Tables `emb_l.0.weight`, `emb_l.1.weight`, … of `num_embeddings` rows of `embedding_dim`
    /// with the reference's initial values, and row weights `v_W_l.0`, … of ones if asked for.
    ///
    /// # Panics
    /// If there is no table.
    pub fn new(
        params: &mut Parameters,
        num_embeddings: &[usize],
        embedding_dim: usize,
        pooling: Pooling,
        weighted: Option<WeightedPooling>,
        stream: &mut Stream,
    ) -> Self {
        assert!(!num_embeddings.is_empty(), "EmbeddingBagCollection: no table");
        let first = TableId(params.tables().len());
        for (t, &rows) in num_embeddings.iter().enumerate() {
            init::table(params, format!("emb_l.{t}.weight"), rows, embedding_dim, stream);
        }
        let row_weights = weighted.map(|w| {
            let first = TableId(params.tables().len());
            for (t, &rows) in num_embeddings.iter().enumerate() {
                params.add_table(format!("v_W_l.{t}"), rows, 1);
                params.tables_mut().last_mut().expect("just added").values_mut().fill(1.0);
            }
            RowWeights { first, learned: w == WeightedPooling::Learned }
        });
        EmbeddingBagCollection { first, count: num_embeddings.len(), pooling, row_weights }
    }

    /// One list of `B` bags a table to the pooled vectors, `B × T × D`.
    ///
    /// # Panics
    /// If there are not as many lists as tables, or an id is not below its table's rows.
    pub fn forward(&self, tape: &mut Tape, params: &Parameters, lists: &[JaggedTensor]) -> Var {
        assert_eq!(lists.len(), self.count, "EmbeddingBagCollection: lists of ids and tables");
        let bags = tape.bags(lists);
        ops::embedding_bags(tape, params, self.first, self.pooling, bags, self.row_weights)
    }
}

/// The tables of a [`Dlrm`](super::Dlrm), whole or compressed.
#[derive(Debug, Clone)]
pub(super) enum Embeddings {
    Whole(EmbeddingBagCollection),
    Compressed(CompressedEmbeddings),
    Sharded(ShardedEmbeddings),
}

impl Embeddings {
    pub(super) fn new(config: &DlrmConfig, params: &mut Parameters, stream: &mut Stream) -> Self {
        let DlrmConfig { num_embeddings, embedding_dim, pooling, weighted_pooling, compression, .. } = config;
        let (dim, pooling) = (*embedding_dim, *pooling);
        match *compression {
            None => Embeddings::Whole(EmbeddingBagCollection::new(
                params,
                num_embeddings,
                dim,
                pooling,
                *weighted_pooling,
                stream,
            )),
            Some(compression) => Embeddings::Compressed(CompressedEmbeddings::new(
                params,
                num_embeddings,
                dim,
                pooling,
                compression,
                stream,
            )),
        }
    }

    /// What can begin before the bottom MLP, whose work hides an exchange.
    pub(super) fn start(&self, tape: &mut Tape, params: &Parameters, lists: &[JaggedTensor]) -> Option<Started> {
        match self {
            Embeddings::Sharded(tables) => Some(tables.start(tape, params, lists)),
            Embeddings::Whole(_) | Embeddings::Compressed(_) => None,
        }
    }

    /// One list of `B` bags a table to the pooled vectors, `B × T × D`, after [`start`](Self::start).
    pub(super) fn finish(
        &self,
        tape: &mut Tape,
        params: &Parameters,
        lists: &[JaggedTensor],
        started: Option<Started>,
    ) -> Var {
        match (self, started) {
            (Embeddings::Whole(tables), _) => tables.forward(tape, params, lists),
            (Embeddings::Compressed(tables), _) => tables.forward(tape, params, lists),
            (Embeddings::Sharded(tables), started) => tables.finish(tape, started.expect("what was started")),
        }
    }
}
