//! The distribution file: distinct ids, stack distances and cumulative probabilities, a line each.

use super::StackDistribution;
use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

impl StackDistribution {
    /// Reads a distribution file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] if it hasn't three lines; [`Error::Row`], with the line and the
    /// position in it, for what is no number, distances that don't rise from 0 or that exceed the
    /// number of ids, and probabilities that fall, don't end at 1 (within 1e-6) or are not one for
    /// each distance.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let lines: Vec<&str> = text.lines().collect();
        let &[ids, distances, cumulative] = lines.as_slice() else {
            let message = format!("{} lines, expected 3: ids, stack distances, cumulative probabilities", lines.len());
            return Err(Error::file(path, message));
        };
        let distribution = StackDistribution {
            line_accesses: numbers(path, 1, ids)?,
            distances: numbers(path, 2, distances)?,
            cumulative: numbers(path, 3, cumulative)?,
        };
        check_distances(&distribution.distances, distribution.line_accesses.len())
            .map_err(|(column, message)| row_error(path, 2, column, message))?;
        check_cumulative(&distribution.cumulative, distribution.distances.len())
            .map_err(|(column, message)| row_error(path, 3, column, message))?;
        Ok(distribution)
    }

    /// Writes a distribution file; [`read`](Self::read) gives back the same distribution.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let ids = joined(&self.line_accesses);
        let text = format!("{ids}\n{}\n{}\n", joined(&self.distances), joined(&self.cumulative));
        std::fs::write(&path, text).map_err(|e| Error::io(path, e))
    }
}

/// A number's position in its line, from 1, and why it can't stand there.
type Fault = (usize, String);

fn check_distances(distances: &[usize], ids: usize) -> Result<(), Fault> {
    if distances[0] != 0 {
        return Err((1, format!("the first stack distance is {}, expected 0", distances[0])));
    }
    if let Some(j) = (1..distances.len()).find(|&j| distances[j] <= distances[j - 1]) {
        return Err((
            j + 1,
            format!("stack distance {} after {}, expected a larger one", distances[j], distances[j - 1]),
        ));
    }
    match distances.iter().position(|&d| d > ids) {
        Some(j) => Err((j + 1, format!("stack distance {}, expected at most {ids}, the number of ids", distances[j]))),
        None => Ok(()),
    }
}

fn check_cumulative(cumulative: &[f64], distances: usize) -> Result<(), Fault> {
    if cumulative.len() != distances {
        let message =
            format!("{} probabilities, expected one for each of {distances} stack distances", cumulative.len());
        return Err((cumulative.len().min(distances + 1), message));
    }
    let mut previous = 0.0;
    for (j, &p) in cumulative.iter().enumerate() {
        // NaN compares with nothing.
        if p.partial_cmp(&previous).is_none_or(Ordering::is_lt) {
            return Err((j + 1, format!("cumulative probability {p}, expected at least {previous}")));
        }
        previous = p;
    }
    if (previous - 1.0).abs() > 1e-6 {
        return Err((distances, format!("the last cumulative probability is {previous}, expected 1")));
    }
    Ok(())
}

/// The numbers of one line; a line has at least one field.
pub(super) fn numbers<T: FromStr>(path: &Path, line: u64, text: &str) -> Result<Vec<T>> {
    let number = |(i, field): (usize, &str)| {
        let wanted = std::any::type_name::<T>();
        field
            .trim()
            .parse()
            .map_err(|_| row_error(path, line, i + 1, format!("{field:?}, expected a number ({wanted})")))
    };
    text.split(',').enumerate().map(number).collect()
}

fn row_error(path: &Path, line: u64, column: usize, message: String) -> Error {
    Error::Row { path: path.to_owned(), line, column, message }
}

pub(super) fn joined<T: Display>(numbers: impl IntoIterator<Item = T>) -> String {
    numbers.into_iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
}
