//! Whether a schema makes sense.

use super::raw::{RawCategorical, RawDense, RawLabel, RawSchema, RawSplit};
use super::schema::{Categorical, Dense, LabelRule, Split, TableSchema};
use std::path::Path;
use toml::Spanned;

/// What is wrong with a schema.
pub(super) struct Mistake {
    /// Byte of the text.
    pub at: usize,
    /// What stands there, and what was expected.
    pub message: String,
}

type Checked<T> = Result<T, Mistake>;

fn mistake<T, V>(at: &Spanned<V>, message: impl Into<String>) -> Checked<T> {
    Err(Mistake { at: at.span().start, message: message.into() })
}

/// The schema that `text` is.
pub(super) fn parse(text: &str, path: &Path) -> Checked<TableSchema> {
    let raw: RawSchema = toml::from_str(text).map_err(|e| Mistake {
        at: e.span().map_or(0, |span| span.start),
        message: e.message().lines().collect::<Vec<_>>().join(", "),
    })?;
    if raw.dense.is_empty() && raw.categorical.is_empty() {
        return mistake(&raw.label, "no column beside the label, expected [[dense]] or [[categorical]]");
    }
    let columns = columns(&raw)?;
    let mut names = Names { known: columns.as_deref(), names: Vec::new() };
    names.place(&raw.label.get_ref().column)?;
    let dense = raw.dense.iter().map(|column| dense(column, &mut names)).collect::<Checked<Vec<_>>>()?;
    let categorical = raw.categorical.iter().map(|column| categorical(column, &mut names));
    let categorical = categorical.collect::<Checked<Vec<_>>>()?;
    only_once(raw.dense.iter().map(|column| &column.column), "[[dense]]")?;
    only_once(raw.categorical.iter().map(|column| &column.column), "[[categorical]]")?;
    Ok(TableSchema {
        path: path.to_owned(),
        text: text.to_owned(),
        separator: separator(raw.separator.as_ref())?,
        quoted: raw.quoted,
        label: label(raw.label.get_ref())?,
        dense,
        categorical,
        split: raw.split.as_ref().map(split).transpose()?,
        missing: raw.missing.unwrap_or_else(|| vec![String::new()]),
        names: names.names,
        columns,
    })
}

fn separator(raw: Option<&Spanned<String>>) -> Checked<u8> {
    match raw.map(|raw| (raw, raw.get_ref().as_bytes())) {
        None => Ok(b','),
        Some((_, &[byte])) if byte.is_ascii() && !b"\"\r\n".contains(&byte) => Ok(byte),
        Some((raw, _)) => mistake(raw, format!("separator is {:?}, expected one byte such as \",\"", raw.get_ref())),
    }
}

fn columns(raw: &RawSchema) -> Checked<Option<Vec<String>>> {
    match &raw.columns {
        Some(columns) if raw.header => {
            mistake(columns, "columns beside a header, expected header = false: the first line would name them")
        }
        None if !raw.header => mistake(&raw.label, "neither header nor columns, expected columns = [\"...\", ...]"),
        columns => Ok(columns.as_ref().map(|columns| columns.get_ref().clone())),
    }
}

/// The columns that are read.
struct Names<'a> {
    /// All there are, if that is known without a file.
    known: Option<&'a [String]>,
    names: Vec<String>,
}

impl Names<'_> {
    /// The place of a column among the names, which it joins if need be.
    fn place(&mut self, column: &Spanned<String>) -> Checked<usize> {
        let name = column.get_ref();
        let times = self.known.map_or(1, |known| known.iter().filter(|known| *known == name).count());
        if times != 1 {
            return mistake(column, format!("column {name:?} is {times} times in columns, expected once"));
        }
        let place = self.names.iter().position(|known| known == name);
        Ok(place.unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        }))
    }

    /// The same for a column from which the label is predicted.
    fn feature(&mut self, column: &Spanned<String>) -> Checked<usize> {
        match self.place(column)? {
            super::schema::LABEL => {
                mistake(column, format!("column {:?} is the label, expected another", column.get_ref()))
            }
            place => Ok(place),
        }
    }
}

fn only_once<'a>(columns: impl Iterator<Item = &'a Spanned<String>>, section: &str) -> Checked<()> {
    let mut seen = std::collections::HashSet::new();
    for column in columns {
        if !seen.insert(column.get_ref()) {
            return mistake(column, format!("column {:?} is in two {section}, expected one", column.get_ref()));
        }
    }
    Ok(())
}

fn label(raw: &RawLabel) -> Checked<LabelRule> {
    match (&raw.positive, &raw.negative, &raw.threshold) {
        (Some(_), _, Some(threshold)) | (None, Some(_), Some(threshold)) => {
            mistake(threshold, "threshold beside words, expected one of them")
        }
        (None, Some(negative), None) => {
            mistake(negative, "negative without positive, expected both, or positive alone")
        }
        (Some(positive), negative, None) => {
            let negative = negative.as_ref().map(Spanned::get_ref);
            let both = positive.get_ref().iter().find(|&word| negative.is_some_and(|negative| negative.contains(word)));
            match both {
                Some(word) => {
                    mistake(positive, format!("{word:?} is both positive and negative, expected one of them"))
                }
                None if positive.get_ref().is_empty() => mistake(positive, "positive is empty, expected words"),
                None => Ok(LabelRule::Words { positive: positive.get_ref().clone(), negative: negative.cloned() }),
            }
        }
        (None, None, Some(threshold)) => match *threshold.get_ref() {
            number if number.is_finite() => Ok(LabelRule::Threshold(number)),
            number => mistake(threshold, format!("threshold is {number}, expected a finite number")),
        },
        (None, None, None) => Ok(LabelRule::Number),
    }
}

fn dense(raw: &RawDense, names: &mut Names) -> Checked<Dense> {
    let missing = match &raw.missing {
        Some(missing) if !(*missing.get_ref() as f32).is_finite() => {
            return mistake(missing, format!("missing is {}, expected a finite number", missing.get_ref()));
        }
        missing => missing.as_ref().map_or(0.0, |missing| *missing.get_ref() as f32),
    };
    Ok(Dense { name: names.feature(&raw.column)?, transform: raw.transform, missing })
}

fn categorical(raw: &RawCategorical, names: &mut Names) -> Checked<Categorical> {
    if let Some(zero) = raw.min_count.as_ref().filter(|count| *count.get_ref() == 0) {
        return mistake(zero, "min_count is 0, expected at least 1");
    }
    if let Some(empty) = raw.multi_hot.as_ref().filter(|between| between.get_ref().is_empty()) {
        return mistake(empty, "multi_hot is empty, expected what stands between two words, such as \"|\"");
    }
    Ok(Categorical {
        name: names.feature(&raw.column)?,
        min_count: raw.min_count.as_ref().map_or(1, |count| *count.get_ref()),
        multi_hot: raw.multi_hot.as_ref().map(|between| between.get_ref().clone()),
        missing: raw.missing.clone(),
    })
}

fn split(raw: &Spanned<RawSplit>) -> Checked<Split> {
    let RawSplit { test, seed, test_files } = raw.get_ref();
    if let Some(share) = test.as_ref().filter(|share| !(*share.get_ref() > 0.0 && *share.get_ref() < 1.0)) {
        return mistake(share, format!("test is {}, expected a share between 0 and 1", share.get_ref()));
    }
    match (test, seed, test_files) {
        (Some(test), None, None) => Ok(Split::Last(*test.get_ref())),
        (Some(test), Some(seed), None) => Ok(Split::Drawn(*test.get_ref(), *seed.get_ref())),
        (None, None, Some(files)) if *files.get_ref() > 0 => Ok(Split::Files(*files.get_ref())),
        (None, None, Some(files)) => mistake(files, "test_files is 0, expected at least 1"),
        (None, Some(seed), _) => mistake(seed, "seed without test, expected a share that it draws"),
        (Some(_), _, Some(files)) => mistake(files, "test_files beside test, expected one of them"),
        (None, None, None) => mistake(raw, "an empty [split], expected test or test_files"),
    }
}
