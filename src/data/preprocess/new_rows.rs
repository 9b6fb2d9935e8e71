//! New rows by the vocabulary of a dataset.

use super::columns::hashed;
use crate::batch::Batch;
use crate::data::binary::{Keys, RowFile};
use crate::data::criteo::{DENSE_FEATURES, Row, RowReader, SPARSE_FEATURES, Vocabulary};
use crate::data::schema::{Schema, Transform};
use crate::error::{Error, Result};
use std::io::BufRead;

/// What it takes to map new rows of Criteo's text as those of a dataset were, to score them: its vocabulary, or its hash.
/// (For tables of other columns there is [`Table`](crate::data::table::Table).)
#[derive(Debug)]
pub struct NewRows {
    vocabulary: Vocabulary,
    /// What ids are taken modulo of before they are looked up, if above 0.
    max_ind_range: u32,
    /// Instead of a vocabulary.
    hash_size: Option<u32>,
    transforms: [Transform; DENSE_FEATURES],
    min_dense: f32,
}

impl NewRows {
    /// The vocabulary of `dataset`.
    ///
    /// # Errors
    /// [`Error::File`] if it has other columns than Criteo's, was not made of text, or is damaged.
    pub fn of(dataset: &RowFile) -> Result<NewRows> {
        let header = dataset.header();
        let Schema { dense, categorical, .. } = &header.schema;
        if dense.len() != DENSE_FEATURES || categorical.len() != SPARSE_FEATURES || header.schema.multi_hot() {
            let found = format!("{} dense and {} categorical columns", dense.len(), categorical.len());
            let message = format!("{found}, expected Criteo's {DENSE_FEATURES} and {SPARSE_FEATURES}, of one id each");
            return Err(Error::file(dataset.path(), message));
        }
        let flag = |name: &str| header.source.options.split(' ').skip_while(|&word| word != name).nth(1)?.parse().ok();
        let hash_size = flag("--hash-size");
        let mut hashes = [const { Vec::new() }; SPARSE_FEATURES];
        for (column, hashes) in hashes.iter_mut().enumerate() {
            *hashes = match dataset.keys(column)? {
                Keys::Numbers(numbers) => numbers,
                Keys::None if hash_size.is_some_and(|size| size > 0) => Vec::new(),
                _ => {
                    return Err(Error::file(dataset.path(), "no vocabulary, expected a dataset made of Criteo's text"));
                }
            };
        }
        Ok(NewRows {
            vocabulary: Vocabulary::from_hashes(hashes, header.shared_row),
            max_ind_range: flag("--max-ind-range").unwrap_or(0),
            hash_size,
            transforms: std::array::from_fn(|i| dense[i].transform),
            min_dense: header.min_dense as f32,
        })
    }

    /// Refills `batch` with the next rows of `reader`, at most `rows` of them; returns how many there were.
    ///
    /// Integers are transformed; one below all of the dataset counts as the least of them where the transform depends on
    /// that. Labels are 0 if there are none. An id that the dataset does not know is row 0, if that stands for rare ids.
    ///
    /// # Errors
    /// Those of the reader; [`Error::Row`] at an unknown id without a row to go to.
    pub fn fill<R: BufRead>(&self, reader: &mut RowReader<R>, rows: usize, batch: &mut Batch) -> Result<usize> {
        batch.clear(DENSE_FEATURES, SPARSE_FEATURES);
        while batch.len() < rows
            && let Some(row) = reader.next_row()?
        {
            for (column, bags) in batch.sparse.iter_mut().enumerate() {
                let id = self.number(&row, column).ok_or_else(|| {
                    let message = format!(
                        "C{} is {:08x}, expected an id of the dataset (made with --min-count 2 or more it has a row for others)",
                        column + 1,
                        row.ids[column]
                    );
                    reader.error_at_id(column, message)
                })?;
                bags.push_bag(&[id]);
            }
            batch.labels.push(row.label.map_or(0.0, f32::from));
            let dense = row.ints.iter().zip(self.transforms).map(|(&x, transform)| match transform {
                Transform::LogShifted => transform.apply((x as f32).max(self.min_dense), self.min_dense),
                transform => transform.apply(x as f32, self.min_dense),
            });
            batch.dense.extend(dense);
        }
        Ok(batch.len())
    }

    /// The embedding row of an id.
    fn number(&self, row: &Row, column: usize) -> Option<u32> {
        let id = row.ids[column];
        match self.hash_size {
            Some(size) => Some(hashed(id, column, size)),
            None if self.max_ind_range > 0 => self.vocabulary.row_of(column, id % self.max_ind_range),
            None => self.vocabulary.row_of(column, id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::criteo::{BadRows, Labels};
    use crate::data::preprocess::{Numbering, Options, preprocess};
    use crate::data::teacher::{Teacher, TeacherConfig};
    use std::path::Path;

    fn read(new: &NewRows, path: &Path) -> Result<Batch> {
        let mut reader = RowReader::open(path, Labels::Present, BadRows::Stop)?;
        let (mut batch, mut last) = (Batch::default(), Batch::default());
        assert_eq!(new.fill(&mut reader, 300, &mut batch)?, 300);
        assert_eq!(new.fill(&mut reader, 300, &mut last)?, 0);
        Ok(batch)
    }

    #[test]
    fn rows_of_the_dataset_are_as_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let [text, output] = ["rows.tsv", "rows.rows"].map(|name| folder.path().join(name));
        let lines: Vec<u8> =
            Teacher::new(3, TeacherConfig::small()).blocks(300, |block| block.text).flatten().collect();
        std::fs::write(&text, lines).unwrap();
        for (numbering, transform) in [
            (Numbering::Vocabulary { max_ind_range: 0, min_count: 1 }, Transform::Log),
            (Numbering::Vocabulary { max_ind_range: 1000, min_count: 3 }, Transform::LogShifted),
            (Numbering::Hash(500), Transform::Identity),
        ] {
            let options = Options { numbering, transform, ..Options::new(vec![text.clone()], output.clone()) };
            preprocess(&options, &mut |_| ()).unwrap();
            let (file, mut expected) = (RowFile::open(&output).unwrap(), Batch::default());
            file.fill(0..300, &mut expected).unwrap();
            assert_eq!(read(&NewRows::of(&file).unwrap(), &text).unwrap(), expected, "{numbering:?}");
        }
    }

    #[test]
    fn an_unknown_id_is_an_error_or_the_row_of_rare_ones() {
        let folder = tempfile::tempdir().unwrap();
        let [text, new, output] = ["rows.tsv", "new.tsv", "rows.rows"].map(|name| folder.path().join(name));
        let line = |id: &str| format!("1\t{}{id}\t{}\n", "2\t".repeat(13), ["a"; 25].join("\t"));
        std::fs::write(&text, line("b").repeat(7)).unwrap();
        std::fs::write(&new, [line("b"), line("c")].concat()).unwrap();
        for (min_count, expected) in [(2, Some(0)), (1, None)] {
            let numbering = Numbering::Vocabulary { max_ind_range: 0, min_count };
            let options = Options { numbering, ..Options::new(vec![text.clone()], output.clone()) };
            preprocess(&options, &mut |_| ()).unwrap();
            let rows = NewRows::of(&RowFile::open(&output).unwrap()).unwrap();
            let mut reader = RowReader::open(&new, Labels::Present, BadRows::Stop).unwrap();
            let mut batch = Batch::default();
            match (rows.fill(&mut reader, 2, &mut batch), expected) {
                (Ok(2), Some(row)) => assert_eq!(batch.sparse[0].values(), [1, row]),
                (Err(e), None) => {
                    let expected = format!("{}:2:15: C1 is 0000000c, expected an id of the dataset", new.display());
                    assert!(e.to_string().starts_with(&expected), "{e}");
                }
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
        }
    }
}
