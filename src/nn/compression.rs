//! What can stand for a table of many rows, and the solver that gives tables widths.

use crate::error::{Error, Result};

/// What stands for each table of more than `threshold` rows (the reference's `tricks/`). Tables of fewer rows stay
/// as they are, `n × D`, so that any mix of sizes works.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Compression {
    /// Two tables, of `⌈n / c⌉` and `c` rows, looked up by quotient and remainder of the id by `c` (Shi et al. 2019,
    /// arXiv 1909.02107; `qr_embedding_bag.py`). Each is pooled, and `operation` makes one vector of the two sums.
    QuotientRemainder {
        /// The reference's `--qr-threshold`.
        threshold: usize,
        /// `c`, the reference's `--qr-collisions`: so many ids share a row of the first table.
        collisions: u32,
        /// The reference's `--qr-operation`.
        operation: QrOperation,
    },
    /// A table of rows shorter than `D`, the shorter the more rows there are, and a matrix that makes `D` numbers of
    /// what was pooled (Ginart et al. 2019, arXiv 1909.11810; `md_embedding_bag.py`). Widths are those of
    /// [`md_solver`]; where one is `D` there is no matrix.
    MixedDimension {
        /// The reference's `--md-threshold`.
        threshold: usize,
        /// `α`, the reference's `--md-temperature`: 0 leaves every width `D`.
        temperature: f64,
        /// Whether widths are powers of two, the reference's `--md-round-dims`.
        round_dims: bool,
    },
}

/// How two pooled vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QrOperation {
    /// Their product, element by element: of the sums, and not the sum of products.
    Mult,
    /// Their sum.
    Add,
    /// Both side by side, `D / 2` numbers each. (The reference's embedding dim is what we call `D / 2` then: its
    /// bottom MLP ends with twice as many. Its small tables stay at `D / 2`, which do not fit; ours have `D`.)
    Concat,
}

/// What stands for one table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TableShape {
    /// The table itself.
    Plain,
    /// Two tables with rows of `width`.
    QuotientRemainder { collisions: u32, operation: QrOperation, width: usize },
    /// A table with rows of `width`, and a matrix if that is not `D`.
    Projected { width: usize },
}

impl Compression {
    /// Whether the parts make sense for rows of `dim` numbers.
    pub(super) fn validate(self, dim: usize) -> Result<()> {
        let bad = |m: String| Err(Error::Config(m));
        match self {
            Compression::QuotientRemainder { collisions: 0, .. } => bad("qr collisions: 0, expected at least 1".into()),
            Compression::QuotientRemainder { operation: QrOperation::Concat, .. } if dim % 2 == 1 => {
                bad(format!("qr operation concat: the embedding dim, {dim}, is expected to be even"))
            }
            Compression::MixedDimension { temperature, .. } if !(temperature.is_finite() && temperature >= 0.0) => {
                bad(format!("md temperature: {temperature}, expected at least 0"))
            }
            Compression::MixedDimension { round_dims: true, .. } if !dim.is_power_of_two() => {
                bad(format!("md round dims: the embedding dim, {dim}, is expected to be a power of two"))
            }
            _ => Ok(()),
        }
    }

    /// What stands for each table.
    pub(crate) fn shapes(self, num_embeddings: &[usize], dim: usize) -> Vec<TableShape> {
        let over = |limit: usize, shape: &dyn Fn(usize) -> TableShape| {
            let one = |(t, &rows): (usize, &usize)| if rows > limit { shape(t) } else { TableShape::Plain };
            num_embeddings.iter().enumerate().map(one).collect()
        };
        match self {
            Compression::QuotientRemainder { threshold, collisions, operation } => {
                let width = if operation == QrOperation::Concat { dim / 2 } else { dim };
                over(threshold, &|_| TableShape::QuotientRemainder { collisions, operation, width })
            }
            Compression::MixedDimension { threshold, temperature, round_dims } => {
                let widths = md_solver(num_embeddings, temperature, dim, round_dims);
                over(threshold, &|t| TableShape::Projected { width: widths[t] })
            }
        }
    }
}

impl TableShape {
    /// How many numbers are learned for a table of `rows` and vectors of `dim`.
    pub(super) fn num_parameters(self, rows: usize, dim: usize) -> u64 {
        let (rows, dim) = (rows as u64, dim as u64);
        match self {
            TableShape::Plain => rows * dim,
            TableShape::QuotientRemainder { collisions, width, .. } => {
                (rows.div_ceil(collisions.into()) + u64::from(collisions)) * width as u64
            }
            TableShape::Projected { width } => {
                let width = width as u64;
                rows * width + if width == dim { 0 } else { width * dim }
            }
        }
    }
}

/// The width of each table of `n` rows by the power law `d = λ n^-α` with `λ = d₀ n_min^α`: `d₀` for the smallest
/// table, at least 1 for all; rounded (halves to the even number), and with `round_dims` to `2^round(log₂ d)`.
///
/// The reference's `md_solver` of `md_embedding_bag.py`, which computes in `f32` as here (Ginart et al. 2019,
/// algorithm 2). Of several smallest tables the first has `d₀` before it is rounded to a power of two.
pub fn md_solver(num_embeddings: &[usize], alpha: f64, d0: usize, round_dims: bool) -> Vec<usize> {
    let Some(first_smallest) = (0..num_embeddings.len()).min_by_key(|&t| num_embeddings[t]) else {
        return Vec::new();
    };
    let alpha = alpha as f32;
    let lambda = d0 as f32 * (num_embeddings[first_smallest] as f32).powf(alpha);
    let width = |(t, &n): (usize, &usize)| {
        let d = if t == first_smallest { d0 as f32 } else { (lambda * (n as f32).powf(-alpha)).max(1.0) };
        let d = d.round_ties_even();
        if round_dims { d.log2().round_ties_even().exp2() as usize } else { d as usize }
    };
    num_embeddings.iter().enumerate().map(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::KAGGLE_NUM_EMBEDDINGS;

    #[test]
    fn the_reference_s_widths_of_kaggle_s_tables() {
        let expected = [3, 3, 1, 1, 4, 9, 1, 3, 16, 1, 2, 1, 2, 8, 1, 1, 11, 2, 2, 15, 1, 9, 10, 1, 6, 1];
        assert_eq!(md_solver(&KAGGLE_NUM_EMBEDDINGS, 0.3, 16, false), expected);
        let rounded = [4, 4, 1, 1, 4, 8, 1, 4, 16, 1, 2, 1, 2, 8, 1, 1, 8, 2, 2, 16, 1, 8, 8, 1, 8, 1];
        assert_eq!(md_solver(&KAGGLE_NUM_EMBEDDINGS, 0.3, 16, true), rounded);
    }

    #[test]
    fn a_temperature_of_0_leaves_every_width() {
        assert_eq!(md_solver(&[5, 100, 1, 100_000], 0.0, 12, false), [12; 4]);
        assert_eq!(md_solver(&[], 0.3, 16, false), [0; 0]);
    }

    /// α = 1/2, d₀ = 8, the smallest of 4 rows: λ = 16, and d = 16 / √n.
    #[test]
    fn widths_by_hand() {
        assert_eq!(md_solver(&[64, 4, 4, 1024, 40], 0.5, 8, false), [2, 8, 8, 1, 3]);
        assert_eq!(md_solver(&[64, 4, 4, 1024, 40], 0.5, 8, true), [2, 8, 8, 1, 4]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let qr = |collisions, operation| Compression::QuotientRemainder { threshold: 10, collisions, operation };
        let md = |temperature, round_dims| Compression::MixedDimension { threshold: 10, temperature, round_dims };
        for (compression, message) in [
            (qr(0, QrOperation::Mult), "qr collisions: 0, expected at least 1"),
            (qr(4, QrOperation::Concat), "qr operation concat: the embedding dim, 5, is expected to be even"),
            (md(-0.1, false), "md temperature: -0.1, expected at least 0"),
            (md(f64::NAN, false), "md temperature: NaN, expected at least 0"),
            (md(0.3, true), "md round dims: the embedding dim, 5, is expected to be a power of two"),
        ] {
            assert_eq!(compression.validate(5).unwrap_err().to_string(), message);
        }
        qr(4, QrOperation::Add).validate(5).unwrap();
        md(0.3, false).validate(5).unwrap();
    }
}
