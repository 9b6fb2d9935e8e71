//! Models to files and back, as safetensors with the reference's names.
//!
//! A file is 8 bytes with the length of a header (`u64`, little-endian), the header in JSON, and the numbers of all
//! tensors, one after the other ([safetensors](https://github.com/huggingface/safetensors)):
//!
//! ```json
//! {"__metadata__": {"config": "{\"dense_features\":13,…}", "header": "crc32:1c291ca3",
//!                   "numbers": "{\"bot_l.0.bias\":\"crc32:…\",…}", "vocabulary": "crc32:…"},
//!  "bot_l.0.bias": {"dtype": "F32", "shape": [512], "data_offsets": [0, 2048]}, …}
//! ```
//!
//! | metadata | what |
//! |---|---|
//! | `config` | the model's shape, such as a [`DlrmConfig`](crate::nn::DlrmConfig), in JSON |
//! | `vocabulary` | checksum of the columns and the vocabulary that it was trained on; see [`Samples::vocabulary_checksum`](crate::data::source::Samples::vocabulary_checksum); may be absent |
//! | `numbers` | checksum of each tensor's bytes by its name, in JSON, or one of all in the order of the file; may be absent |
//! | `header` | checksum of the header's bytes, from its first brace to the last space behind it, with zeros in the place of these eight digits; may be absent |
//!
//! Tensors are called as the parameters are, and those of a DLRM as in the public reference's `state_dict`:
//! `emb_l.3.weight` (`num_embeddings × D`), `bot_l.0.weight` (out × in), `top_l.2.bias`, `v_W_l.0`. All numbers are `F32`.
//! Whatever model puts its parameters into a [`Parameters`](crate::Parameters) can be written and read without further code.
//!
//! # Of a run
//!
//! A checkpoint of a run ([`Checkpoints`](crate::train::Checkpoints)) is such a file with more in it, so that whatever reads
//! a model reads it as well, this crate's [`read`](Checkpoint::read) included:
//!
//! | tensor | what |
//! |---|---|
//! | `NAME` | the parameter, as above |
//! | `optimizer.first.NAME` | Adagrad's sum of squares or Adam's first moment, in the shape of the parameter; of row-wise Adagrad one number a row of a table. Plain SGD has none |
//! | `optimizer.second.NAME` | Adam's second moment |
//! | `best.NAME` | the parameter at the best test, if a run keeps that for its [`patience`](crate::train::Stopping::patience) |
//!
//! | metadata | what |
//! |---|---|
//! | `step` | steps until then |
//! | `run` | all else, in JSON: the training rows' position, the sums of the pass, all records, the best of them, time; and the names and values of whatever the result depends on |
//! | `header`, `numbers` | have to be there, so that no change of any byte goes unseen |
//!
//! No state of a random generator is kept, since there is none: the order of rows is a function of the seed and the
//! position ([`Order`](crate::data::source::Order)), what dropout drops one of the seed, the step and the place
//! ([`Dropout`](crate::backend::Dropout)). Saves come between two steps, never while gradients of one are being gathered.
//! A number of JSON comes back as the same `f64`.
//!
//! What is promised: a run that was killed at any moment and goes on from the newest good file in its [`CheckpointDir`] ends
//! with the bits of one that was never stopped, on any number of threads (`tests/resume.rs`, `tests/killed_training.rs`);
//! and whichever call of the file system fails, or whenever the machine stops, the directory has the checkpoint before or
//! the new one, whole. Another instruction set goes on as well, but sums in another order.
//!
//! # Of several ranks
//!
//! Ranks that [share the tables](crate::nn::ShardedEmbeddings) of a model write one file, the same that one process would
//! write, and all at once ([`save_sharded`], [`CheckpointDir::open_on_ranks`]): rank 0 begins it and writes what all have,
//! each rank writes its rows of the tables where they belong (of a table that is cut between columns its run of each row),
//! and brings them to the disk; when all have said so, rank 0 writes the header and gives the file its name. The checksum
//! of a tensor, which nobody has as a whole, is added up from those of the parts. What fails on one rank fails on all, in
//! the same words, and nothing half-written stays.
//!
//! Any number of ranks with any placement reads such a file, or one process does: the names and shapes are those of whole
//! tables. Each rank reads its own rows alone, and all find out together whether a table is damaged. All ranks have to see
//! one file system; one that does not is named. A run of ranks goes on in the same way: with the same bits on as many ranks
//! with the same placement, and on more, fewer or none with the same numbers but for the order of sums
//! (`tests/ranks/resume.rs`).
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

mod dir;
mod files;
mod fill;
mod header;
mod ranks;
mod reader;
mod run;
mod shared;
mod snapshot;
mod sum;
mod tensor;
mod writer;

pub use dir::CheckpointDir;
pub(crate) use ranks::{agree, poll};
pub use reader::Checkpoint;
pub(crate) use shared::SharedFile;
pub(crate) use snapshot::{About, Snapshot};
pub(crate) use tensor::{NamedTensor, parameters, tensors, values};
pub use writer::{check_path, save, save_sharded};

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
const RUN: &str = "run";
const STEP: &str = "step";

/// What the names of the optimizer's and of the best test's tensors begin with.
pub(crate) const OPTIMIZER: &str = "optimizer.";
pub(crate) const BEST: &str = "best.";

/// Whether a tensor is the optimizer's.
fn is_state(name: &str) -> bool {
    name.starts_with(OPTIMIZER)
}

/// What a checksum begins with.
const CRC_PREFIX: &str = "crc32:";

/// A checksum as it stands in the metadata.
fn crc_text(crc: u32) -> String {
    format!("{CRC_PREFIX}{crc:08x}")
}
