//! Rows from wherever they are, block by block: the ids of each column.

use dlrm::data::binary::RowFile;
use dlrm::data::criteo::{BadRows, Labels, RowReader, SPARSE_FEATURES};
use dlrm::data::teacher::Teacher;
use dlrm::{Batch, Error, Result};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Rows a block of a file: 7 MB of ids.
const BLOCK: u64 = 65_536;

/// Replaces the ids of each column by those of the next rows, and says how many rows these are: 0 at
/// the end.
type NextBlock<'a> = Box<dyn FnMut(&mut [Vec<u32>]) -> Result<u64> + Send + 'a>;

pub struct Rows<'a> {
    /// Names of the categorical columns.
    pub columns: Vec<String>,
    /// The number of rows, if it is known.
    pub total: Option<u64>,
    next_block: NextBlock<'a>,
}

impl<'a> Rows<'a> {
    pub fn open(path: &Path) -> Result<Rows<'static>> {
        if begins_as_binary(path).map_err(|e| Error::io(path, e))? { binary(path) } else { text(path) }
    }

    /// The first `count` rows of a teacher, written as text and read again.
    pub fn generated(teacher: &'a Teacher, count: u64) -> Rows<'a> {
        let mut blocks = teacher.blocks(count, |block| block.text);
        let next_block = move |ids: &mut [Vec<u32>]| {
            let text = blocks.next().unwrap_or_default();
            fill(&mut RowReader::new(&text[..], "generated rows", Labels::Present, BadRows::Stop), ids)
        };
        Rows { columns: criteo_columns(), total: Some(count), next_block: Box::new(next_block) }
    }

    pub fn next_block(&mut self, ids: &mut [Vec<u32>]) -> Result<u64> {
        (self.next_block)(ids)
    }
}

fn begins_as_binary(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut start)?;
    Ok(start == b"DLRMROWS")
}

fn binary(path: &Path) -> Result<Rows<'static>> {
    let file = RowFile::open(path)?;
    let columns = file.header().schema.categorical.iter().map(|c| c.name.clone()).collect();
    let (total, mut done, mut batch) = (file.rows(), 0, Batch::default());
    let next_block = move |ids: &mut [Vec<u32>]| {
        let block = done..total.min(done + BLOCK);
        done = block.end;
        file.fill(block.clone(), &mut batch)?;
        for (ids, bags) in ids.iter_mut().zip(&batch.sparse) {
            ids.clear();
            ids.extend_from_slice(bags.values());
        }
        Ok(block.end - block.start)
    };
    Ok(Rows { columns, total: Some(total), next_block: Box::new(next_block) })
}

fn text(path: &Path) -> Result<Rows<'static>> {
    let mut reader = RowReader::open(path, Labels::Present, BadRows::Stop)?;
    let next_block = move |ids: &mut [Vec<u32>]| fill(&mut reader, ids);
    Ok(Rows { columns: criteo_columns(), total: None, next_block: Box::new(next_block) })
}

fn criteo_columns() -> Vec<String> {
    (1..=SPARSE_FEATURES).map(|c| format!("C{c}")).collect()
}

fn fill<R: BufRead>(reader: &mut RowReader<R>, ids: &mut [Vec<u32>]) -> Result<u64> {
    ids.iter_mut().for_each(Vec::clear);
    for done in 0..BLOCK {
        let Some(row) = reader.next_row()? else { return Ok(done) };
        ids.iter_mut().zip(row.ids).for_each(|(ids, id)| ids.push(id));
    }
    Ok(BLOCK)
}
