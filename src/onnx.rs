//! Models to ONNX, for runtimes of others.
//!
//! The graph is the forward pass alone, of any batch (a dimension called `batch`), in operators of opset 16. Names are those
//! of the public reference's `--save-onnx` (`dlrm_s_pytorch.py`):
//!
//! | | shape | |
//! |---|---|---|
//! | `dense_x` | `batch × dense_features` | input, `f32`; absent if there are no dense features |
//! | `indices` | `tables × batch` | input, `i64`, if each bag has [one id](Bags::One) |
//! | `indices_t`, `offsets_t` | `lookups_t`, `batch` | inputs, `i64`, for each table `t` if bags are [lists](Bags::Lists): the ids of all bags, and where each bag begins, as `torch.nn.EmbeddingBag` takes them |
//! | `pred` | `batch × 1` | output: the probabilities |
//!
//! Weights are called as in a [checkpoint](crate::checkpoint). A list is pooled by adding rows to where their bag is: offsets
//! are marks, their running sum numbers the bag of each lookup, and `ScatterND` adds; the reference has a loop over bags there.
//!
//! A file of protobuf has less than 2 GiB. Beyond that, or on request, the weights lie in a file of their own beside it,
//! `FILE.data`, as ONNX's external data. The encoding is written here: the messages need six kinds of fields.

mod graph;

use crate::error::{Error, Result};
use crate::nn::Dlrm;
use crate::parameters::Parameters;
use crate::partial::Partial;
use graph::Graph;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the ids of a sample look like in each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bags {
    /// One id a sample, as in Criteo's rows: a lookup is a `Gather`.
    One,
    /// A list of ids a sample, which may be empty.
    Lists,
}

/// Numbers from which on a file would be too large for protobuf, less what else is in it.
const INLINE_BYTES: u64 = (1 << 31) - (16 << 20);

/// Writes `model` to `path`, and its weights to `path.data` if they are too large for one file, or if `external`. Files get
/// their names when they are whole.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] if `path` can be no file's name.
pub fn export(path: &Path, model: &Dlrm, params: &Parameters, bags: Bags, external: bool) -> Result<()> {
    let graph = Graph::of(model, params, bags);
    let external = external || graph.weight_bytes() > INLINE_BYTES;
    let data = external.then(|| beside(path));
    let name = data.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    if let Some(data) = &data {
        Partial::written(data, |file| {
            let mut weights = graph.weights();
            weights.try_for_each(|values| file.write_all(bytemuck::cast_slice(values))).map_err(|e| Error::io(data, e))
        })?
        .publish()?;
    }
    let message = graph.encode(name.as_deref());
    Partial::written(path, |file| message.write(file).map_err(|e| Error::io(path, e)))?.publish()
}

/// `model.onnx.data` for `model.onnx`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".data");
    name.into()
}
