//! Any table of text, CSV or TSV, to a [binary dataset](crate::data::binary), and new rows to the same ids.
//!
//! A schema in TOML says what the columns are:
//!
//! ```toml
//! separator = ","                 # one byte; "\t" for TSV [default: ","]
//! quoted = true                   # whether a field may stand in double quotes [default: true]
//! header = true                   # whether the first line names the columns [default: true]
//! # columns = ["age", "income"]   # their names, if it does not
//! missing = ["", "?"]             # what stands for a missing value [default: [""]]
//!
//! [label]
//! column = "income"
//! positive = [">50K", ">50K."]    # these words are 1, and all others 0 ...
//! negative = ["<=50K", "<=50K."]  # ... or only these, and anything else is a mistake
//! # threshold = 4.0               # instead of words: numbers from this on are 1, lower ones 0
//! #                               # neither words nor threshold: the label is a number from 0 to 1
//!
//! [[dense]]
//! column = "age"
//! transform = "log"               # identity, log or log-shifted [default: identity]
//! missing = 0.0                   # the value of a missing number [default: 0]
//!
//! [[categorical]]
//! column = "workclass"
//! min_count = 2                   # rarer words share row 0 [default: 1, a row for each word]
//! missing = ""                    # the word that a missing value is [default: ""]
//!
//! [[categorical]]
//! column = "genres"
//! multi_hot = "|"                 # the field is a list of words with this between them
//!
//! [split]                         # which rows test; none if this is left out
//! test = 0.1                      # this share: the last rows in the order of the files
//! # seed = 1                      # or rows drawn by this seed, each with that probability
//! # test_files = 1                # or, instead of `test`, the rows of so many of the last files
//! ```
//!
//! White space around a field, or around a word of a list, does not count; lines without anything are passed over.
//! A missing list is empty, unless its column says what word `missing` is. Files are UTF-8 with or without a
//! byte-order mark, plain or .gz; a field has at most 64 KiB. Each file's first line names its own columns, so that
//! their order may differ from file to file; columns that the schema does not name are not looked at.
//!
//! [`make_dataset`] reads the files once, in order. Words are numbered by first occurrence. If some column has a
//! `min_count` above 1, every column has a row 0 for words seen fewer times than its `min_count` in the rows that
//! train. Training rows come first in the dataset, then the test rows: two days of its
//! [header](crate::data::binary::Header). The header's `options` are the text of the schema. Memory is the
//! vocabulary, a constant, and if there are lists 8 bytes a row for where each ends; the rows wait on the disk beside
//! the output until all are read.
//!
//! [`Table`] maps new rows by the vocabulary of such a dataset, to score them:
//!
//! ```
//! use dlrm::Batch;
//! use dlrm::data::table::{Table, TableSchema, make_dataset};
//!
//! let schema = "label.column = 'bought'\n[[dense]]\ncolumn = 'price'\n[[categorical]]\ncolumn = 'colour'\n";
//! let schema = TableSchema::parse(schema, "schema.toml")?;
//! let folder = tempfile::tempdir().unwrap();
//! let (old, new) = (folder.path().join("old.csv"), folder.path().join("new.csv"));
//! std::fs::write(&old, "price,colour,bought\n9.5,red,1\n12,blue,0\n").unwrap();
//! std::fs::write(&new, "colour,price\nblue,3\n").unwrap();
//!
//! let dataset = make_dataset(&schema, &[old], &folder.path().join("old.rows"))?;
//! let table = Table::open(schema, &dataset)?;
//! let mut batch = Batch::default();
//! assert_eq!(table.rows(new)?.fill(100, &mut batch)?, 1);
//! assert_eq!((batch.dense[0], batch.sparse[0].values()), (3.0, &[1][..]));
//! # Ok::<(), dlrm::Error>(())
//! ```

mod check;
mod dataset;
mod fields;
mod raw;
mod records;
mod row;
mod schema;
mod score;
mod spool;
mod vocabulary;

pub use dataset::make_dataset;
pub use schema::TableSchema;
pub use score::{Table, TableRows};
