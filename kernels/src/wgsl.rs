//! The shaders of the backend for GPUs: `kernels/wgsl/`, one operation a file, as text.
//!
//! Each file opens with the formula, its bindings, its grid, and its arithmetic intensity. Binding 0 is a uniform block
//! `Params` of at most [`PARAMS_BYTES`], the others are storage buffers of 32-bit words, numbered from 1. A unit test
//! has `naga` check every file, and what is said of it here, without a GPU.

/// The most bytes that a shader's `Params` may have.
pub const PARAMS_BYTES: usize = 256;

/// Threads of a workgroup of the shaders that work number by number.
pub const LINEAR_GROUP: usize = 256;

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
}

#[cfg(test)]
mod tests;
