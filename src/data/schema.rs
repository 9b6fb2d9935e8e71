//! What the columns of a dataset are.

use serde::{Deserialize, Serialize};

/// The columns of a dataset, in the order in which a model takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// The name of the column that is to be predicted.
    pub label: String,
    /// Dense columns.
    pub dense: Vec<DenseColumn>,
    /// Categorical columns: an embedding table each.
    pub categorical: Vec<CategoricalColumn>,
}

/// A column of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseColumn {
    /// Its name.
    pub name: String,
    /// How a number is stored.
    pub number: Number,
    /// What a model sees of it.
    pub transform: Transform,
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Number {
    /// As an `i32`.
    Integer,
    /// As an `f32`.
    Real,
}

/// What a model sees of a number `x`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// `x` itself.
    Identity,
    /// `ln(1 + max(x, 0))`, as the reference (`dlrm_data_pytorch.py`, `collate_wrapper_criteo_offset`).
    #[default]
    Log,
    /// `ln(x - min + 2)` with the least value of all dense columns, as TorchRec
    /// (`BinaryCriteoUtils.tsv_to_npys`).
    LogShifted,
}

impl Transform {
    /// The transform of `x`, of which the paper (section 4.3) has the logarithm; `min` is the least value of all dense
    /// columns. Of rows that came later `x` may be less; for [`LogShifted`](Self::LogShifted) it is then as if it were `min`.
    #[inline]
    pub fn apply(self, x: f32, min: f32) -> f32 {
        match self {
            Transform::Identity => x,
            Transform::Log => (x.max(0.0) + 1.0).ln(),
            Transform::LogShifted => (x.max(min) - min + 2.0).ln(),
        }
    }
}

/// A column of ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoricalColumn {
    /// Its name.
    pub name: String,
    /// Whether a row has a list of ids, which may be empty, and not just one.
    #[serde(default)]
    pub multi_hot: bool,
}

impl Schema {
    /// Criteo's columns: a label, `I1..I13`, `C1..C26`.
    pub fn criteo(transform: Transform) -> Schema {
        let dense = |i| DenseColumn { name: format!("I{i}"), number: Number::Integer, transform };
        let categorical = |i| CategoricalColumn { name: format!("C{i}"), multi_hot: false };
        Schema {
            label: "label".into(),
            dense: (1..=super::criteo::DENSE_FEATURES).map(dense).collect(),
            categorical: (1..=super::criteo::SPARSE_FEATURES).map(categorical).collect(),
        }
    }

    /// Whether some column has lists of ids, so that rows differ in length.
    pub fn multi_hot(&self) -> bool {
        self.categorical.iter().any(|column| column.multi_hot)
    }
}
