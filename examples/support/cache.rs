//! Rows as a binary dataset: one that is given, or one that is kept beside the text it was made of.

use super::{Meter, say};
use dlrm::data::binary::RowFile;
use dlrm::data::criteo::{BadRows, DENSE_FEATURES};
use dlrm::data::preprocess::{Numbering, Options, Phase, preprocess};
use dlrm::data::schema::Schema;
use dlrm::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Whether a file begins as a binary dataset does. A pipe does not: what is read of it would be gone.
pub fn is_binary(path: &Path) -> Result<bool> {
    let meta = fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if !meta.is_file() && !meta.is_dir() {
        return Ok(false);
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut head));
    read.map_err(|e| Error::io(path, e))?;
    Ok(head == b"DLRMROWS")
}

/// Whether a file is text, as far as its beginning tells.
pub fn check_text(path: &Path) -> Result<()> {
    match is_binary(path)? {
        true => Err(Error::file(path, "a binary dataset, expected rows as text")),
        false => Ok(()),
    }
}

/// Opens a binary dataset. What `asked` for must be what it was made with: pairs of a flag and its value.
pub fn open(path: &Path, asked: &[(&str, Option<String>)]) -> Result<RowFile> {
    let file = RowFile::open(path)?;
    let dense = file.header().schema.dense.len();
    if dense != DENSE_FEATURES {
        return Err(Error::file(path, format!("{dense} dense columns, expected Criteo's {DENSE_FEATURES}")));
    }
    for (flag, value) in asked {
        let Some(value) = value else { continue };
        let made = made_with(&file, flag);
        if made != Some(value) {
            let made = made.map_or_else(|| format!("without {flag}"), |made| format!("with {flag} {made}"));
            return Err(Error::file(
                path,
                format!("made {made}, not with {flag} {value}: make it again from the text"),
            ));
        }
    }
    Ok(file)
}

/// Where the binary dataset of some text is kept: `train.txt.rows`; of several files `day_0+2.rows`.
pub fn beside(inputs: &[PathBuf]) -> PathBuf {
    let mut name = inputs[0].file_name().unwrap_or_default().to_owned();
    if inputs.len() > 1 {
        name.push(format!("+{}", inputs.len() - 1));
    }
    name.push(".rows");
    inputs[0].with_file_name(name)
}

/// The binary dataset that `options` ask for: as it was made before if it still fits, else made now.
pub fn cached(options: &Options) -> Result<RowFile> {
    let file = match fitting(options) {
        Some(file) => {
            say(format_args!("reading {}, made before", options.output.display()));
            file
        }
        None => {
            let names: Vec<String> = options.inputs.iter().map(|path| path.display().to_string()).collect();
            say(format_args!("reading {}, kept as {}", names.join(", "), options.output.display()));
            make(options)?
        }
    };
    if file.header().source.skipped > 0 {
        say(format_args!("warning: {} bad rows were skipped", file.header().source.skipped));
    }
    Ok(file)
}

/// Makes the binary dataset that `options` ask for.
pub fn make(options: &Options) -> Result<RowFile> {
    let mut meter = Meter::new("reading", None);
    let made = preprocess(options, &mut |progress| {
        if progress.phase == Phase::Reading {
            let done = || format!("{:.0} % of the text, ", 100.0 * progress.bytes as f64 / progress.total as f64);
            meter.update(progress.rows, done);
        }
    });
    meter.finish();
    made?;
    RowFile::open(&options.output)
}

/// The dataset of an earlier run, if it is newer than the text, of text of this name and size, and made in this way.
fn fitting(options: &Options) -> Option<RowFile> {
    let made = fs::metadata(&options.output).ok()?.modified().ok()?;
    let mut sizes = Vec::new();
    for input in &options.inputs {
        let meta = fs::metadata(input).ok()?;
        sizes.push(meta.len());
        if meta.modified().ok()? >= made {
            return None;
        }
    }
    let file = RowFile::open(&options.output).ok()?;
    let header = file.header();
    let names = header.source.files.iter().map(|file| Path::new(file).file_name());
    let fits = names.eq(options.inputs.iter().map(|input| input.file_name()))
        && header.source.bytes == sizes
        && header.schema == Schema::criteo(options.transform)
        && flags(options).iter().all(|(flag, value)| made_with(&file, flag) == value.as_deref());
    fits.then_some(file)
}

/// What a dataset depends on, as flags; those that are not given have no value.
fn flags(options: &Options) -> [(&'static str, Option<String>); 6] {
    let Numbering::Vocabulary { max_ind_range, min_count } = options.numbering else {
        unreachable!("the examples number ids by vocabulary")
    };
    let rate = (options.sub_sample_rate > 0.0).then_some(options.sub_sample_rate);
    [
        ("--days", Some(options.days.to_string())),
        ("--max-ind-range", Some(max_ind_range.to_string())),
        ("--min-count", Some(min_count.to_string())),
        ("--sub-sample-rate", rate.map(|rate| rate.to_string())),
        ("--seed", rate.map(|_| options.seed.to_string())),
        ("--skip-bad-rows", (options.bad_rows == BadRows::Skip).then(String::new)),
    ]
}

/// The value of a flag that a dataset was made with: empty for one that takes none.
fn made_with<'a>(file: &'a RowFile, flag: &str) -> Option<&'a str> {
    let mut words = file.header().source.options.split(' ').skip_while(|&word| word != flag);
    words.next()?;
    Some(words.next().filter(|word| !word.starts_with("--")).unwrap_or(""))
}
