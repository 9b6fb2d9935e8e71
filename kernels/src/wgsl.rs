//! The shaders of the backend for GPUs: `kernels/wgsl/`, one operation a file, as text.
//!
//! Each file opens with the formula, its bindings, its grid, and its arithmetic intensity. Binding 0 is a uniform block
//! `Params` of at most [`PARAMS_BYTES`], the others are storage buffers of 32-bit words, numbered from 1. A unit test
//! has `naga` check every file, and what is said of it here, without a GPU.

/// The most bytes that a shader's `Params` may have.
pub const PARAMS_BYTES: usize = 256;

/// Threads of a workgroup of the shaders that work number by number.
pub const LINEAR_GROUP: usize = 256;

/// The tile of a linear layer's products that a workgroup computes: rows, columns, and terms of its sums that it reads in
/// one step.
pub const LINEAR_TILE: [usize; 3] = [64, 64, 16];

/// Threads of a workgroup of the shaders for linear layers of few outputs.
pub const LINEAR_NARROW: usize = 64;

/// Numbers in the workgroup memory of the shaders of the interaction: 16 KiB, as much as WebGPU promises.
pub const INTERACTION_ROOM: usize = 4096;

/// What a shader does to a storage buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// A compute shader.
#[derive(Debug, PartialEq, Eq)]
pub struct Shader {
    /// The name of its file, without `.wgsl`.
    pub name: &'static str,
    /// The text.
    pub source: &'static str,
    /// Its function.
    pub entry: &'static str,
    /// Its storage buffers: bindings 1, 2, …
    pub buffers: &'static [Access],
}

macro_rules! shaders {
    ($($(#[$doc:meta])* $constant:ident: $file:literal $entry:ident [$($access:ident)*];)*) => {
        $($(#[$doc])* pub const $constant: Shader = Shader {
            name: $file,
            source: include_str!(concat!("../wgsl/", $file, ".wgsl")),
            entry: stringify!($entry),
            buffers: &[$(Access::$access),*],
        };)*
        /// Every shader.
        pub const ALL: &[Shader] = &[$($constant),*];
    };
}

shaders! {
    /// `Y = X` or `Y += X`.
    ADD_TO: "add_to" main [Read Write];
    /// `Y = X` with `X` of f16.
    WIDEN: "widen" main [Read Write];
    /// `dX = dZ · W`, ReLU's mask included.
    LINEAR_BACKWARD_INPUT: "linear_backward_input" main [Read Read Read Write];
    /// The same with `Y` of f16.
    LINEAR_BACKWARD_INPUT_F16: "linear_backward_input_f16" main [Read Read Read Write];
    /// `dW = dZᵀ · X` and `db = Σ dZ` of each slice of a batch, ReLU's mask included.
    LINEAR_BACKWARD_WEIGHT: "linear_backward_weight" main [Read Read Read Write Write];
    /// The same with `X` and `Y` of f16.
    LINEAR_BACKWARD_WEIGHT_F16: "linear_backward_weight_f16" main [Read Read Read Write Write];
    /// The same with `Y` of f16.
    LINEAR_BACKWARD_WEIGHT_TO_F16: "linear_backward_weight_to_f16" main [Read Read Read Write Write];
    /// `dW` and `db` of each slice of a batch for a layer of few outputs.
    LINEAR_BACKWARD_WEIGHT_NARROW: "linear_backward_weight_narrow" main [Read Read Read Write Write];
    /// The same with `X` of f16.
    LINEAR_BACKWARD_WEIGHT_NARROW_F16: "linear_backward_weight_narrow_f16" main [Read Read Read Write Write];
    /// `Y = act(X · Wᵀ + b)`.
    LINEAR_FORWARD: "linear_forward" main [Read Read Read Write];
    /// The same with `X` and `Y` of f16.
    LINEAR_FORWARD_F16: "linear_forward_f16" main [Read Read Read Write];
    /// The same with `Y` of f16.
    LINEAR_FORWARD_TO_F16: "linear_forward_to_f16" main [Read Read Read Write];
    /// `Y = act(X · Wᵀ + b)` for a layer of few outputs.
    LINEAR_FORWARD_NARROW: "linear_forward_narrow" main [Read Read Read Write];
    /// The same with `X` of f16.
    LINEAR_FORWARD_NARROW_F16: "linear_forward_narrow_f16" main [Read Read Read Write];
    /// The same with `X` of f32 and the adapter's subgroups.
    LINEAR_FORWARD_NARROW_SUBGROUPS: "linear_forward_narrow_subgroups" main [Read Read Read Write];
    /// The sums of slices, added in order.
    LINEAR_SUM_SLICES: "linear_sum_slices" main [Read Write];
    /// `Y = A ⊙ B` or `Y += A ⊙ B`.
    MUL: "mul" main [Read Read Write];
    /// The dot product of each row with another.
    DOT_ROWS: "dot_rows" main [Read Read Write];
    /// The sum of all rows.
    SUM_ROWS: "sum_rows" main [Read Write];
    /// A matrix into columns of another.
    PUT_COLUMNS: "put_columns" main [Read Write];
    /// Columns of a matrix.
    TAKE_COLUMNS: "take_columns" main [Read Write];
    /// Dot products of all pairs of a sample's vectors.
    INTERACTION_FORWARD: "interaction_forward" main [Read Read Write];
    /// The same, rounded to f16, of vectors that fit in workgroup memory.
    INTERACTION_FORWARD_F16: "interaction_forward_f16" main [Read Read Write];
    /// The gradients of those vectors.
    INTERACTION_BACKWARD: "interaction_backward" main [Read Read Read Write Write];
    /// The logistic function.
    SIGMOID: "sigmoid" main [Read Write];
    /// The way back through it.
    SIGMOID_BACKWARD: "sigmoid_backward" main [Read Read Write];
    /// Numbers within a bound.
    CLAMP: "clamp" main [Read Write];
    /// The way back through it.
    CLAMP_BACKWARD: "clamp_backward" main [Read Read Write];
    /// Binary cross entropy, or the squared error.
    LOSS: "loss" main [Read Read Write];
    /// The gradient of either.
    LOSS_BACKWARD: "loss_backward" main [Read Read Read Write];
    /// Dropout.
    DROPOUT: "dropout" main [Read Write];
    /// `X ← a · X`.
    SCALE: "scale" main [Write];
    /// `Σ x²`, in pieces.
    SUM_OF_SQUARES: "sum_of_squares" main [Read Write];
    /// Whether numbers are finite.
    CHECK_FINITE: "check_finite" main [Read Write];
    /// A step of SGD on a parameter.
    SGD: "sgd" main [Read Read Write];
    /// A step of Adagrad on a parameter.
    ADAGRAD: "adagrad" main [Read Read Write Write];
    /// A step of Adam on a parameter.
    ADAM: "adam" main [Read Read Write Write Write];
    /// Pooled lookups in the tables of a buffer.
    EMBEDDING_BAG: "embedding_bag" main [Read Read Read Write];
    /// The same with tables of f16.
    EMBEDDING_BAG_F16: "embedding_bag_f16" main [Read Read Read Write];
    /// The rows that lookups are of, and what these get.
    LOOKUP_KEYS: "lookup_keys" main [Read Read Write Write];
    /// Sums as lookups of their own.
    OWN_ITEMS: "own_items" main [Write];
    /// How often each digit occurs in each tile of keys.
    RADIX_COUNT: "radix_count" main [Read Write];
    /// Keys to their places by one digit.
    RADIX_SCATTER: "radix_scatter" main [Read Read Read Write Write];
    /// Sums over runs of sorted lookups.
    RUN_SUMS: "run_sums" main [Read Read Read Read Write];
    /// Sums over all lookups of a row.
    ROW_SUMS: "row_sums" main [Read Read Read Read Read Write];
    /// The gradient of the rows' squares.
    ADD_L2_ROWS: "add_l2_rows" main [Read Read Read Write];
    /// The same with rows of f16.
    ADD_L2_ROWS_F16: "add_l2_rows_f16" main [Read Read Read Write];
    /// SGD on rows.
    SGD_ROWS: "sgd_rows" main [Read Read Read Read Write];
    /// The same with rows of f16.
    SGD_ROWS_F16: "sgd_rows_f16" main [Read Read Read Read Write];
    /// Adagrad on rows.
    ADAGRAD_ROWS: "adagrad_rows" main [Read Read Read Read Write Write];
    /// The same with rows of f16.
    ADAGRAD_ROWS_F16: "adagrad_rows_f16" main [Read Read Read Read Write Write];
    /// Row-wise Adagrad on rows.
    ROWWISE_ADAGRAD_ROWS: "rowwise_adagrad_rows" main [Read Read Read Read Write Write];
    /// The same with rows of f16.
    ROWWISE_ADAGRAD_ROWS_F16: "rowwise_adagrad_rows_f16" main [Read Read Read Read Write Write];
    /// Adam on rows.
    ADAM_ROWS: "adam_rows" main [Read Read Read Read Write Write Write];
    /// The same with rows of f16.
    ADAM_ROWS_F16: "adam_rows_f16" main [Read Read Read Read Write Write Write];
}

#[cfg(test)]
mod tests;
