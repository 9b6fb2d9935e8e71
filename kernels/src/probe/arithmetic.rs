//! Chains of arithmetic in registers. Each instruction of a chain waits for the one before; there
//! are enough chains that the units never wait for any of them.

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;
use std::array::from_fn;

/// Multiply-add takes four cycles, and two start in each: eight chains would do without a hitch.
const CHAINS: usize = 12;

/// Where `CHAINS` vectors and two operands do not fit the registers.
const FEW_CHAINS: usize = 6;

/// What a probe of arithmetic has done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// Floating-point operations: a multiply-add counts as two.
    pub flops: u64,
    /// The sum of all lanes of all chains at the end.
    pub sum: f32,
}

/// `v ← v · factor + term`, `rounds` times, for each of `flops / (2 · rounds)` numbers: number
/// `i` starts as `i`.
pub fn multiply_adds(isa: Isa, factor: f32, term: f32, rounds: u64) -> Arithmetic {
    isa.run(MultiplyAdds { factor, term, rounds })
}

/// `v ← v + x · y + x · y` with `x` and `y` rounded to bf16, `rounds` times, for each of
/// `flops / (4 · rounds)` numbers: number `i` starts as `i`. Nothing where there is no AVX512-BF16.
pub fn dot_products_bf16(isa: Isa, x: f32, y: f32, rounds: u64) -> Option<Arithmetic> {
    #[cfg(x86_simd)]
    if isa.has_bf16() {
        // SAFETY: has_bf16 asked the processor for AVX512-BF16, and the level is AVX-512.
        return Some(unsafe { bf16_chains(x, y, rounds) });
    }
    let _ = (isa, x, y, rounds);
    None
}

struct MultiplyAdds {
    factor: f32,
    term: f32,
    rounds: u64,
}

impl Kernel for MultiplyAdds {
    type Output = Arithmetic;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Arithmetic {
        // The GEMM's tile tells how many vectors the registers hold.
        if S::TILE_ROWS * S::TILE_VECTORS >= CHAINS {
            multiply_add_chains::<S, CHAINS>(simd, self)
        } else {
            multiply_add_chains::<S, FEW_CHAINS>(simd, self)
        }
    }
}

#[inline(always)]
fn multiply_add_chains<S: Simd, const N: usize>(simd: S, m: MultiplyAdds) -> Arithmetic {
    let (factor, term) = (simd.splat(m.factor), simd.splat(m.term));
    let mut chains = [simd.zero(); N];
    for (c, chain) in chains.iter_mut().enumerate() {
        let lanes: [f32; 16] = from_fn(|lane| (c * S::LANES + lane) as f32);
        // SAFETY: a vector has at most sixteen lanes.
        *chain = unsafe { simd.load(lanes.as_ptr()) };
    }
    for _ in 0..m.rounds {
        for chain in &mut chains {
            *chain = simd.fma(*chain, factor, term);
        }
    }
    let sum = chains.into_iter().map(|chain| simd.reduce_sum(chain)).sum();
    Arithmetic { flops: m.rounds * 2 * (N * S::LANES) as u64, sum }
}

#[cfg(x86_simd)]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16_chains(x: f32, y: f32, rounds: u64) -> Arithmetic {
    use std::arch::x86_64::*;
    let pairs = |v: f32| _mm512_cvtne2ps_pbh(_mm512_set1_ps(v), _mm512_set1_ps(v));
    let (x, y) = (pairs(x), pairs(y));
    let mut chains: [__m512; CHAINS] = from_fn(|c| {
        let lanes: [f32; 16] = from_fn(|lane| (16 * c + lane) as f32);
        // SAFETY: there are sixteen floats.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    });
    for _ in 0..rounds {
        for chain in &mut chains {
            *chain = _mm512_dpbf16_ps(*chain, x, y);
        }
    }
    let sum = chains.into_iter().map(|chain| _mm512_reduce_add_ps(chain)).sum();
    Arithmetic { flops: rounds * 4 * (16 * CHAINS) as u64, sum }
}
