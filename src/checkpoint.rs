//! Models to files and back, as safetensors with the reference's names.
//!
//! A file is 8 bytes with the length of a header (`u64`, little-endian), the header in JSON, and the numbers of all
//! tensors, one after the other ([safetensors](https://github.com/huggingface/safetensors)):
//!
//! ```json
//! {"__metadata__": {"config": "{\"dense_features\":13,…}", "numbers": "crc32:1c291ca3", "vocabulary": "crc32:…"},
//!  "bot_l.0.bias": {"dtype": "F32", "shape": [512], "data_offsets": [0, 2048]}, …}
//! ```
//!
//! | metadata | what |
//! |---|---|
//! | `config` | the model's shape, such as a [`DlrmConfig`](crate::nn::DlrmConfig), in JSON |
//! | `vocabulary` | checksum of the columns and the vocabulary that it was trained on; see [`Samples::vocabulary_checksum`](crate::data::source::Samples::vocabulary_checksum); may be absent |
//! | `numbers` | checksum of the tensors' bytes; may be absent |
//!
//! Tensors are called as the parameters are, and those of a DLRM as in the public reference's `state_dict`:
//! `emb_l.3.weight` (`num_embeddings × D`), `bot_l.0.weight` (out × in), `top_l.2.bias`, `v_W_l.0`. All numbers are `F32`.
//! Whatever model puts its parameters into a [`Parameters`](crate::Parameters) can be written and read without further code.
//!
//! The format is read and written here and not by the crate `safetensors` since (1) that wants the whole file as one slice,
//! so a map, and a damaged disk or a file cut short meanwhile would end the process; here a table is read into its place
//! piece by piece and nothing is held twice; (2) its errors do not name the tensor; (3) it writes metadata in any order, so
//! that the same model would not be the same bytes. A test has each read what the other writes.
//!
//! ```
//! use dlrm::backend::Cpu;
//! use dlrm::checkpoint::{self, Checkpoint};
//! use dlrm::nn::{Dlrm, DlrmConfig};
//! use dlrm::{Parameters, Stream};
//! use std::sync::Arc;
//!
//! let config = DlrmConfig::criteo_kaggle(vec![100, 50]);
//! let mut params = Parameters::new(Arc::new(Cpu::new(1)));
//! Dlrm::new(&config, &mut params, &mut Stream::native(1))?;
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("model.safetensors");
//! checkpoint::save(&path, &params, &config, None)?;
//!
//! let mut file = Checkpoint::open(&path)?;
//! let config: DlrmConfig = file.config()?;
//! let (model, same) = file.read(params.backend().clone(), |params, stream| Dlrm::new(&config, params, stream))?;
//! assert_eq!(same.tables()[1].values(), params.tables()[1].values());
//! # Ok::<(), dlrm::Error>(())
//! ```

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian numbers, which are read and written as they are");

mod header;
mod reader;
mod writer;

pub use reader::Checkpoint;
pub use writer::{check_path, save};

use crate::parameters::{DenseParameter, Table};

/// Numbers that are read or written at a time: what is summed is then still in the cache.
const PIECE: usize = 1 << 18;

/// The shape of a dense parameter as a tensor.
fn dense_shape(parameter: &DenseParameter) -> Vec<u64> {
    parameter.value().shape().iter().map(|&n| n as u64).collect()
}

/// The shape of a table as a tensor. The weights of rows, one number each, are a vector, as in the reference.
fn table_shape(table: &Table) -> Vec<u64> {
    let shape = [table.num_embeddings() as u64, table.embedding_dim() as u64];
    if table.name().starts_with("v_W_l.") { vec![shape[0]] } else { shape.to_vec() }
}

/// The names of the metadata.
const CONFIG: &str = "config";
const VOCABULARY: &str = "vocabulary";
const NUMBERS: &str = "numbers";

/// A checksum as it stands in the metadata.
fn crc_text(crc: u32) -> String {
    format!("crc32:{crc:08x}")
}
