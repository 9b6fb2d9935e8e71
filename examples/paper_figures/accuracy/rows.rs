//! The rows to train on: of a file, or a planted teacher's.

use crate::support::cache;
use dlrm::Result;
use dlrm::backend::{Backend, Cpu};
use dlrm::data::preprocess::{Numbering, Options};
use dlrm::data::source::Samples;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use std::path::Path;

/// A binary dataset, or one that is made of text and kept beside it; without a file so many generated rows.
pub fn open(data: Option<&Path>, generated: u64, cpu: &Cpu) -> Result<Box<dyn Samples>> {
    let mut rows: Result<Option<Box<dyn Samples>>> = Ok(None);
    cpu.scope(&mut || {
        rows = match data {
            Some(path) => of_file(path).map(Some),
            None => of_teacher(generated).map(Some),
        }
    });
    Ok(rows?.expect("opened once"))
}

fn of_file(path: &Path) -> Result<Box<dyn Samples>> {
    if cache::is_binary(path)? {
        return Ok(Box::new(cache::open(path, &[])?));
    }
    let inputs = vec![path.to_owned()];
    let output = cache::beside(&inputs);
    let numbering = Numbering::Vocabulary { max_ind_range: 0, min_count: 1 };
    Ok(Box::new(cache::cached(&Options { numbering, ..Options::new(inputs, output) })?))
}

fn of_teacher(rows: u64) -> Result<Box<dyn Samples>> {
    eprintln!("no --data: generating {rows} rows in Criteo's format");
    Ok(Box::new(Teacher::new(1, TeacherConfig::small()).dataset(rows, 1)?.0))
}
