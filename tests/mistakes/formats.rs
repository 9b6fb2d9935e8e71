//! Datasets of other formats.

pub const COMMANDS: &[&str] = &[
    "convert --input none.npz --output set.rows",
    "convert --input cut.npz --output set.rows",
    "convert --input text.npz --output set.rows",
    "convert --input odd.bin --output set.rows",
    "convert --input empty.bin --output set.rows",
    "convert --input label.bin --output set.rows",
    "convert --input id.bin --output set.rows",
    "convert --input none_dense.npy --output set.rows",
    "convert --input torn_dense.npy --output set.rows",
    "convert --input rows.parquet --output set.rows",
    "convert --input rows.tsv --output new.npz",
    "convert --input torn.rows --output new.npz",
    "convert --input set.npz set.bin --output set.rows",
    "convert --input rows.tsv.rows --output other.rows",
    "convert --input rows.tsv.rows rows.tsv.rows --output new.npz",
    "convert --input rows.tsv.rows --output new.parquet",
];
