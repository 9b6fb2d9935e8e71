//! From words to a dataset: numbers that had to wait, rare ids, vocabulary and header.

use super::chunk::WORDS;
use super::journal::Groups;
use super::pipeline::{ROW_BYTES, State};
use super::spill::Spill;
use super::{Numbering, Options, Phase, Progress};
use crate::data::binary::{Header, Keys, PRELUDE, RowWriter, Source};
use crate::data::criteo::{DENSE_FEATURES, SPARSE_FEATURES};
use crate::data::schema::Schema;
use crate::error::{Error, Result};
use crate::partial::publish;
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Rows of words that are worked on at a time: 10 MB.
const BLOCK: u64 = 1 << 16;

/// Where the numbers of embedding rows begin in a row.
pub(super) const IDS: usize = 1 + DENSE_FEATURES;

/// Makes the words of `state` a dataset.
pub(super) fn finish(state: State, on_progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let State { options, at, mut writer, sizes, asked, .. } = state;
    let rows = writer.rows();
    let mut report = |rows, phase| on_progress(Progress { rows, bytes: 0, total: 0, phase });
    let days = days(options, &at.days, rows, at.skipped)?;
    let mut known: Vec<u32> = at.columns.columns().iter().map(|column| column.known).collect();
    let deferred: Vec<(usize, u64)> =
        at.columns.columns().iter().enumerate().filter_map(|(c, column)| Some((c, column.deferred_from?))).collect();
    drop(at.columns);
    let mut words = Words { path: options.beside("partial"), rows };

    let spill = Spill::new(options.beside("spill"), options.beside("journal"), &asked)?;
    if !deferred.is_empty() {
        for &(c, from) in &deferred {
            report(0, Phase::Numbering);
            known[c] = spill.number(c, from, known[c], &words)?;
        }
        let columns: Vec<usize> = deferred.iter().map(|&(c, _)| c).collect();
        let numbered = options.beside("numbered");
        let mut numbers = spill.numbers(&deferred)?;
        writer = words.rewrite(&numbered, &mut |first, words| {
            report(first, Phase::Numbering);
            numbers.fill(first, &columns, words)
        })?;
        words.path = numbered;
    }
    let mut kept: Option<Vec<Vec<bool>>> = None;
    let mut num_embeddings: Vec<u64> = known.iter().map(|&n| u64::from(n)).collect();
    match options.numbering {
        Numbering::Hash(size) => num_embeddings.fill(u64::from(size)),
        Numbering::Vocabulary { min_count: 0..=1, .. } => {}
        Numbering::Vocabulary { min_count, .. } => {
            let train = rows - days.last().expect("a day");
            let numbers = frequent(&words, train, &known, min_count, &mut report)?;
            num_embeddings =
                numbers.iter().map(|column| 1 + u64::from(column.iter().copied().max().unwrap_or(0))).collect();
            let counted = options.beside("counted");
            writer = words.rewrite(&counted, &mut |first, words| {
                report(first, Phase::Numbering);
                renumber(words, &numbers);
                Ok(())
            })?;
            words.path = counted;
            kept = Some(numbers.into_iter().map(|column| column.into_iter().map(|n| n > 0).collect()).collect());
        }
    }
    report(rows, Phase::Finishing);
    let header = Header {
        days,
        num_embeddings,
        shared_row: kept.is_some(),
        min_dense: f64::from(at.min),
        source: Source {
            files: options.inputs.iter().map(|path| path.display().to_string()).collect(),
            bytes: sizes,
            options: options.describe(),
            skipped: at.skipped,
        },
        schema: Schema::criteo(options.transform),
    };
    let keys = (0..SPARSE_FEATURES).map(|c| match options.numbering {
        Numbering::Hash(_) => Ok(Keys::None),
        Numbering::Vocabulary { .. } => {
            let mut keys = spill.keys(c)?;
            if let Some(kept) = &kept {
                let mut kept = kept[c].iter();
                keys.retain(|_| *kept.next().unwrap_or(&false));
            }
            Ok(Keys::Numbers(keys))
        }
    });
    writer.finish(&header, keys)?;
    publish(&words.path, &options.output)?;
    clean(options);
    Ok(())
}

/// Rows of each day.
fn days(options: &Options, files: &[u64], rows: u64, skipped: u64) -> Result<Vec<u64>> {
    let days = match files {
        [_] => {
            let n = options.days as u64;
            (0..n).map(|day| rows / n + u64::from(day < rows % n)).collect()
        }
        files => files.to_vec(),
    };
    match days.iter().position(|&day| day == 0) {
        Some(_) if files.len() == 1 => {
            let bad = if skipped > 0 { format!(" (and {skipped} bad, skipped)") } else { String::new() };
            let message = format!("{rows} rows{bad}, expected at least {}: one for each day", options.days);
            Err(Error::file(&options.inputs[0], message))
        }
        Some(day) => Err(Error::file(&options.inputs[day], "no row, expected at least one for each day")),
        None => Ok(days),
    }
}

/// Removes what lies beside the output; if that fails nothing is lost but room.
fn clean(options: &Options) {
    for name in ["journal", "partial", "numbered"] {
        let _ = fs::remove_file(options.beside(name));
    }
    let _ = fs::remove_dir_all(options.beside("spill"));
}

/// The words of rows in a file.
pub(super) struct Words {
    pub path: PathBuf,
    pub rows: u64,
}

impl Words {
    /// Calls `each` with the first row and the words of some rows, from row `from` on.
    pub fn for_each(&self, from: u64, to: u64, each: &mut dyn FnMut(u64, &mut [u32]) -> Result<()>) -> Result<()> {
        let mut file = File::open(&self.path).map_err(|e| Error::io(&self.path, e))?;
        let start = file.seek(SeekFrom::Start(PRELUDE as u64 + from * ROW_BYTES));
        start.map_err(|e| Error::io(&self.path, e))?;
        let mut words = vec![0; BLOCK as usize * WORDS];
        for first in (from..to).step_by(BLOCK as usize) {
            let words = &mut words[..(to - first).min(BLOCK) as usize * WORDS];
            file.read_exact(bytemuck::cast_slice_mut(words)).map_err(|e| Error::io(&self.path, e))?;
            each(first, words)?;
        }
        Ok(())
    }

    /// A new file with what `change` makes of the words.
    fn rewrite(&self, path: &Path, change: &mut dyn FnMut(u64, &mut [u32]) -> Result<()>) -> Result<RowWriter> {
        let mut writer = RowWriter::create(path, WORDS)?;
        self.for_each(0, self.rows, &mut |first, words| {
            change(first, words)?;
            writer.write((words.len() / WORDS) as u64, words)
        })?;
        Ok(writer)
    }
}

/// The new number of each old one: 0 if it occurs fewer times than `min_count` in the first `train` rows, else from 1
/// on in the same order.
fn frequent(
    words: &Words,
    train: u64,
    known: &[u32],
    min_count: u32,
    report: &mut dyn FnMut(u64, Phase),
) -> Result<Vec<Vec<u32>>> {
    let mut counts: Vec<Vec<u32>> = known.iter().map(|&n| vec![0; n as usize]).collect();
    words.for_each(0, train, &mut |first, words| {
        report(first, Phase::Numbering);
        counts.par_iter_mut().enumerate().for_each(|(c, counts)| {
            words.chunks_exact(WORDS).for_each(|row| counts[row[IDS + c] as usize] += 1);
        });
        Ok(())
    })?;
    for column in &mut counts {
        let mut kept = 0;
        for count in column {
            let frequent = *count >= min_count;
            kept += u32::from(frequent);
            *count = if frequent { kept } else { 0 };
        }
    }
    Ok(counts)
}

fn renumber(words: &mut [u32], numbers: &[Vec<u32>]) {
    words.par_chunks_mut(WORDS << 10).flat_map_iter(|rows| rows.chunks_exact_mut(WORDS)).for_each(|row| {
        row[IDS..].iter_mut().zip(numbers).for_each(|(id, numbers)| *id = numbers[*id as usize]);
    });
}

/// The ids of column `c` that got numbers while rows were read, in their order.
pub(super) fn journal_keys(journal: &Path, asked: &str, c: usize) -> io::Result<Vec<u32>> {
    let groups = Groups::open(journal, asked).map_err(io::Error::other)?;
    let groups = groups.ok_or_else(|| io::Error::other("the journal is gone"))?;
    Ok(groups.flat_map(|mut group| std::mem::take(&mut group.fresh[c])).collect())
}
