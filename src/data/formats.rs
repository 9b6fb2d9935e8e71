//! Datasets in the formats of others, to and from [binary datasets](crate::data::binary).
//!
//! | format | module | made by |
//! |---|---|---|
//! | `.npz` with `X_int`, `X_cat`, `y` and `counts` | [`npz`] | the reference, `data_utils.py` |
//! | 40 `i32` a row | [`mlperf`] | the reference, `data_loader_terabyte.py`, for MLPerf |
//! | `_dense.npy`, `_sparse.npy` and `_labels.npy` | [`torchrec`] | TorchRec, `torchrec/datasets/criteo.py` |
//! | Parquet, with the feature `parquet` | `parquet` | anyone |
//!
//! `read` makes one binary dataset of one or more files, each of which becomes a day. `write` makes one file
//! of all rows of a dataset, whatever their days; vocabularies are in none of these formats, and are lost.
//!
//! Both hold some thousand rows in memory at a time, whatever the size of the files. What they make has another
//! name until it is whole and on the disk, `.NAME.PID.part`. An array of NumPy whose columns lie together is
//! first copied to `.NAME.PID.ARRAY`, uncompressed. Both are removed if something is wrong.
//!
//! A file is not trusted: each length in it is compared with the length of the file, and each number with
//! what its column may hold. The first that does not fit is named, counting from 0 as NumPy does:
//!
//! ```text
//! day_0.npz: X_cat[2, 5] is 7, expected an id below 7, the size of its table
//! ```

pub mod mlperf;
pub mod npz;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod torchrec;

mod array;
mod criteo_rows;
mod literal;
mod npy;
mod place;
mod sink;
mod triple;
