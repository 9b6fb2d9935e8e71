//! Which instruction set a kernel runs on.
//!
//! An [`Isa`] is a value that only this module can make, and only after asking the processor: to
//! hold one is the proof that its instructions exist here. Every kernel takes it first, so the
//! choice is made once, by the caller, and tests can run each kernel on every set.
//!
//! The dispatch itself is `Isa::run`: a kernel is written once, generic over
//! `Simd`, and one `#[target_feature]` function a set instantiates
//! it. Everything between that function and the lane operations must be `#[inline(always)]`:
//! a function that stays out of line is compiled without the set's features, and each of its
//! lane operations then becomes a call.

#[cfg(x86_simd)]
use crate::simd::{Avx2, Avx512, Vnni};
use crate::simd::{Bytes, Scalar, Simd};
use std::sync::OnceLock;

/// The environment variable that lowers [`Isa::best`]: `scalar`, `avx2` or `avx512`.
pub const ISA_VARIABLE: &str = "DLRM_ISA";

/// An instruction set that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

/// Narrowest first: the order is the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Scalar,
    #[cfg(x86_simd)]
    Avx2,
    #[cfg(x86_simd)]
    Avx512,
}

/// A computation written once for every instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A computation with products of bytes. `run` must be `#[inline(always)]`.
pub(crate) trait BytesKernel {
    type Output;
    fn run<B: Bytes>(self, bytes: B) -> Self::Output;
}

impl Isa {
    /// The widest set this processor has, lowered to what [`ISA_VARIABLE`] names. Read once a process.
    ///
    /// # Panics
    /// If the variable names no instruction set; [`Isa::from_env`] says so without panicking.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::from_env().unwrap_or_else(|message| panic!("{message}")))
    }

    /// The widest set this processor has, lowered (never raised) to what [`ISA_VARIABLE`] names.
    ///
    /// # Errors
    /// One line that says what the variable holds and what it may hold.
    pub fn from_env() -> Result<Isa, String> {
        match std::env::var_os(ISA_VARIABLE) {
            None => Ok(Isa::widest()),
            Some(name) => Isa::at_most(&name.to_string_lossy()),
        }
    }

    /// The widest available set that is not wider than the one called `name`.
    fn at_most(name: &str) -> Result<Isa, String> {
        let limit = ["scalar", "avx2", "avx512"].iter().position(|&known| known == name);
        let limit = limit.ok_or_else(|| format!("{ISA_VARIABLE}={name}: expected scalar, avx2 or avx512"))?;
        Ok(Isa::available().find(|isa| isa.0 as usize <= limit).unwrap_or_else(Isa::scalar))
    }

    fn widest() -> Isa {
        Isa::available().next().unwrap_or_else(Isa::scalar)
    }

    /// Every set this processor has, widest first; the scalar one is always there and last.
    /// The environment does not change it.
    pub fn available() -> impl Iterator<Item = Isa> {
        let mut levels = Vec::with_capacity(3);
        #[cfg(x86_simd)]
        {
            // Every processor with the first two has the others: conversion of f16, and shifts and counts of bits.
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx512 {
                levels.push(Level::Avx512);
            }
            if avx2 {
                levels.push(Level::Avx2);
            }
        }
        levels.push(Level::Scalar);
        levels.into_iter().map(Isa)
    }

    /// The set that every target has: plain Rust on eight-lane arrays, which the compiler
    /// vectorises for whatever the target guarantees.
    pub fn scalar() -> Isa {
        Isa(Level::Scalar)
    }

    /// `"scalar"`, `"avx2"` or `"avx512"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            #[cfg(x86_simd)]
            Level::Avx2 => "avx2",
            #[cfg(x86_simd)]
            Level::Avx512 => "avx512",
        }
    }

    /// Whether this is AVX-512, and the processor has AVX512-BF16 as well.
    #[cfg(x86_simd)]
    pub(crate) fn has_bf16(self) -> bool {
        self.0 == Level::Avx512 && is_x86_feature_detected!("avx512bf16")
    }

    /// Runs `kernel` on this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Scalar => kernel.run(Scalar::new()),
            // SAFETY: an `Isa` of this level is only made by `available`, after the processor
            // said that it has AVX2, FMA, F16C, BMI1, BMI2, LZCNT and POPCNT.
            #[cfg(x86_simd)]
            Level::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: an `Isa` of this level is only made by `available`, after the processor
            // said that it has AVX-512 F, BW, DQ and VL, and what goes with AVX2.
            #[cfg(x86_simd)]
            Level::Avx512 => unsafe { run_avx512(kernel) },
        }
    }

    /// Runs a kernel of bytes on this instruction set; AVX-512 without VNNI has no more for it than AVX2.
    pub(crate) fn run_bytes<K: BytesKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Scalar => kernel.run(Scalar::new()),
            // SAFETY: an `Isa` of this level has AVX-512 F, BW, DQ and VL, and what goes with AVX2; VNNI was asked for.
            #[cfg(x86_simd)]
            Level::Avx512 if is_x86_feature_detected!("avx512vnni") => unsafe { run_vnni(kernel) },
            // SAFETY: an `Isa` of either level has AVX2, FMA, F16C, BMI1, BMI2, LZCNT and POPCNT.
            #[cfg(x86_simd)]
            Level::Avx2 | Level::Avx512 => unsafe { run_avx2_bytes(kernel) },
        }
    }
}

#[cfg(x86_simd)]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::new())
}

#[cfg(x86_simd)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::new())
}

#[cfg(x86_simd)]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2_bytes<K: BytesKernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::new())
}

#[cfg(x86_simd)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_vnni<K: BytesKernel>(kernel: K) -> K::Output {
    kernel.run(Vnni::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_lowers_and_never_raises() {
        let widest = Isa::available().next().unwrap();
        for (name, expected) in [("scalar", Isa::scalar()), ("avx512", widest)] {
            assert_eq!(Isa::at_most(name), Ok(expected), "{name}");
        }
        assert!(Isa::at_most("avx2").unwrap() <= widest);
        let message = Isa::at_most("sse9").unwrap_err();
        assert_eq!(message, "DLRM_ISA=sse9: expected scalar, avx2 or avx512");
    }

    #[test]
    fn the_scalar_set_is_available_and_last() {
        assert_eq!(Isa::available().last(), Some(Isa::scalar()));
        assert!(Isa::available().is_sorted_by(|a, b| a > b));
    }
}
