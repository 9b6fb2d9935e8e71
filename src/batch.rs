//! One mini-batch, as a model takes it.

use crate::error::{Error, Result};
use crate::jagged::JaggedTensor;
use ndarray::{ArrayView1, ArrayView2};

/// `B` samples: dense features, one jagged list of ids a table, and labels.
///
/// A batch is meant to be filled again and again: its vectors keep their memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Dense features, `B × dense_features`, row-major.
    pub dense: Vec<f32>,
    /// Dense features a sample; may be 0.
    pub dense_features: usize,
    /// One list of `B` bags a table.
    pub sparse: Vec<JaggedTensor>,
    /// What happened: 1 click, 0 none (`B`).
    pub labels: Vec<f32>,
}

impl Batch {
    /// A batch from arrays.
    ///
    /// # Errors
    /// [`Error::Batch`] if the parts disagree about `B`.
    pub fn new(dense: ArrayView2<f32>, sparse: Vec<JaggedTensor>, labels: ArrayView1<f32>) -> Result<Self> {
        let batch = Batch {
            dense_features: dense.ncols(),
            dense: dense.iter().copied().collect(),
            sparse,
            labels: labels.to_vec(),
        };
        if dense.nrows() != batch.len() {
            return Err(Error::Batch(format!("{} rows of dense features for {} labels", dense.nrows(), batch.len())));
        }
        batch.check_lengths()?;
        Ok(batch)
    }

    /// The number of samples, `B`.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Empties the batch for `dense_features` and `tables`, and keeps the memory.
    pub fn clear(&mut self, dense_features: usize, tables: usize) {
        self.dense.clear();
        self.dense_features = dense_features;
        self.labels.clear();
        self.sparse.resize_with(tables, JaggedTensor::default);
        self.sparse.iter_mut().for_each(JaggedTensor::clear);
    }

    /// Whether this batch fits a model of `dense_features` and tables of `num_embeddings` rows.
    ///
    /// # Errors
    /// [`Error::Batch`] that names the table, the bag, the id and the limit, or the two counts
    /// that differ.
    pub fn check(&self, dense_features: usize, num_embeddings: impl ExactSizeIterator<Item = usize>) -> Result<()> {
        self.check_lengths()?;
        if self.dense_features != dense_features {
            return Err(Error::Batch(format!(
                "{} dense features a sample, the model takes {dense_features}",
                self.dense_features
            )));
        }
        if self.sparse.len() != num_embeddings.len() {
            return Err(Error::Batch(format!(
                "{} lists of ids, the model has {} tables",
                self.sparse.len(),
                num_embeddings.len()
            )));
        }
        for (table, (ids, limit)) in self.sparse.iter().zip(num_embeddings).enumerate() {
            check_ids(table, ids, limit)?;
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<()> {
        let b = self.len();
        if self.dense.len() != b * self.dense_features {
            return Err(Error::Batch(format!(
                "{} dense values for {b} samples of {} dense features",
                self.dense.len(),
                self.dense_features
            )));
        }
        match self.sparse.iter().position(|s| s.num_bags() != b) {
            Some(t) => Err(Error::Batch(format!("table {t}: {} bags for {b} samples", self.sparse[t].num_bags()))),
            None => Ok(()),
        }
    }
}

fn check_ids(table: usize, ids: &JaggedTensor, limit: usize) -> Result<()> {
    // The largest is found several ids at a time; a search would stop to look at each.
    let max = ids.values().iter().fold(0, |max, &id| max.max(id));
    if ids.values().is_empty() || (max as usize) < limit {
        return Ok(());
    }
    let (bag, id) = (0..ids.num_bags())
        .flat_map(|b| ids.bag(b).iter().map(move |&id| (b, id)))
        .find(|&(_, id)| id as usize >= limit)
        .expect("an id out of range was seen");
    Err(Error::Batch(format!("table {table}, sample {bag}: id {id}, but the table has {limit} rows")))
}
