//! Rows to score: of a binary dataset, or new ones as text.

use super::cache::is_binary;
use super::change_flags::{BucketFlag, RangeFlag};
use clap::Args;
use dlrm::data::binary::RowFile;
use dlrm::data::criteo::reader::Input;
use dlrm::data::criteo::{BadRows, Labels, RowReader};
use dlrm::data::preprocess::NewRows;
use dlrm::data::source::{Change, Samples};
use dlrm::data::table::{Table, TableRows, TableSchema};
use dlrm::{Batch, Error, JaggedTensor, Result};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct RowsFlags {
    /// Rows: a binary dataset with the vocabulary of the model, or text, plain, .gz or .zst; - is text from standard input.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["latency", "list_adapters"])]
    pub data: Option<PathBuf>,
    /// The binary dataset that the model was trained on, such as train.txt.rows: by its vocabulary text is read.
    #[arg(long, value_name = "FILE")]
    pub vocabulary: Option<PathBuf>,
    /// What the columns of the text are, in TOML, if not Criteo's.
    #[arg(long, value_name = "FILE", requires = "vocabulary")]
    pub schema: Option<PathBuf>,
    /// Criteo's rows have no label in front, as those of Kaggle's test.txt.
    #[arg(long, conflicts_with = "schema")]
    pub no_labels: bool,
    #[command(flatten)]
    pub range: RangeFlag,
    #[command(flatten)]
    pub buckets: BucketFlag,
}

/// Rows, one batch after the other.
pub struct Rows<'a> {
    source: Source<'a>,
    changes: Vec<Change>,
    /// Lists that changes add to a batch.
    spare: Vec<JaggedTensor>,
    /// How many there are, if that is known.
    pub count: Option<u64>,
    /// Of the dataset whose ids they have.
    pub num_embeddings: Vec<usize>,
    pub vocabulary_checksum: u32,
}

enum Source<'a> {
    Dataset(&'a RowFile, u64),
    Criteo(&'a NewRows, RowReader<Input>),
    Table(Box<TableRows<'a>>),
}

impl RowsFlags {
    /// Calls `work` with the rows that the flags mean.
    pub fn open(&self, work: impl FnOnce(&mut Rows) -> Result<()>) -> Result<()> {
        let data = self.data.as_deref().expect("clap requires it");
        let path = if data == Path::new("-") { Path::new("/dev/stdin") } else { data };
        if is_binary(path)? {
            let file = RowFile::open(path)?;
            return work(&mut self.rows(&file, Source::Dataset(&file, 0), Some(file.rows())));
        }
        let Some(vocabulary) = &self.vocabulary else {
            return Err(Error::Config(format!(
                "--vocabulary is missing, expected it with {}, which is text",
                path.display()
            )));
        };
        let file = RowFile::open(vocabulary)?;
        if let Some(schema) = &self.schema {
            let table = Table::open(TableSchema::open(schema)?, &file)?;
            return work(&mut self.rows(&file, Source::Table(Box::new(table.rows(path)?)), None));
        }
        let new = NewRows::of(&file)?;
        let labels = if self.no_labels { Labels::Absent } else { Labels::Present };
        let reader = RowReader::open(path, labels, BadRows::Stop)?;
        work(&mut self.rows(&file, Source::Criteo(&new, reader), None))
    }

    fn rows<'a>(&self, dataset: &RowFile, source: Source<'a>, count: Option<u64>) -> Rows<'a> {
        let (mut num_embeddings, mut vocabulary_checksum) = (dataset.num_embeddings(), dataset.vocabulary_checksum());
        let changes: Vec<Change> = self.range.change().into_iter().chain(self.buckets.change()).collect();
        for change in &changes {
            num_embeddings = change.num_embeddings(num_embeddings);
            vocabulary_checksum = change.vocabulary_checksum(vocabulary_checksum);
        }
        Rows { source, changes, spare: Vec::new(), count, num_embeddings, vocabulary_checksum }
    }
}

impl Rows<'_> {
    /// Refills `batch` with the next rows, at most `rows` of them; returns how many there were.
    pub fn fill(&mut self, rows: usize, batch: &mut Batch) -> Result<usize> {
        self.changes.iter().rev().for_each(|change| change.undo(batch, &mut self.spare));
        let count = match &mut self.source {
            Source::Dataset(file, at) => {
                let end = file.rows().min(*at + rows as u64);
                file.fill(*at..end, batch)?;
                *at = end;
                batch.len()
            }
            Source::Criteo(new, reader) => new.fill(reader, rows, batch)?,
            Source::Table(table) => table.fill(rows, batch)?,
        };
        self.changes.iter().for_each(|change| change.apply(batch, &mut self.spare));
        Ok(count)
    }
}
